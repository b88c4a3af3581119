"""Which backend computes: the one asked for by name, or the engine of the device, or the reference.

A backend asked for by name runs or raises; it never falls back. Without a name the engine of the
logits' device is taken; where there is none (no Numba installed, MPS, XPU, ...) torch's own functions
serve plain calls (``call.py``), the reference all others, and one warning per process says what is missing.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import warnings
from typing import cast

import torch

from crossent import errors
from crossent.backends.protocol import Backend

ENGINES = {"cpu": ("crossent.backends.cpu", "numba"), "gpu": ("crossent.backends.gpu", "triton")}
ENGINE_OF_DEVICE = {"cpu": "cpu", "cuda": "gpu"}


@functools.cache
def load(name: str) -> Backend | str:
    """The backend module, or the reason why it cannot be had."""
    if name == "reference":
        return cast(Backend, importlib.import_module("crossent.backends.reference"))
    module, needs = ENGINES[name]
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:  # a folder without code is a namespace package
        return f"crossent {name} engine: not part of this version"
    if importlib.util.find_spec(needs) is None:
        return f"{needs} is not installed (pip install 'crossent[{name}]')"
    try:
        return cast(Backend, importlib.import_module(module))
    except Exception as exception:  # a broken Numba or Triton must not take the losses down
        return f"importing it failed: {type(exception).__name__}: {exception}"


def reason_against(name: str, device: torch.device, dtype: torch.dtype) -> str | None:
    """None where the backend can run, else why not."""
    backend = load(name)
    return backend if isinstance(backend, str) else backend.supports(device, dtype)


def choose(name: str | None, device: torch.device, dtype: torch.dtype) -> tuple[Backend, str | None]:
    """The backend for this call, and why it is not the device's engine (None: it is, or was asked for)."""
    if name is not None:
        return _by_name(name, device, dtype), None
    return _by_device(device, dtype)


def _by_name(name: str, device: torch.device, dtype: torch.dtype) -> Backend:
    reason = reason_against(name, device, dtype)
    if reason is not None:
        able = [other for other in ("reference", *ENGINES) if reason_against(other, device, dtype) is None]
        raise errors.refuse("XEN040", came=name, reason=reason, available=", ".join(able) or "none")
    return cast(Backend, load(name))


def _by_device(device: torch.device, dtype: torch.dtype) -> tuple[Backend, str | None]:
    engine = ENGINE_OF_DEVICE.get(device.type)
    reason = f"no engine for device type {device.type!r}"
    if engine is not None:
        reason = reason_against(engine, device, dtype)
        if reason is None:
            return cast(Backend, load(engine)), None
        _warn_once(engine, reason)
    return cast(Backend, load("reference")), reason


@functools.cache
def _warn_once(engine: str, reason: str) -> None:
    """One warning a process, at the line that called crossent."""
    depth, frame = 1, sys._getframe()  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("crossent", "torch"):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(
        f"crossent: the {engine} engine is not available, so torch serves what it can do and the slower reference "
        f"the rest: {reason}",
        stacklevel=depth,
    )


def backends() -> list[tuple[str, str | None]]:
    """Every backend with the reason why it is not available on the device that it is for (None: it is)."""
    known = [("reference", "cpu"), *((engine, device) for device, engine in ENGINE_OF_DEVICE.items())]
    return [(name, reason_against(name, torch.device(device), torch.float32)) for name, device in known]


def empty_cache() -> None:
    """Give the memory that crossent keeps for its next gradients back to the system (``torch.cuda.empty_cache``, here).

    The CPU engine keeps the memory of large gradients (from 4 MiB on) when their last tensor is gone: touching new ones
    takes as long as the loss. At most four blocks and an eighth of the machine's memory are kept, marked so that the
    system takes them back when it runs short. Tensors in use are not affected. ``CROSSENT_KEEP_MEMORY=0`` in the
    environment keeps nothing at any time.

    >>> import torch, crossent
    >>> logits = torch.randn(2048, 1000, requires_grad=True)
    >>> crossent.cross_entropy(logits, torch.zeros(2048, dtype=torch.int64)).backward()
    >>> logits.grad = None  # 8 MB that the next call would take
    >>> crossent.empty_cache()
    """
    for module, _ in ENGINES.values():
        give_back = getattr(sys.modules.get(module), "empty_cache", None)
        if give_back is not None:
            give_back()
