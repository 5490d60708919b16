"""How busy a simulated device is, as a function of time alone: the same each time it is asked."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from itertools import pairwise

from mlhub.adapters.simulated.chips import Chip
from mlhub.adapters.simulated.spec import Use
from mlhub.broker.ports import DeviceLoad
from mlhub.core.devices import Health


def load_of(chip: Chip, ages: Iterable[float], seed: int) -> DeviceLoad:
    """The load of a device: the sum over those who use it, as far as the device goes.

    Args:
        chip: the device and its curve.
        ages: for each lease on it, the seconds since its first process began.
        seed: what the noise depends on, beside the device and the time.
    """
    device = chip.device
    if device.health is not Health.OK:
        return DeviceLoad(device.uuid, None, None)
    rows = [_at(chip.use, age, f"{seed} {device.uuid}") for age in ages]
    busy = round(min(100.0, sum(utilisation for utilisation, _ in rows)), 1)
    memory = min(100.0, sum(memory for _, memory in rows))
    # As with real ones: of a MIG device the utilisation is not known.
    return DeviceLoad(
        device.uuid, None if device.profile else busy, round(device.memory * memory / 100)
    )


def _at(use: Use, age: float, noise_of: str) -> tuple[float, float]:
    """Utilisation and memory, in percent."""
    last = use.points[-1]
    length = last.at.total_seconds()
    at = age % length if use.repeat else min(age, length)
    utilisation, memory = _between(use, at)
    if utilisation:
        swing = 2 * zlib.crc32(f"{noise_of} {int(age)}".encode()) / 0xFFFFFFFF - 1
        utilisation = min(100.0, max(0.0, utilisation + use.noise * swing))
    return utilisation, memory


def _between(use: Use, at: float) -> tuple[float, float]:
    for before, after in pairwise(use.points):
        begin, end = before.at.total_seconds(), after.at.total_seconds()
        if at < end:
            share = max(0.0, (at - begin) / (end - begin))
            return (
                before.utilisation + share * (after.utilisation - before.utilisation),
                before.memory + share * (after.memory - before.memory),
            )
    return use.points[-1].utilisation, use.points[-1].memory
