"""Run by `make test-wheel` with the Python into which the wheel was installed: is it whole, and does it work?"""

import sys
from importlib import metadata
from pathlib import Path

import crossent

optional = {"numba", "triton", "libcst", "typer", "rich", "matplotlib"} & set(sys.modules)
assert not optional, f"import crossent loaded {optional}"

package = Path(crossent.__file__).parent
assert package.is_relative_to(sys.prefix), f"{package} is not the installed wheel"
assert (package / "py.typed").is_file()

files = {str(file) for file in metadata.files("crossent") or []}
assert any(name.endswith("licenses/LICENSE") for name in files), "the wheel lacks its licence"
assert not any(name.startswith("tests") for name in files), "the wheel carries tests"
assert metadata.version("crossent") == crossent.__version__

import torch  # noqa: E402 - after the look at sys.modules

logits = torch.randn(64, 10, dtype=torch.float64, requires_grad=True)
target = torch.randint(10, (64,))
for ours, theirs in [
    (crossent.cross_entropy(logits, target), torch.nn.functional.cross_entropy(logits, target)),
    (
        crossent.CrossEntropyLoss(label_smoothing=0.1)(logits, target),
        torch.nn.CrossEntropyLoss(label_smoothing=0.1)(logits, target),
    ),
]:
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)))

print(f"crossent {crossent.__version__}: the wheel works, {len(files)} files")
