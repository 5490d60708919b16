"""The exit codes of every command, and what each of them means."""

from enum import IntEnum


class Exit(IntEnum):
    """What a command tells the program that called it."""

    OK = 0
    FAILED = 1
    """It could not be done; the one line on standard error says why."""
    USAGE = 2
    """The words of the command were not understood."""
    NOT_RUNNING = 3
    """There is no running stack to ask."""
    UNREACHABLE = 3
    """The service does not answer."""
    OTHERWISE = 4
    """It runs, but otherwise than asked for."""
    REFUSED = 4
    """The service said no; the one line on standard error says why."""
