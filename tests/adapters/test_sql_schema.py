"""The schema's history: upgrades keep what is there, and a newer one is left alone."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mlhub.adapters.sql import schema, tables
from mlhub.adapters.sql.database import Database
from mlhub.adapters.sql.rows import audit_row, claim_row, lease_row, usage_row
from mlhub.broker.ports import Page
from mlhub.core.errors import LedgerUnavailable, SchemaMismatch
from tests.adapters.deciding import does, note, used
from tests.core.making import claim, lease

DOCUMENTED = Path(__file__).parents[2] / "docs" / "reference" / "database.md"


@pytest.fixture
def by_hand(url):
    """The database without a store."""
    database = Database(url)
    yield database
    database.close()


def fill(connection):
    """Rows as the first schema had them."""
    row = lease("l1", "a")
    connection.execute(sa.insert(tables.claims), [claim_row(claim("c1"))])
    connection.execute(sa.insert(tables.leases), [lease_row(row)])
    slot = {"device": "GPU-a", "slot": 0, "shares": 1, "lease_id": "l1"}
    connection.execute(sa.insert(tables.lease_devices), [slot])
    connection.execute(sa.insert(tables.usage), [usage_row(used(row))])
    connection.execute(sa.insert(tables.audit), [audit_row(note("old"))])


async def test_the_migrations_make_the_tables_that_the_queries_use(url, opened):
    await (await opened(url)).close()
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": schema.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, tables.metadata) == []


async def test_an_upgrade_from_the_first_schema_keeps_what_is_there(url, by_hand, opened):
    with by_hand.transaction() as connection:
        schema.upgrade(connection, "0001")
        fill(connection)
    with by_hand.transaction() as connection:
        assert schema.current(connection) == "0001"
        connection.execute(sa.update(tables.audit).values(actor="before the triggers"))
    store = await opened(url)
    ledger = await store.snapshot()
    assert (set(ledger.claims), set(ledger.leases)) == ({"c1"}, {"l1"})
    assert [row.lease_id for _, row in await store.usage(None, Page())] == ["l1"]
    assert [row.actor for _, row in await store.audit(None, Page())] == ["before the triggers"]
    await store.update(does(audit=[note("new")]))
    await store.close()
    with pytest.raises(LedgerUnavailable, match="append-only"), by_hand.transaction() as connection:
        connection.execute(sa.update(tables.audit).values(actor="eve"))


async def test_a_newer_schema_is_refused_with_both_revisions_and_left_as_it_is(
    url, by_hand, opened
):
    await (await opened(url)).close()
    newer = f"UPDATE {schema.VERSION_TABLE} SET version_num = '%s'"
    with by_hand.transaction() as connection:
        head = schema.current(connection)
        connection.exec_driver_sql(newer % "9999")
    with pytest.raises(SchemaMismatch, match=rf"9999.*{head}.*Install"):
        await opened(url)
    with by_hand.transaction() as connection:
        assert schema.current(connection) == "9999"
        connection.exec_driver_sql(newer % head)
    await opened(url)


async def test_an_upgrade_that_fails_leaves_the_former_schema_whole(url, by_hand, opened):
    with by_hand.transaction() as connection:
        schema.upgrade(connection, "0001")
        for statement in in_the_way(connection.dialect.name):
            connection.exec_driver_sql(statement)
    with pytest.raises(LedgerUnavailable, match="audit_records"):
        await opened(url)
    with by_hand.transaction() as connection:
        assert schema.current(connection) == "0001"
        fill(connection)
        connection.execute(sa.update(tables.usage).values(user_name="no trigger stops this"))


def in_the_way(dialect):
    """Triggers with names that the second migration wants to give, after it has made others."""
    if dialect == "sqlite":
        return ["CREATE TRIGGER audit_records_no_update AFTER INSERT ON audit_records "
                "BEGIN SELECT 1; END"]  # fmt: skip
    return [
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER audit_records_append_only BEFORE INSERT ON audit_records "
        "FOR EACH ROW EXECUTE FUNCTION nothing()",
    ]


async def test_another_programs_alembic_table_in_the_same_database_is_left_alone(
    url, by_hand, opened
):
    with by_hand.transaction() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('a hub''s own')")
    await (await opened(url)).close()
    with by_hand.transaction() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        assert found == "a hub's own"


def test_every_table_and_column_is_described():
    text = DOCUMENTED.read_text()
    words = set(re.findall(r"`(\w+)`", text))
    columns = {column.name for table in tables.metadata.tables.values() for column in table.c}
    assert {*tables.metadata.tables, schema.VERSION_TABLE, *columns} <= words


async def test_the_queries_for_gpu_hours_in_the_documentation_work(url, opened):
    text = DOCUMENTED.read_text()
    on_postgresql, on_sqlite = re.findall(r"```sql\n(.+?);\n```", text, re.DOTALL)
    store = await opened(url)
    row = lease("l1", "a", "b")
    await store.update(does(leases=[row], usage=[used(row, 3), used(row, 1)]))
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        query = on_sqlite if url.startswith("sqlite") else on_postgresql
        [(user, flavor, hours)] = connection.exec_driver_sql(query).all()
    assert (user, flavor, round(float(hours), 3)) == ("ada", "a100", 8)
