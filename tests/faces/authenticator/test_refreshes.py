"""When somebody is looked up again, and how long a provider's silence is borne."""

from mlhub.authenticator.refreshes import Refreshes


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_was_looked_up_just_now_is_not_asked_again() -> None:
    ticks = Ticks()
    refreshes = Refreshes(60, ticks)
    assert not refreshes.just_done("alice")
    refreshes.succeeded("alice")
    assert refreshes.just_done("alice")
    assert not refreshes.just_done("bob")
    ticks.now = 2.5
    assert not refreshes.just_done("alice")


def test_silence_is_borne_for_the_grace_and_no_longer() -> None:
    ticks = Ticks()
    refreshes = Refreshes(60, ticks)
    assert refreshes.silence_is_bearable("alice")
    ticks.now = 59
    assert refreshes.silence_is_bearable("alice")
    ticks.now = 61
    assert not refreshes.silence_is_bearable("alice")


def test_an_answer_ends_the_silence() -> None:
    ticks = Ticks()
    refreshes = Refreshes(60, ticks)
    refreshes.silence_is_bearable("alice")
    ticks.now = 59
    refreshes.succeeded("alice")
    ticks.now = 100
    assert refreshes.silence_is_bearable("alice")


def test_without_grace_no_silence_is_borne() -> None:
    assert not Refreshes(0, Ticks()).silence_is_bearable("alice")
