"""Rows of the database: what goes in comes out the same, whatever it is."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlhub.adapters.sql import rows, schema, tables
from mlhub.adapters.sql.database import Database
from mlhub.core.claims import Ask, Claim, ClaimState, HolderKind, Placement
from mlhub.core.errors import BadInput
from mlhub.core.leases import EndReason, Lease, LeaseStatus, Target
from mlhub.core.ledger import AuditRecord, UsageEntry
from tests.adapters.conftest import SQL
from tests.adapters.deciding import note, used
from tests.core.making import lease

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
NAMES = st.lists(TEXTS, max_size=3).map(tuple)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30))])
TIMES = st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1), timezones=ZONES)
COUNTS = st.integers(0, 10**6)
ASKS = st.builds(
    Ask, user=TEXTS, server=TEXTS, flavor=TEXTS, count=COUNTS,
    duration=st.timedeltas(timedelta(0), timedelta(days=3650)), wait=st.booleans(),
    kind=st.sampled_from(HolderKind), options=TEXTS, groups=NAMES,
)  # fmt: skip
CLAIMS = st.builds(
    Claim, id=TEXTS, key=TEXTS, ask=ASKS, priority=st.integers(-(2**63), 2**63 - 1),
    submitted_at=TIMES, state=st.sampled_from(ClaimState), decided_at=st.none() | TIMES,
    lease_id=TEXTS, why=TEXTS, told=TEXTS, blocked=TEXTS,
)  # fmt: skip
MAYBE = st.none() | TIMES
LEASES = st.builds(
    Lease, id=TEXTS, claim_id=TEXTS, ask=ASKS,
    placement=st.builds(
        Placement, node=TEXTS, devices=NAMES, memory=st.integers(0, 2**40),
        shares=st.lists(COUNTS, max_size=3).map(tuple),
    ),
    granted_at=TIMES, start_by=TIMES, ends_at=TIMES, target=st.sampled_from(Target),
    status=st.sampled_from([state for state in LeaseStatus if state != LeaseStatus.ENDED]),
    from_queue=st.booleans(), starts=COUNTS, start_asked_at=MAYBE, stop_asked_at=MAYBE,
    holder=TEXTS, started_at=MAYBE, used_at=MAYBE, warned_at=MAYBE, seen_at=MAYBE,
    billed_until=MAYBE, ended_at=MAYBE, reason=st.none() | st.sampled_from(EndReason),
    why=TEXTS, by=TEXTS,
)  # fmt: skip
USAGE = st.builds(
    UsageEntry, lease_id=st.just("l1"), user=TEXTS, server=TEXTS, groups=NAMES, flavor=TEXTS,
    devices=NAMES, start=TIMES, end=st.just(datetime(2201, 1, 1, tzinfo=UTC)),
    price=st.decimals(allow_nan=False, allow_infinity=False),
)  # fmt: skip
AUDIT = st.builds(
    AuditRecord, at=TIMES, actor=TEXTS, action=TEXTS, subject=TEXTS, user=TEXTS, detail=TEXTS
)
thorough = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", params=SQL)
def database(request, tmp_path_factory):
    """A database with all tables and one lease."""
    url = f"sqlite:///{tmp_path_factory.mktemp('rows')}/rows.sqlite"
    if request.param != "sqlite":
        url = request.getfixturevalue("postgres").new_database()
    kept = Database(url)
    with kept.transaction() as connection:
        schema.upgrade(connection)
        connection.execute(sa.insert(tables.leases), [rows.lease_row(lease("l1", "a"))])
    yield kept
    kept.close()


def there_and_back(database, table, row, decode):
    """What is read of a row that was written; the row does not stay."""
    mine = table.c.number == sa.select(sa.func.max(table.c.number)).scalar_subquery() if (
        "number" in table.c) else table.c.id == row["id"]  # fmt: skip
    with database.transaction() as connection:
        connection.execute(sa.insert(table), [row])
        value = decode(connection.execute(sa.select(table).where(mine)).mappings().one())
        connection.rollback()
    return value


@thorough
@given(claim=CLAIMS)
def test_a_claim_comes_back_as_it_was(database, claim):
    back = there_and_back(database, tables.claims, rows.claim_row(claim), rows.claim_of)
    assert back == claim


@thorough
@given(kept=LEASES.filter(lambda row: row.id != "l1"))
def test_a_lease_comes_back_as_it_was(database, kept):
    assert there_and_back(database, tables.leases, rows.lease_row(kept), rows.lease_of) == kept


@thorough
@given(entry=USAGE)
def test_a_usage_entry_comes_back_as_it_was(database, entry):
    assert there_and_back(database, tables.usage, rows.usage_row(entry), rows.usage_of) == entry


@thorough
@given(record=AUDIT)
def test_an_audit_record_comes_back_as_it_was(database, record):
    assert there_and_back(database, tables.audit, rows.audit_row(record), rows.audit_of) == record


@pytest.mark.parametrize("bad", ["a\0b", "\ud800", "x\udfff"], ids=ascii)
def test_a_text_with_what_is_no_character_is_refused(bad):
    with pytest.raises(BadInput, match="not text"):
        rows.audit_row(note(bad))


def test_names_in_lists_may_hold_anything():
    entry = used(lease("l1", "a", groups=("a\0b", "\ud800")))
    assert rows.usage_of(rows.usage_row(entry)) == entry
