"""The private names of torch that crossent stands on, in one place, so that a new torch is checked here first.

All were present in torch 2.8 and 2.13. torch's public functions are bound here too, once, at import:
patching ``torch.nn.functional`` with crossent's functions must not make those call themselves.
"""
# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportAttributeAccessIssue=false, reportUnknownVariableType=false

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._guards import TracingContext
from torch.autograd import forward_ad
from torch.nn import _reduction
from torch.overrides import _get_current_function_mode_stack

TORCH: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": F.cross_entropy,
    "nll_loss": F.nll_loss,
    "log_softmax": F.log_softmax,
}

# Of torch 2.13 on; None before.
torch_linear: Callable[..., Tensor] | None = getattr(F, "linear_cross_entropy", None)
torch_linear_options: type | None = getattr(torch.nn, "LinearCrossEntropyOptions", None)

softmax_dim: Callable[[str, int, int], int] = F._get_softmax_dim  # the dim that softmax takes when none is given
legacy_reduction: Callable[..., str] = _reduction.legacy_get_string  # size_average and reduce, with torch's warning

peek_functorch: Callable[[], Any] = torch._C._functorch.peek_interpreter_stack
dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
function_modes: Callable[[], int] = torch._C._len_torch_function_stack
is_wrapped: Callable[[Tensor], bool] = torch._C._functorch.is_functorch_wrapped_tensor
below_wrapper: Callable[[Tensor], Tensor] = torch._C._functorch.get_unwrapped
is_batched: Callable[[Tensor], bool] = torch._C._functorch.is_legacy_batchedtensor  # by is_grads_batched, not vmap
tracing_state: Callable[[], Any] = torch._C._get_tracing_state
is_compiling = torch.compiler.is_compiling


def makes_graph() -> bool:
    """Whether torch.compile reads this call or, later, traces what it read (in torch 2.8 a loss module is a leaf)."""
    return is_compiling() or TracingContext.try_get() is not None


def deprecated_mean(reduction: str) -> str:
    """``elementwise_mean`` is ``mean``, with torch's warning; every other value is returned as it is."""
    if reduction == "elementwise_mean":
        _reduction.get_enum(reduction)
        return "mean"
    return reduction


@functools.cache
def sums_in_float32(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this torch adds a 16-bit product to float32 numbers in one operation there (CUDA, by cuBLAS)."""
    if device.type != "cuda":
        return False
    total = torch.zeros(16, 16, device=device)
    part = torch.zeros(16, 16, device=device, dtype=dtype)
    try:
        torch.ops.aten.addmm.dtype_out(total, part, part, torch.float32, out=total)
    except (RuntimeError, AttributeError, NotImplementedError):  # older ones want all three in one dtype
        return False
    return True


def context() -> str | None:
    """The transform, trace or mode in which this call is made, where kernels cannot run; or None."""
    if is_compiling():
        return "torch.compile"
    if peek_functorch() is not None:
        return "torch.func transform"
    if forward_ad._current_level >= 0:
        return "forward-mode AD"
    if tracing_state() is not None:
        return "torch.jit.trace"
    if dispatch_modes() > 0:
        return "TorchDispatchMode"
    return None


def numbers_of(tensor: Tensor) -> Tensor | None:
    """The tensor below the wrappers of torch.func, with the numbers of all examples; None where none can be read."""
    while is_wrapped(tensor):
        tensor = below_wrapper(tensor)
    unreadable = is_compiling() or tracing_state() is not None or dispatch_modes() > 0
    return None if unreadable or type(tensor) is not Tensor or tensor.device.type == "meta" else tensor


def backward_context(upstream: tuple[Tensor | None, ...]) -> str | None:
    """Why this backward cannot be a kernel's: its gradients are differentiated, batched or traced; or None."""
    if torch.is_grad_enabled():
        return "create_graph"
    if any(gradient is not None and is_batched(gradient) for gradient in upstream):
        return "is_grads_batched"
    return context()


def function_mode() -> str | None:
    """The TorchFunctionMode that may want to see a loss; ``torch.set_default_device`` does not."""
    for mode in _get_current_function_mode_stack():
        if type(mode).__name__ != "DeviceContext":
            return f"TorchFunctionMode {type(mode).__name__}"
    return None


def overrides_functions(kind: type) -> bool:
    """Whether a tensor subclass has a ``__torch_function__`` of its own."""
    own = kind.__torch_function__
    if own is torch._C._disabled_torch_function_impl:
        return False
    return getattr(own, "__func__", own) is not getattr(Tensor.__torch_function__, "__func__", None)
