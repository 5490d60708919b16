"""What a caller of the quota service has to expect: no answer, or a refusal with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlhub.core.errors import MlhubError


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal as the service words it: RFC 9457's members, and ours where they apply.

    Attributes:
        detail: what was wrong, for the person who asked.
        field: which part of the request is wrong.
        remedy: what to do instead.
        reason: the rule that decided, as in `mlhub.core.decisions.Reason`.
        limit, used, unit: of that rule, where it counts something.
        retry_at: when asking again may go better.
    """

    status: int
    title: str = ""
    detail: str = ""
    type: str = "about:blank"
    instance: str = ""
    field: str = ""
    remedy: str = ""
    reason: str = ""
    limit: int | None = None
    used: int | None = None
    unit: str = ""
    retry_at: datetime | None = None
    state: str = ""
    claim: str = ""

    @property
    def text(self) -> str:
        """What a person should read: the detail and the remedy."""
        words = self.detail or self.title or f"the service answered {self.status}"
        return f"{words} ({self.remedy})" if self.remedy else words


class Refused(MlhubError):
    """The service decided, and the answer is no; asking the same again changes nothing.

    Attributes:
        problem: why, and what can be done.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.text)


class ServiceUnavailable(MlhubError):
    """No answer that can be used came in time; whether anything was changed is not known.

    Asking again with the same idempotency key is safe.

    Attributes:
        url: the service's address.
        why: what went wrong at the last try, in a few words.
        tries: how often it was asked.
    """

    def __init__(self, url: str, why: str, tries: int) -> None:
        self.url = url
        self.why = why
        self.tries = tries
        times = "once" if tries == 1 else f"{tries} times"
        super().__init__(f"the GPU service at {url} cannot be used: {why} (asked {times})")


class AskedTooOften(ServiceUnavailable):
    """The service answers, and takes no asks of this user before `wait_s`; `why` says it in words.

    The last try changed nothing. What became of an earlier one without an answer is not known.

    Attributes:
        wait_s: seconds after which it asks to be asked again.
    """

    def __init__(self, url: str, why: str, tries: int, *, wait_s: float) -> None:
        super().__init__(url, why, tries)
        self.wait_s = wait_s

    def __str__(self) -> str:
        return self.why


class NoToken(MlhubError):
    """There is no credential to ask with: the file is missing, empty or not a token's."""
