"""Which signs of trouble make a GPU sick, which are only told to those who run it: one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mlhub.core.devices import Health
from mlhub.core.errors import BadInput

TABLE_VERSION: Final = "2026-11"


class Verdict(StrEnum):
    """What a sign means for the device, from harmless to worst."""

    IGNORE = "ignore"  # nothing: it was an application's fault, or it mended itself
    WARN = "warn"  # it is given out all the same; those who run the machine see it
    SICK = "sick"  # it is given to nobody
    LOST = "lost"  # it is not there

    @property
    def weight(self) -> int:
        """Higher is worse."""
        return list(Verdict).index(self)


_HEALTH: Final = {Verdict.SICK: Health.SICK, Verdict.LOST: Health.LOST}


@dataclass(frozen=True, slots=True)
class Rule:
    """What one sign means; `text` is a clause for people, after "GPU 3:"."""

    verdict: Verdict
    text: str


_RESET: Final = "the driver reported {}: it has to be reset"
_LOOK: Final = "the driver reported {}: the administrators have to look into it"
_CODES: Final = (
    # An application's own fault, and errors that ended no more than one: contained (94) too.
    (Verdict.IGNORE, "", (13, 31, 32, 69, 94)),
    # Notes of what was done: a row remapped (63) or a page retired, corrected errors (92).
    (Verdict.IGNORE, "", (43, 45, 63, 92, 121, 154)),
    (Verdict.SICK, _RESET, (62, 64, 95, 109, 110, 119, 120, 140, 143, 156, 158)),
    (Verdict.LOST, "it fell off the bus ({}); the machine has to be restarted", (79,)),
    (Verdict.SICK, _LOOK, (48, 74, 145, 149)),
)
_CONDITIONS: Final = {
    "recovery-reset": Rule(Verdict.SICK, "the driver asks for a reset of it"),
    "recovery-bus-reset": Rule(Verdict.SICK, "the driver asks for a reset of its bus"),
    "recovery-reboot": Rule(Verdict.SICK, "the driver asks for a restart of the machine"),
    "recovery-drain-p2p": Rule(
        Verdict.WARN, "the driver asks that no other GPU use its memory, and then for a reset"
    ),
    "recovery-imex": Rule(Verdict.WARN, "the driver asks for a recovery of its IMEX domain"),
    "row-remap-failed": Rule(
        Verdict.SICK, "a bad row of its memory could not be replaced; the GPU has to be exchanged"
    ),
    "row-remap-pending": Rule(
        Verdict.WARN, "a bad row of its memory is replaced at its next reset"
    ),
    "page-pending": Rule(Verdict.WARN, "a bad page of its memory is left out after its next reset"),
    "pages-bad": Rule(
        Verdict.SICK, "too many pages of its memory are bad; the GPU has to be exchanged"
    ),
    "ecc-contained": Rule(
        Verdict.WARN, "its memory had errors that each ended no more than one program"
    ),
    "ecc-uncorrected": Rule(
        Verdict.SICK, "its memory had errors that could not be corrected; it has to be reset"
    ),
    "throttle-heat": Rule(Verdict.WARN, "it is slowed down because it is too hot"),
    "throttle-power": Rule(Verdict.WARN, "it is slowed down for lack of power"),
    "throttle-power-cap": Rule(Verdict.IGNORE, "it keeps to its power limit"),
}
TABLE: Final[Mapping[str, Rule]] = {
    f"xid-{code}": Rule(verdict, text.format(f"Xid {code}"))
    for verdict, text, codes in _CODES
    for code in codes
} | _CONDITIONS
"""Every known sign: ``xid-<code>`` for what the driver reports, else a condition by name."""


class Signs:
    """The table, with what an operator decides otherwise."""

    def __init__(self, otherwise: Mapping[str, Verdict] | None = None) -> None:
        """Take the table over.

        Args:
            otherwise: verdicts by sign, for signs of the table and for any Xid.

        Raises:
            BadInput: a sign is unknown.
        """
        self._otherwise = dict(otherwise or {})
        for name in self._otherwise:
            if name not in TABLE and not _is_xid(name):
                known = ", ".join(sorted(_CONDITIONS))
                raise BadInput(
                    "inventory.health", f"there is no sign {name[:40]!r}",
                    f"write xid-<number>, or one of {known}",
                )  # fmt: skip

    def rule(self, sign: str) -> Rule:
        """What a sign means; an Xid that nobody knows is told and changes nothing."""
        known = TABLE.get(sign) or Rule(Verdict.WARN, "")
        text = known.text or f"the driver reported {sign.replace('xid-', 'Xid ')}"
        return Rule(self._otherwise.get(sign, known.verdict), text)

    def judge(self, signs: Iterable[str]) -> tuple[Health, str]:
        """The health of a device with these signs, and the worst of them in words.

        A warning leaves it ``ok`` and has words all the same; where nothing is wrong they are "".
        """
        rules = [self.rule(sign) for sign in signs]
        worst = max(rules, key=lambda rule: rule.verdict.weight, default=None)
        if worst is None or worst.verdict is Verdict.IGNORE:
            return Health.OK, ""
        return _HEALTH.get(worst.verdict, Health.OK), worst.text


def _is_xid(name: str) -> bool:
    return name.startswith("xid-") and name[4:].isdecimal() and len(name) <= len("xid-99999")
