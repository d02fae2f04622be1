"""Which device trains, and in which precision."""

from __future__ import annotations

import importlib.util

import torch

from esrt_privacy.precision import fast_bfloat16


def training_device() -> torch.device:
    """The machine's accelerator (CUDA, Ascend NPU, Apple's MPS, Intel's XPU), else the CPU."""
    # Ascend's own package makes itself known to torch when it is imported.
    if importlib.util.find_spec("torch_npu") is not None:
        importlib.import_module("torch_npu")
    if torch.accelerator.is_available():
        found = torch.accelerator.current_accelerator()
        if found is not None:
            return found
    return torch.device("cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes bfloat16 in hardware, and not by a slow emulation."""
    if device.type == "cpu":
        return fast_bfloat16()
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "mps":
        return bool(torch.backends.mps.is_macos_or_newer(14, 0))
    backend = getattr(torch, device.type, None)
    asked = getattr(backend, "is_bf16_supported", None)
    return bool(asked()) if asked is not None else False


def llm_dtype(device: torch.device) -> torch.dtype:
    """In which precision a frozen LLM is held for training on this device."""
    return torch.bfloat16 if device.type != "cpu" and has_bfloat16(device) else torch.float32
