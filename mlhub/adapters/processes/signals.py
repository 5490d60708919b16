"""Signals that reach the process that was meant, or none."""

from __future__ import annotations

import errno
import logging
import os
import signal

from mlhub.adapters.processes.table import ProcessTable, Seen

log = logging.getLogger(__name__)


def send(table: ProcessTable, process: Seen, number: signal.Signals) -> bool:
    """Signal that very process; True when it was still there.

    The number is fixed with a file descriptor first and looked at again after that, so that it
    cannot be given to another process in between.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError as error:
        return error.errno == errno.ENOSYS and _send_by_number(table, process, number)
    try:
        if _still(table, process):
            signal.pidfd_send_signal(descriptor, number)
            return True
    except OSError as error:
        _note(process, error)
    finally:
        os.close(descriptor)
    return False


def _send_by_number(table: ProcessTable, process: Seen, number: signal.Signals) -> bool:
    """For kernels before 5.3, and those that hide the newer call."""
    try:
        if _still(table, process):
            os.kill(process.pid, number)
            return True
    except OSError as error:
        _note(process, error)
    return False


def _still(table: ProcessTable, process: Seen) -> bool:
    now = table.find(process.pid)
    return now is not None and now.ticks == process.ticks


def _note(process: Seen, error: OSError) -> None:
    if not isinstance(error, ProcessLookupError):
        log.warning("process %d of %s cannot be ended: %s", process.pid, process.user, error)
