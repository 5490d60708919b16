"""Which processes of this machine belong to a lease: what the kernel says in /proc."""

from mlhub.adapters.processes.observer import ProcessObserver
from mlhub.adapters.processes.table import ProcessTable, Seen

__all__ = ["ProcessObserver", "ProcessTable", "Seen"]
