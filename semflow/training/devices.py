"""Which device work runs on, and the switches that make it repeat its bits."""

import ctypes
import os

import torch

from semflow.errors import SemFlowError


def pick(wanted: str) -> torch.device:
    """The device `wanted` (auto, cpu, cuda, mps); auto takes an accelerator if there is one.

    Deterministic kernels are switched on, and a CPU's memory is kept when freed. SemFlowError if this machine has no such device.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        wanted = next(name for name, there in available.items() if there)
    if not available[wanted]:
        raise SemFlowError(f"run.device is {wanted}, but this machine has none; use auto or cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may sum in any order
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms would import the whole compiler, for seconds
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # it only costs time
    if wanted == "cpu":
        _keep_freed_memory()
    return torch.device(wanted)


def _keep_freed_memory() -> None:
    """Tell glibc to reuse what a layer frees, rather than give it back and have every page of the next layer's made anew.

    On a small UNet that is a fifth of the time, on EfficientNet-Lite0 at 224 x 224 three quarters of it. Other C libraries have
    no such switch. glibc before 2.35 keeps blocks of up to 32 MiB at most.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    trim_threshold, mmap_threshold = -1, -3  # their numbers in malloc.h
    # Either switch ends glibc's own rule, so the second is only worth having with the first.
    if mallopt is not None and (mallopt(mmap_threshold, 2**30) or mallopt(mmap_threshold, 2**25)):
        mallopt(trim_threshold, 2**31 - 1)


def name_of(device: torch.device) -> str:
    """A name for people: the GPU's, or the kind of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is fast on `device`; on CPUs it is not counted on."""
    return device.type == "mps" or (device.type == "cuda" and torch.cuda.is_bf16_supported())
