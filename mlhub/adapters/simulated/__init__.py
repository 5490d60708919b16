"""GPUs that are not there: from a small file, with failures on command, for trials and tests."""

from mlhub.adapters.simulated.source import SimulatedInventory
from mlhub.adapters.simulated.spec import DEFAULT, Spec, read_spec

__all__ = ["DEFAULT", "SimulatedInventory", "Spec", "read_spec"]
