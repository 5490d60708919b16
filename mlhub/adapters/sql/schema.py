"""Bringing a database to the newest schema, or saying why that cannot be done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from mlhub.core.errors import SchemaMismatch

# Not Alembic's own name: JupyterHub may keep its tables in the same database.
VERSION_TABLE: Final = "ledger_schema"
MIGRATIONS: Final = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class History:
    """The revisions that some tables went through.

    Attributes:
        what: What people call these tables.
        version_table: Where a database notes its revision.
        revisions: The directory of the modules, one for each revision.
    """

    what: str
    version_table: str
    revisions: Path


LEDGER: Final = History("ledger", VERSION_TABLE, MIGRATIONS / "versions")


def upgrade(connection: Connection, target: str = "head", *, history: History = LEDGER) -> None:
    """Bring the database to a revision, within the connection's transaction.

    Raises:
        SchemaMismatch: a newer mlhub wrote it.
    """
    config = _config(connection, history)
    scripts = ScriptDirectory.from_config(config)
    newest = scripts.get_current_head()
    present = current(connection, history=history)
    if present == newest:
        return
    if present is not None and present not in {row.revision for row in scripts.walk_revisions()}:
        raise SchemaMismatch(
            f"The {history.what} has schema revision {present}, and this mlhub knows revisions up "
            f"to {newest}: a newer mlhub wrote it. Install that version again, or restore the copy "
            "of the database that was made before its upgrade."
        )
    command.upgrade(config, target)


def _config(connection: Connection, history: History) -> Config:
    config = Config(attributes={"connection": connection, "version_table": history.version_table})
    places = {"script_location": MIGRATIONS, "version_locations": history.revisions}
    for name, place in places.items():
        # Alembic reads % as the begin of a variable.
        config.set_main_option(name, str(place).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")  # a path may hold blanks and commas
    return config


def current(connection: Connection, *, history: History = LEDGER) -> str | None:
    """The revision that the database has; None when it is empty."""
    context = MigrationContext.configure(connection, opts={"version_table": history.version_table})
    return context.get_current_revision()
