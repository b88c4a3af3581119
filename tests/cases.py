"""One table of calls: what every backend is tested on, and what the benchmarks take their shapes from.

A :class:`Case` is data. ``arguments.py`` turns it into tensors, ``runner.py`` into a call. The table is
made of groups, each with the regime it stands for; a name says group, setting, reduction and dtype.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

F64, F32, BF16, F16 = torch.float64, torch.float32, torch.bfloat16, torch.float16
DTYPES = (F32, BF16, F16, F64)
SHORT = {F64: "f64", F32: "f32", BF16: "bf16", F16: "f16"}
REDUCTIONS = ("mean", "sum", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One call. ``options`` go to the public function as they are; tensors are made by ``arguments.make``."""

    name: str
    shape: tuple[int, ...]  # of the input
    why: str  # the regime it stands for
    function: str = "cross_entropy"  # | nll_loss | log_softmax | cross_entropy_with_stats
    dtype: torch.dtype = F32
    target: str = "index"  # | uint8 | probabilities
    target_dtype: torch.dtype | None = None  # of probabilities; None: the input's
    options: Mapping[str, Any] = field(default_factory=dict)
    tensors: tuple[str, ...] = ()  # names in arguments.TENSORS: weight, sample_weight, logit_scale_rows, ...
    ignored: float = 0.0  # share of the rows whose index target is ignore_index
    values: str = "normal"  # name in arguments.VALUES: how the logits (and some targets) are filled
    strides: str = "contiguous"  # name in arguments.STRIDES: of the input
    others: str = "contiguous"  # | strided: step-2 views, of all other tensors and of the upstream gradient
    unlike_torch: str = ""  # why torch's own answer is another one, where crossent means to differ
    slow: bool = False

    def __str__(self) -> str:
        return self.name


# ---------------------------------------------------------------------------------------------- settings

# Name -> what it changes in a Case. Pairs of settings are joined by `joined`.
SETTINGS: dict[str, dict[str, Any]] = {
    "weight": {"tensors": ("weight",)},
    "smoothing": {"options": {"label_smoothing": 0.1}},
    "ignore": {"ignored": 0.3},
    "ignore_a_class": {"ignored": 0.3, "options": {"ignore_index": 1}},
    "probabilities": {"target": "probabilities"},
    "softcap": {"options": {"softcap": 3.0}},
    "scale_number": {"options": {"logit_scale": 0.7}},
    "scale_0d": {"tensors": ("logit_scale_0d",)},
    "scale_rows": {"tensors": ("logit_scale_rows",)},
    "z_loss": {"options": {"z_loss": 1e-2}},
    "sample_weight": {"tensors": ("sample_weight",)},
    "denominator_number": {"options": {"denominator": 7.3}},
    "denominator_tensor": {"tensors": ("denominator",)},
    "out_float32": {"options": {"out_dtype": F32}},
    "zero_if_all_ignored": {"options": {"if_all_ignored": "zero"}, "ignored": 0.3},
    "class_last": {"shape": (3, 5, 37), "options": {"class_dim": -1}},
    "shift": {"shape": (3, 5, 37), "options": {"class_dim": -1, "shift": 1}},
    "images": {"shape": (3, 37, 4, 5)},
}
CONFLICTS = (
    {"ignore", "ignore_a_class", "zero_if_all_ignored", "probabilities"},
    {"scale_number", "scale_0d", "scale_rows"},
    {"denominator_number", "denominator_tensor"},
    {"class_last", "shift", "images"},
)
NOT_FOR_NLL = {"smoothing", "probabilities", "softcap", "scale_number", "scale_0d", "scale_rows", "z_loss"}


def agree(*names: str) -> bool:
    """Whether these settings can be asked for in one call."""
    return not any(len(group & set(names)) > 1 for group in CONFLICTS)


def joined(case: Case, *names: str) -> Case:
    """The case with these settings on top; an explicit denominator makes the reduction a mean."""
    for name in names:
        change = dict(SETTINGS[name])
        change["options"] = {**case.options, **change.get("options", {})}
        change["tensors"] = (*case.tensors, *change.get("tensors", ()))
        change["ignored"] = max(case.ignored, change.get("ignored", 0.0))
        case = replace(case, **change)
    if any(name.startswith("denominator") for name in names):
        case = replace(case, options={**case.options, "reduction": "mean"})
    return case


def named(case: Case, *parts: object) -> Case:
    """The case with a name made of parts, its reduction and its dtype."""
    tail = () if case.function == "log_softmax" else (case.options.get("reduction", "mean"),)
    return replace(case, name="-".join(str(part) for part in (*parts, *tail, SHORT[case.dtype])))


# ------------------------------------------------------------------------------------------------ groups


def sizes() -> Iterator[Case]:
    """V around the vector width, the block (512) and its paddings; rows odd, so no pair or quad fits."""
    classes = {1: 5, 2: 7, 3: 33, 7: 129, 10: 65, 31: 17, 64: 9, 65: 9, 511: 5, 512: 5, 513: 5, 1000: 7, 1023: 3,
               1025: 3, 4097: 3, 32000: 3}  # fmt: skip
    for index, (v, n) in enumerate(classes.items()):
        for dtype in DTYPES:
            reduction = REDUCTIONS[(index + DTYPES.index(dtype)) % 3]
            case = Case(name="", shape=(n, v), dtype=dtype, options={"reduction": reduction}, ignored=0.2, why="sizes")
            yield named(case, "size", f"{n}x{v}")
            more = ("probabilities", "weight", "smoothing") if v <= 1025 else ("weight", "smoothing", "z_loss")
            yield named(joined(replace(case, ignored=0.0), *more), "size", f"{n}x{v}", "rich")


def shapes() -> Iterator[Case]:
    """Every layout torch has, with sizes of 0 and 1 in each place, and crossent's class_dim and shift."""
    torchs = [(4,), (1,), (1, 5), (1, 1), (6, 1), (0, 5), (2, 5, 0), (3, 5, 7), (3, 64, 1), (2, 33, 17), (0, 4, 3),
              (2, 5, 3, 4), (1, 21, 9, 11), (3, 2, 1, 5), (2, 7, 2, 3, 4), (2, 3, 1, 2, 1, 2)]  # fmt: skip
    last = [(5,), (4, 6), (3, 5, 7), (1, 1, 9), (2, 9, 64), (2, 3, 4, 5), (0, 3, 5), (3, 0, 5)]
    for index, (shape, reduction) in enumerate(itertools.product(torchs, REDUCTIONS)):
        case = Case(name="", shape=shape, dtype=DTYPES[index % 4], options={"reduction": reduction}, why="layouts")
        yield named(replace(case, ignored=0.25), "shape", "x".join(map(str, shape)))
        yield named(joined(case, "probabilities", "weight"), "shape", "x".join(map(str, shape)), "probabilities")
    for index, (shape, shift) in enumerate(itertools.product(last, (0, 1, 2, 9))):
        if shift and len(shape) < 2:
            continue
        options = {"class_dim": -1, "shift": shift, "reduction": REDUCTIONS[index % 3]}
        case = Case(name="", shape=shape, dtype=DTYPES[index % 4], options=options, ignored=0.2, why="classes last")
        yield named(case, "last", "x".join(map(str, shape)), f"shift{shift}")
        case = joined(replace(case, ignored=0.0), "probabilities", "sample_weight")
        yield named(case, "last", "x".join(map(str, shape)), f"shift{shift}", "probabilities")
    for shape, class_dim, shift in (((4, 5, 6), 0, 0), ((4, 5, 6), 1, 2), ((3, 4, 5, 6), 2, 0), ((3, 4, 5, 6), 2, 2),
                                    ((3, 4, 5, 6), 1, 2), ((6, 5), 0, 0), ((6, 5), 0, 2)):  # fmt: skip
        options = {"class_dim": class_dim, "shift": shift}
        case = Case(name="", shape=shape, options=options, ignored=0.2, why="classes elsewhere")
        yield named(joined(case, "sample_weight", "scale_rows"), "dim", "x".join(map(str, shape)), class_dim, shift)


def options() -> Iterator[Case]:
    """Every option with every dtype and reduction, and every pair of options."""
    for name, dtype, reduction in itertools.product(SETTINGS, DTYPES, REDUCTIONS):
        if reduction != "mean" and name.startswith("denominator"):
            continue
        case = Case(name="", shape=(13, 37), dtype=dtype, options={"reduction": reduction}, why="one option")
        yield named(joined(case, name), "option", name)
    pairs = (pair for pair in itertools.combinations(SETTINGS, 2) if agree(*pair))
    for index, pair in enumerate(pairs):
        options = {"reduction": REDUCTIONS[index % 3]}
        case = Case(name="", shape=(11, 37), dtype=DTYPES[index % 4], options=options, why="two options")
        yield named(joined(case, *pair), "pair", *pair)


def targets() -> Iterator[Case]:
    """Target dtypes, extreme denominators and counts that 16 bits cannot hold."""
    base = Case(name="", shape=(9, 5), why="targets")
    yield named(replace(base, target="uint8"), "target", "uint8")
    yield named(replace(base, target="uint8", ignored=0.4, options={"ignore_index": 255}), "target", "uint8-255")
    for dtype, target_dtype in itertools.permutations(DTYPES, 2):
        case = joined(replace(base, dtype=dtype, target_dtype=target_dtype), "probabilities", "weight")
        yield named(case, "target", f"probabilities-{SHORT[target_dtype]}")
    for reduction in REDUCTIONS:
        for policy in ("nan", "zero"):
            options = {"reduction": reduction, "if_all_ignored": policy}
            yield named(replace(base, ignored=1.0, options=options), "all-ignored", policy)
            yield named(joined(replace(base, ignored=1.0, options=options), "weight", "smoothing", "sample_weight"),
                        "all-ignored", policy, "rich")  # fmt: skip
        for tensors in (("weight_some_zero",), ("weight_zero",), ("sample_weight_zero",), ("sample_weight_some_zero",)):
            options = {"reduction": reduction, "label_smoothing": 0.1 * (reduction == "sum")}
            yield named(replace(base, tensors=tensors, ignored=0.2, options=options), "zeros", *tensors)
    yield named(replace(base, tensors=("sample_weight_signed",)), "signed-sample-weight")
    yield named(replace(base, tensors=("sample_weight_bool",)), "bool-sample-weight")


def specials() -> Iterator[Case]:
    """The table of special values in protocol.py, in rows shorter and longer than a vector and a block."""
    kinds = ("minus_inf_elsewhere", "minus_inf_target", "all_minus_inf", "plus_inf", "plus_inf_target", "nan",
             "nan_last", "equal", "zeros", "offset_1e4", "huge", "subnormal", "ignored_nan", "mixed")  # fmt: skip
    contexts: dict[str, tuple[str, ...]] = {
        "plain": (), "smoothing": ("smoothing",), "weight": ("weight",), "probabilities": ("probabilities",),
        "softcap": ("softcap", "scale_number"), "scale_rows": ("scale_rows",), "z_loss": ("z_loss",),
        "sample_weight": ("sample_weight",), "rich": ("smoothing", "weight", "z_loss", "scale_0d"),
    }  # fmt: skip
    for index, (values, (context, names)) in enumerate(itertools.product(kinds, contexts.items())):
        if (values == "ignored_nan" and context == "probabilities") or (values == "huge" and "z_loss" in names):
            continue
        unlike = "torch's gradient of an ignored row with NaN is NaN" if values in ("ignored_nan", "mixed") else ""
        if "scale_rows" in names or "scale_0d" in names:
            unlike = unlike or "infinite logits have no say in the gradient of logit_scale: torch's is NaN"
        if values == "offset_1e4" and "z_loss" in names:
            unlike = "torch's logsumexp is one number, which loses four digits at this offset"
        for v in (5, 70, 700):
            dtype = DTYPES[(index + v) % 4]
            dtype = F32 if values in ("huge", "subnormal") and dtype == F16 else dtype
            case = Case(name="", shape=(8, v), dtype=dtype, values=values, unlike_torch=unlike, why="special values")
            case = replace(case, options={"reduction": ("none", "sum", "none")[v % 3]})
            yield named(joined(case, *names), "special", values, context, v)
    for values, dtype in itertools.product(("offset_1e4", "huge", "minus_inf_target", "ignored_nan"), DTYPES[::3]):
        unlike = "torch's gradient of an ignored row with NaN is NaN" if values == "ignored_nan" else ""
        case = Case(name="", shape=(8, 33), dtype=dtype, values=values, unlike_torch=unlike, why="special values, mean")
        yield named(case, "special", values)
        yield named(joined(replace(case, shape=(4, 33, 2)), "weight"), "special", values, "images")
    zero = Case(name="", shape=(8, 9), values="minus_inf_target", tensors=("weight_zero",), why="0 * inf")
    yield named(replace(zero, options={"reduction": "none"}), "special", "zero-weight-inf")
    yield named(replace(zero, tensors=("sample_weight_zero",), options={"reduction": "none"}), "special", "zero-sample")
    for index, (v, names) in enumerate(itertools.product((5, 70, 700), ((), ("smoothing",), ("probabilities",)))):
        for step, dtype in enumerate((F32, DTYPES[index % 4])):
            options = {"reduction": ("none", *REDUCTIONS)[(index + step) % 4]}
            case = Case(name="", shape=(8, v), dtype=dtype, options=options, why="infinite class weights")
            case = replace(case, tensors=("weight_some_infinite",))
            yield named(joined(case, *names), "special", "infinite-weight", *names, v, step)
            if not names:
                yield named(replace(case, function="nll_loss", values="log_probs"), "special", "infinite-nll", v, step)
                yield named(replace(case, values="minus_inf_elsewhere"), "special", "infinite-and-sure", v, step)
    smoothed = {"label_smoothing": 1.0, "reduction": "none"}  # 0 * inf: NaN
    for v in (5, 70, 700):
        case = Case(name="", shape=(8, v), values="minus_inf_target", options=smoothed, why="nothing on the target")
        yield named(case, "special", "smoothed-away", v)


def strides() -> Iterator[Case]:
    """Memory as it comes: transposed, sliced, stepped, expanded, channels last; and so the other tensors."""
    flat, images = (
        ("transposed", "sliced", "step2", "step2_classes", "expanded", "expanded_classes"),
        ("channels_last",),
    )
    rich = ("weight", "sample_weight", "scale_rows")
    for index, (kind, others) in enumerate(itertools.product((*flat, *images), ("contiguous", "strided"))):
        for step, reduction in enumerate(REDUCTIONS):
            options = {"reduction": reduction}
            dtype = DTYPES[(index + step) % 4]
            shape = (4, 21, 5, 6) if kind in images else (23, 70)
            case = Case(name="", shape=shape, dtype=dtype, strides=kind, others=others, options=options, why="strides")
            yield named(joined(replace(case, ignored=0.2), *rich), "strides", kind, others)
            yield named(joined(case, "probabilities", "smoothing"), "strides", kind, others, "probabilities")
            shape, options = (3, 7, 70), {"reduction": reduction, "class_dim": -1, "shift": 1}
            case = replace(case, shape=shape, options=options, ignored=0.2)
            if kind not in images:
                yield named(joined(case, *rich), "strides", kind, others, "last")


def nll() -> Iterator[Case]:
    """nll_loss: the same rows, nothing subtracted."""
    names = [name for name in SETTINGS if name not in NOT_FOR_NLL]
    for index, pair in enumerate([(), *((name,) for name in names), *itertools.combinations(names, 2)]):
        if not agree(*pair):
            continue
        options = {"reduction": REDUCTIONS[index % 3]}
        case = Case(name="", function="nll_loss", shape=(11, 37), options=options, values="log_probs", why="nll")
        yield named(joined(replace(case, dtype=DTYPES[index % 4]), *pair), "nll", *pair)
    for index, values in enumerate(("minus_inf_target", "all_minus_inf", "plus_inf_target", "nan", "ignored_nan")):
        case = Case(name="", function="nll_loss", shape=(8, 33), values=values, why="nll special values")
        options = {"reduction": REDUCTIONS[index % 3]}
        yield named(replace(case, dtype=DTYPES[index % 2], options=options), "nll", values)
    for shape in ((4,), (0, 5), (3, 5, 7), (2, 5, 3, 4)):
        yield named(
            Case(name="", function="nll_loss", shape=shape, why="nll layouts"), "nll", "x".join(map(str, shape))
        )


def log_softmaxes() -> Iterator[Case]:
    """log_softmax along every dimension."""
    shapes: list[tuple[tuple[int, ...], int]] = [
        ((5,), 0), ((1,), 0), ((7, 33), 1), ((33, 7), 0), ((3, 5, 7), 1), ((3, 5, 7), -1), ((3, 5, 7), 0), ((0, 4), 1),
        ((4, 0), 1), ((2, 3, 4, 5), 1), ((2, 3, 4, 5), 2), ((9, 1), 1), ((5, 513), 1), ((3, 4097), 1), ((3, 32000), 1),
    ]  # fmt: skip
    base = Case(name="", function="log_softmax", shape=(7, 33), options={"dim": 1}, why="log_softmax")
    for (shape, dim), dtype in itertools.product(shapes, DTYPES):
        case = replace(base, shape=shape, dtype=dtype, options={"dim": dim})
        yield named(case, "log_softmax", "x".join(map(str, shape)), dim)
    for name, dtype in itertools.product(("softcap", "scale_number", "scale_0d", "scale_rows"), DTYPES):
        yield named(joined(replace(base, dtype=dtype), name), "log_softmax", name)
        yield named(joined(replace(base, dtype=dtype, shape=(3, 9, 5)), name, "softcap"), "log_softmax", name, "capped")
    for values in ("minus_inf_elsewhere", "all_minus_inf", "plus_inf", "nan", "offset_1e4", "huge", "mixed"):
        yield named(replace(base, values=values), "log_softmax", values)
    for kind in ("transposed", "sliced", "step2", "step2_classes", "expanded", "expanded_classes"):
        yield named(replace(base, strides=kind, others="strided"), "log_softmax", kind)
    for dtype, result in itertools.permutations(DTYPES, 2):
        yield named(
            replace(base, dtype=dtype, options={"dim": 1, "dtype": result}), "log_softmax", f"to-{SHORT[result]}"
        )


def readouts() -> Iterator[Case]:
    """cross_entropy_with_stats: every field with an upstream gradient of its own."""
    names = [(), *((name,) for name in SETTINGS), ("weight", "smoothing", "z_loss"), ("probabilities", "weight")]
    for index, (pair, wide) in enumerate(itertools.product(names, (False, True))):
        options = {"reduction": "mean" if "denominator" in "".join(pair) else REDUCTIONS[index % 3]}
        case = Case(
            name="", function="cross_entropy_with_stats", shape=(9, 600 if wide else 21), options=options, why=""
        )
        case = replace(case, dtype=DTYPES[(index + wide) % 4], why="read-outs, short and longer than a block")
        yield named(joined(case, *pair), "stats", "wide" if wide else "short", *pair)
    for values in ("minus_inf_elsewhere", "all_minus_inf", "nan", "plus_inf", "ignored_nan", "equal", "offset_1e4"):
        case = Case(name="", function="cross_entropy_with_stats", shape=(8, 33), values=values, why="read-outs")
        unlike = {
            "plus_inf": "the logsumexp of a row with +inf is NaN, as its loss is",
            "minus_inf_elsewhere": "torch's gradient of the entropy is NaN beside a -inf",
            "ignored_nan": "torch's gradient of an ignored row with NaN is NaN",
        }.get(values, "")
        yield named(replace(case, options={"reduction": "none"}, unlike_torch=unlike), "stats", values)


def large() -> Iterator[Case]:
    """Sizes above every threshold of threads, caches and counters."""
    shapes: list[tuple[tuple[int, ...], torch.dtype]] = [
        ((65537, 10), F32), ((70001, 3), F16), ((4099, 1000), F32), ((131, 50257), F32), ((515, 32000), BF16),
        ((3, 128256), F32), ((1, 400003), F32), ((2, 150, 257, 253), F32),
    ]  # fmt: skip
    for shape, dtype in shapes:
        case = Case(name="", shape=shape, dtype=dtype, ignored=0.1, slow=True, why="sizes above every threshold")
        yield named(case, "large", "x".join(map(str, shape)))
        yield named(joined(case, "weight", "smoothing", "z_loss"), "large", "x".join(map(str, shape)), "rich")


CASES: tuple[Case, ...] = (
    *sizes(), *shapes(), *options(), *targets(), *specials(), *strides(),
    *nll(), *log_softmaxes(), *readouts(), *large(),
)  # fmt: skip
BY_NAME = {case.name: case for case in CASES}
assert len(BY_NAME) == len(CASES), "two cases of one name"
