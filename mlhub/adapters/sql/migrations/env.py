"""How Alembic runs here: on the connection of the one who upgrades, all in its transaction."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    # SQLite's DDL is transactional too: an upgrade that is cut off leaves the former schema.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
