"""NVIDIA GPUs of this machine: what NVML says of their shape, health, processes and load."""

from mlhub.adapters.nvml.source import NvmlInventory

__all__ = ["NvmlInventory"]
