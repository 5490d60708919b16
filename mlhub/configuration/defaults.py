"""The mlhub.yaml that a new home begins with: it works with any GPUs, and says how to go on."""

from pathlib import Path
from typing import Final

TEMPLATE: Final = Path(__file__).with_name("default_mlhub.yaml")


def default_yaml() -> str:
    """The text for a new home; `mlhub config check` finds nothing wrong with it."""
    return TEMPLATE.read_text(encoding="utf-8")
