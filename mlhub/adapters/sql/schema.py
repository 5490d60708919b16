"""Bringing a database to the newest schema, or saying why that cannot be done."""

from __future__ import annotations

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


def upgrade(connection: Connection, target: str = "head") -> None:
    """Bring the database to a revision, within the connection's transaction.

    Raises:
        SchemaMismatch: a newer mlhub wrote it.
    """
    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    # Alembic reads % as the begin of a variable.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    newest = scripts.get_current_head()
    present = current(connection)
    if present == newest:
        return
    if present is not None and present not in {row.revision for row in scripts.walk_revisions()}:
        raise SchemaMismatch(
            f"The ledger has schema revision {present}, and this mlhub knows revisions up to "
            f"{newest}: a newer mlhub wrote it. Install that version again, or restore the copy "
            "of the database that was made before its upgrade."
        )
    command.upgrade(config, target)


def current(connection: Connection) -> str | None:
    """The revision that the database has; None when it is empty."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()
