"""The doctor as it is called: reports and their formats, what it must leave alone, where it must keep silent."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import crossent
from crossent import doctor, handover
from crossent.doctor import sample
from crossent.doctor.hooks import MARK
from crossent.doctor.sample import MOST_LOGITS, take

MODEL = nn.Linear(20, 10)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(32, 20), torch.arange(32) % 10


def wrong_loss() -> torch.Tensor:
    x, y = batch()
    return F.cross_entropy(MODEL(x).softmax(1), y)


# ------------------------------------------------------------------------------------------------ asked about a loss


def test_a_loss_is_read_from_its_graph() -> None:
    report = doctor(wrong_loss())
    (finding,) = report.findings
    assert (finding.code, finding.catalogue, finding.severity) == ("XEN101", "A1", "error")
    assert finding.file.endswith("test_doctor.py")
    assert finding.line == test_a_loss_is_read_from_its_graph.__code__.co_firstlineno + 1
    assert "1.461" in finding.consequence
    assert not report.ok


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_crossents_own_loss_is_read_too(backend: str) -> None:
    x, y = batch()
    loss = crossent.cross_entropy(MODEL(x).softmax(1), y, backend=backend)
    report = doctor(loss)
    assert report.codes == ["XEN101"]
    assert "sampled rows sum to 1.0000" in report.findings[0].message  # the logits themselves were saved
    assert doctor(crossent.cross_entropy(MODEL(x), y, backend=backend)).ok


@pytest.mark.parametrize("log_softmax", [F.log_softmax, crossent.log_softmax])
def test_a_log_softmax_over_the_batch_is_no_part_of_a_cross_entropy(log_softmax) -> None:
    x, y = batch()
    assert doctor(F.nll_loss(log_softmax(MODEL(x), 0), y)).codes == ["XEN107"]
    assert not doctor(F.nll_loss(log_softmax(MODEL(x), -1), y)).codes
    image = MODEL(x).reshape(8, 10, 2, 2)
    assert doctor(F.nll_loss(log_softmax(image, 3), torch.zeros(8, 2, 2, dtype=torch.int64))).codes == ["XEN107"]


def test_options_of_a_loss_come_back_signed() -> None:
    x, y = batch()
    labels = y.clone()
    labels[:31] = -100
    (finding,) = doctor(F.cross_entropy(MODEL(x), labels)).findings
    assert finding.evidence["ignore_index"] == -100 and finding.evidence["ignored"] == 31


def test_smoothing_and_probability_targets_are_walked_through() -> None:
    x, y = batch()
    assert doctor(F.cross_entropy(MODEL(x).softmax(1), y, label_smoothing=0.1)).codes == ["XEN101"]
    soft = F.one_hot(y, 10).float()
    assert doctor(F.cross_entropy(MODEL(x).softmax(1), soft)).codes == ["XEN101"]
    assert doctor(F.cross_entropy(MODEL(x), soft)).codes == []


def test_a_sound_loss_and_a_freed_one() -> None:
    x, y = batch()
    loss = F.cross_entropy(MODEL(x), y)
    assert doctor(loss).ok
    loss.backward()
    report = doctor(loss)
    assert report.ok and "after backward" in report.limits[0]


def test_a_loss_without_a_graph() -> None:
    x, y = batch()
    assert doctor(F.cross_entropy(MODEL(x).detach(), y)).codes == ["XEN110"]
    assert doctor(torch.tensor(1.5, requires_grad=True)).codes == ["XEN111"]
    with torch.no_grad():
        report = doctor(F.cross_entropy(MODEL(x), y))
    assert report.ok and "gradients are off" in report.limits[0]


def test_values_are_judged_where_there_is_no_graph() -> None:
    x, y = batch()
    p = MODEL(x).softmax(1).detach()
    assert doctor(p, y).codes == ["XEN101"]
    assert doctor(p, y, function="nll_loss").codes == ["XEN103"]
    assert doctor(p.log(), y, function="nll_loss").ok
    assert doctor(MODEL(x).detach(), y + 1).codes == ["XEN203"]
    with pytest.raises(TypeError, match="it knows"):
        doctor(p, y, colour="red")


def test_few_values_say_nothing() -> None:
    """A row of two raw logits lies in [0, 1] by chance in one batch of four."""
    assert doctor(torch.tensor([[0.4, 0.6]]), torch.tensor([0])).ok


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_probabilities_are_recognised_in_every_dtype(dtype: torch.dtype, classes: int) -> None:
    p = (3 * torch.randn(64, classes)).softmax(1).to(dtype)
    assert "XEN101" in doctor(p, torch.arange(64) % classes).codes


# ------------------------------------------------------------------------------------------------------------ opaque


def test_where_the_graph_is_opaque_values_are_tested_and_it_is_said() -> None:
    x, y = batch()
    x.requires_grad_()
    with doctor.watch(announce=None) as watching:
        F.cross_entropy(checkpoint(lambda x: MODEL(x).softmax(1), x, use_reentrant=True), y)
    report = watching.report
    assert report.codes == ["XEN101"]
    assert "checkpointing" in report.findings[0].message
    assert any("opaque" in limit for limit in report.limits)


def test_a_compiled_model_is_opaque_and_a_compiled_loss_is_left_alone() -> None:
    x, y = batch()
    head = torch.compile(nn.Sequential(MODEL, nn.Softmax(1)), backend="aot_eager")

    @torch.compile(backend="aot_eager", fullgraph=True)
    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(MODEL(x).softmax(1), y)

    with doctor.watch(announce=None) as watching:
        F.cross_entropy(head(x), y)
        assert watching.report.codes == ["XEN101"]
        step(x, y).backward()  # a graph break would raise
    assert watching.watched_calls == 1


def test_transforms_get_what_they_would_get() -> None:
    x, y = batch()
    with doctor.watch(announce=None) as watching:
        gradient = torch.func.grad(lambda x: F.cross_entropy(MODEL(x).softmax(1), y))(x)
        rows = torch.func.vmap(lambda z, t: F.cross_entropy(z, t))(MODEL(x), y)
    assert gradient.shape == x.shape and rows.shape == (32,)
    assert any("values were not read" in limit for limit in watching.report.limits)


def test_a_scripted_function_is_what_it_was() -> None:
    def loss(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(z, y)

    x, y = batch()
    with doctor.watch(announce=None), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(loss)
    assert torch.equal(scripted(MODEL(x), y), F.cross_entropy(MODEL(x), y))


# --------------------------------------------------------------------------------------------------------- read-only


def test_watching_changes_nothing() -> None:
    x, y = (part.repeat(20, *[1] * (part.dim() - 1)) for part in batch())  # more rows than are sampled
    names = ("cross_entropy", "nll_loss", "kl_div", "embedding", "binary_cross_entropy_with_logits")
    before = [getattr(F, name) for name in names] + [torch.Tensor.backward, crossent.cross_entropy]

    def train() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(20, 10), nn.Dropout(0.5))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        return loss.detach(), next(model.parameters()).detach(), torch.get_rng_state()

    plain = train()
    with doctor.watch(announce=None) as watching:
        watched = train()
    assert watching.watched_calls == 3
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))
    assert before == [getattr(F, name) for name in names] + [torch.Tensor.backward, crossent.cross_entropy]
    assert not hasattr(F.cross_entropy, MARK)


def test_only_some_rows_are_read() -> None:
    logits = torch.zeros(512, 4000)
    logits[1:-1] = torch.nan  # rows between the first and the last
    taken = take(logits, torch.zeros(512, dtype=torch.long), 1, -100)
    assert taken.rows.numel() <= MOST_LOGITS and not taken.is_whole
    assert taken.counted is not None and taken.counted.total == 512
    assert torch.equal(take(logits, None, 1, -100).rows.isnan(), taken.rows.isnan())  # the same rows each time


def test_a_sample_finds_the_right_rows_in_every_layout() -> None:
    logits = torch.randn(3, 7, 50, 40)
    target = torch.randint(0, 7, (3, 50, 40))
    taken = take(logits, target, 1, -100)
    rows = logits.movedim(1, -1).reshape(-1, 7)
    assert taken.target is not None and len(taken.rows) == 256
    picked = torch.linspace(0, 5999, 256, dtype=torch.float64).round().long()
    assert torch.equal(taken.rows, rows[picked]) and torch.equal(taken.target, target.reshape(-1)[picked])


def test_one_transfer_brings_what_several_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an accelerator's tensors go through; there is none here, so the CPU's are sent that way."""
    logits, target = torch.randn(300, 7), torch.randint(0, 7, (300,))
    target[::3] = -100
    loss = F.cross_entropy(logits, target)
    plain = take(logits, target, 1, -100, loss)
    monkeypatch.setattr(sample, "FEW_TARGETS", 0)
    monkeypatch.setattr(sample, "fetch", sample._in_one_transfer)
    joined = take(logits, target, 1, -100, loss)
    assert torch.equal(joined.rows, plain.rows.double()) and joined.counted == plain.counted
    assert plain.target is not None and torch.equal(joined.target, plain.target) and joined.result == plain.result


def test_watching_ends_after_the_first_steps_and_comes_back() -> None:
    x, y = batch()
    optimizer = torch.optim.SGD(MODEL.parameters(), lr=0.0)
    with doctor.watch(steps=2, every=5, announce=None) as watching:
        for step in range(12):
            F.cross_entropy(MODEL(x), y)
            optimizer.step()
            assert watching.watched_calls == [1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4][step]


def test_backward_is_torchs_own_between_watched_steps() -> None:
    own = torch.Tensor.backward
    x, y = batch()
    optimizer = torch.optim.SGD(MODEL.parameters(), lr=0.0)
    with doctor.watch(steps=1, every=3, announce=None):
        for step in range(7):
            assert hasattr(torch.Tensor.backward, MARK) == (step % 3 == 0)
            F.cross_entropy(MODEL(x), y).backward()
            optimizer.step()
    assert torch.Tensor.backward is own


def test_a_wrapper_that_somebody_covered_is_idle_after_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = batch()
    watching = doctor.watch(announce=None)
    monkeypatch.setattr(F, "cross_entropy", F.cross_entropy)  # put back at the end of the test
    with watching:
        ours = F.cross_entropy
        F.cross_entropy = lambda *args, **kwargs: ours(*args, **kwargs)
        F.cross_entropy(MODEL(x), y)
    F.cross_entropy(MODEL(x), y)
    assert watching.watched_calls == 1


def test_without_an_optimizer_nothing_is_said_of_accumulation() -> None:
    with doctor.watch(announce=None) as watching:
        for rows in (4, 32, 7):  # a script that updates its parameters by hand
            x, y = batch()
            F.cross_entropy(MODEL(x[:rows]) * rows, y[:rows]).backward()
    assert "XEN307" not in watching.report.codes


def test_other_ranks_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with doctor.watch(announce=None) as watching:
        wrong_loss()
    assert watching.report.ok and not watching.watched_calls
    with doctor.watch(announce=None, all_ranks=True) as watching:
        wrong_loss()
    assert watching.report.codes == ["XEN101"]


def test_a_rule_that_fails_does_not_disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    from crossent.doctor.rules import xen109_one_class

    doctor(wrong_loss())  # rules are collected now

    def fail(_: object) -> None:
        raise ZeroDivisionError("planted")

    from crossent.doctor import examine

    monkeypatch.setattr(xen109_one_class, "from_values", fail)
    monkeypatch.setattr(examine, "_rules", {})
    with doctor.watch(announce=None) as watching:
        wrong_loss()
    assert watching.report.codes == ["XEN101"]
    assert any("XEN109 could not be evaluated: ZeroDivisionError: planted" in limit for limit in watching.report.limits)


def test_threads() -> None:
    with doctor.watch(announce=None) as watching:
        threads = [threading.Thread(target=wrong_loss) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert watching.report.codes == ["XEN101"]


def test_it_warns_once_per_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with doctor.watch():
            for _ in range(3):
                wrong_loss()
    (warning,) = caught
    assert warning.category is doctor.LossDoctorWarning and "XEN101" in str(warning.message)
    assert warning.filename.endswith("test_doctor.py")


def test_it_works_under_crossents_patch() -> None:
    with pytest.MonkeyPatch.context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from crossent import patching

        with patching.patch(), doctor.watch(announce=None) as watching:
            wrong_loss()
            x, y = batch()
            nn.CrossEntropyLoss()(MODEL(x).softmax(1), y)
            crossent.CrossEntropyLoss()(MODEL(x).softmax(1), y)
    assert watching.report.codes == ["XEN101"] * 3 and watching.watched_calls == 3
    assert not hasattr(F.cross_entropy, MARK) and not hasattr(crossent.functional.cross_entropy, MARK)


def test_import_loads_nothing() -> None:
    code = (
        "import sys, crossent.doctor, crossent.doctor.rules.table\n"
        "assert 'torch' not in sys.modules and not any('xen1' in name for name in sys.modules)\n"
        "import crossent\nassert crossent.doctor is sys.modules['crossent.doctor']\nassert callable(crossent.doctor)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.skipif(not hasattr(F, "linear_cross_entropy"), reason="torch has linear_cross_entropy from 2.13 on")
@pytest.mark.parametrize("patched", [False, True])
def test_linear_losses_of_torch_are_watched_without_making_logits(patched: bool) -> None:
    """And its inner cross_entropy is not a second call."""
    hidden, head = torch.randn(8, 4, requires_grad=True), torch.nn.LinearCrossEntropyLoss(4, 6)
    with crossent.patch() if patched else contextlib.nullcontext(), doctor.watch(announce=None) as watching:
        F.linear_cross_entropy(hidden, head.linear.weight, torch.full((8,), -100))
        head(hidden, torch.full((8,), -100))
    assert watching.watched_calls == 2 and watching.report.codes == ["XEN305", "XEN305"]
    assert all("makes no logits" in limit for limit in watching.report.limits)


def test_log_probs_are_watched_and_counted_under_their_own_name() -> None:
    """And the rows of the head that they look up are no token ids."""
    hidden, head = torch.randn(6, 4, requires_grad=True), torch.randn(9, 4)
    names: list[str] = []

    def listen(call: handover.Served) -> None:
        names.append(call.function)

    handover.add_listener(listen)
    try:
        with doctor.watch(announce=None) as watching:
            crossent.linear_log_prob(hidden, head, torch.arange(6))
            crossent.linear_log_prob(hidden, head, torch.arange(12).reshape(6, 2) % 9)
            crossent.linear_cross_entropy_with_stats(hidden, head, torch.arange(6))
            assert not watching._embedded
    finally:
        handover.remove_listener(listen)
    assert names == ["linear_log_prob", "linear_log_prob", "linear_cross_entropy"]
    assert watching.watched_calls == 3 and not watching.report.findings
    assert [limit.split(": ")[1].split()[0] for limit in watching.report.limits] == ["linear_log_prob"] * 2 + [
        "linear_cross_entropy"
    ]


def test_evaluation_is_told_from_training_by_the_models_mode() -> None:
    """Where gradients are on in both, only the model knows."""
    model = torch.nn.Linear(4, 3)
    with doctor.watch(model.eval(), announce=None) as watching:
        for n, scale in ((30, 1.0), (30, 1.0), (30, 1.0), (2, 60.0)):
            F.cross_entropy(scale * model(torch.randn(n, 4)), torch.zeros(n, dtype=torch.int64))
    assert "XEN309" in watching.report.codes
