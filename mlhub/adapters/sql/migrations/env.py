"""How Alembic runs here: on the connection of the one who upgrades, all in its transaction.

Both databases can take back changes of tables, so an upgrade that is cut off leaves the former
schema whole.
"""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
)
with context.begin_transaction():
    context.run_migrations()
