"""What can go wrong with the stack, said in the user's words."""

from __future__ import annotations


class AlreadyRuns(Exception):
    """Another `mlhub up` holds this home."""


class StackProblem(Exception):
    """The stack cannot do what was asked.

    Attributes:
        message: What is wrong, with the name, port or path that it is about.
        remedy: What the person can do about it.
    """

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(f"{message}. {remedy}")
        self.message = message
        self.remedy = remedy
