"""Answers of the quota service's contract, as values to begin with and to change."""

from __future__ import annotations

from typing import Any

from tests.client.faulty_service import LEASE

AT = "2020-11-21T09:00:00+00:00"


def flavor(name: str, **changed: Any) -> dict[str, Any]:
    """A flavor as the inventory has it."""
    row = {
        "name": name, "display_name": name.upper(), "description": "", "memory_mib": 81920,
        "sharing": "none", "resource": "nvidia.com/gpu", "price": 1.2, "total": 4, "free": 1,
        "held": 3, "kept": 0, "out_of_service": 0, "waiting": 0, "max_count": 4, "now": True,
        "expected": None, "allowed": True, "why_not": "",
    }  # fmt: skip
    return row | changed


def device(uuid: str, **changed: Any) -> dict[str, Any]:
    """A device as the inventory has it."""
    row = {
        "uuid": uuid, "index": 0, "model": "NVIDIA A100", "memory_mib": 81920, "profile": None,
        "sharing": "none", "shares": 1, "flavor": "a100", "state": "free", "trouble": "",
        "holder": None, "utilisation": None, "memory_used_mib": None,
    }  # fmt: skip
    return row | changed


def inventory(*flavors: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """An inventory of one node."""
    node = {"name": "here", "schedulable": True, "trouble": "", "devices": [device("GPU-1")]}
    row = {"now": AT, "taken_at": AT, "simulated": False, "problem": "", "nodes": [node]}
    return row | {"flavors": list(flavors)} | changed


def lease(lease_id: str, **changed: Any) -> dict[str, Any]:
    """A lease."""
    return {**LEASE, "id": lease_id, **changed}


def waiting(claim_id: str, **changed: Any) -> dict[str, Any]:
    """A claim in the queue."""
    row = {
        "id": claim_id, "user": None, "server": None, "mine": False, "flavor": "a100", "count": 1,
        "priority": 0, "position": 1, "submitted_at": AT, "expected": None, "blocked": "",
    }  # fmt: skip
    return row | changed
