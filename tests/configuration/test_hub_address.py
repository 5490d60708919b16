"""The address that people type, from mlhub.yaml to JupyterHub's own setting."""

from __future__ import annotations

from pathlib import Path

import pytest
from jupyterhub.app import JupyterHub
from traitlets.config import Config

from mlhub.hub_config import configure


@pytest.mark.parametrize("written", ["https://gpu.example.org", "https://gpu.example.org/"])
def test_the_public_address_reaches_the_hub_with_its_path(tmp_path: Path, written: str) -> None:
    file = tmp_path / "mlhub.yaml"
    file.write_text(f"hub: {{public_url: '{written}', base_url: gpu}}")
    config = Config()
    configure(config, str(file))
    assert JupyterHub(config=config).public_url == "https://gpu.example.org/gpu/"


def test_without_one_the_hub_finds_its_address_itself(tmp_path: Path) -> None:
    (tmp_path / "mlhub.yaml").write_text("")
    config = Config()
    configure(config, str(tmp_path / "mlhub.yaml"))
    assert "public_url" not in config.JupyterHub
