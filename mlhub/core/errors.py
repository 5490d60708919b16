"""The errors of the whole project: a small tree, each with a text a user can act on."""


class MlhubError(Exception):
    """Base of every error that mlhub raises on purpose."""


class BadInput(MlhubError):
    """Something that was asked for makes no sense; nothing was changed.

    Attributes:
        field: the path of what is wrong, such as ``ask.count``.
        problem: what is wrong with it, in the user's words.
        remedy: what to do instead.
    """

    def __init__(self, field: str, problem: str, remedy: str = "") -> None:
        self.field = field
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{field}: {problem}" + (f" ({remedy})" if remedy else ""))


class Conflict(MlhubError):
    """The same idempotency key came with another body, or the state does not allow the step."""


class NotFound(MlhubError):
    """No such claim, lease, flavor or user, or the asker may not know of it."""


class NotOwner(MlhubError):
    """Another process owns the ledger; this one must not write to it any more."""


class LedgerUnavailable(MlhubError):
    """The database cannot be reached or is busy; nothing was changed, and asking again is safe."""


class SchemaMismatch(MlhubError):
    """The database was written by a newer version of mlhub than this one."""


class InventoryUnavailable(MlhubError):
    """The hardware could not be asked; what is known of it is older than it may be."""


class HubUnavailable(MlhubError):
    """JupyterHub's API did not answer, or not in the way it should."""


class HubRefused(MlhubError):
    """JupyterHub answered, and said no; the text says why. Asking again does not help.

    Attributes:
        barred: the user may not have that, whoever asks; else it may be a matter of signing in.
        under_way: what was asked for is being done already, or is done.
    """

    def __init__(self, text: str, *, barred: bool = False, under_way: bool = False) -> None:
        self.barred = barred
        self.under_way = under_way
        super().__init__(text)


class BrokenInvariant(MlhubError):
    """Two facts that must agree do not; `mlhub doctor` says which."""
