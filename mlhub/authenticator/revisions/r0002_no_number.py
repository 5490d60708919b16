"""The number by which the first versions knew their table makes way for the migrations' own."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Drop it; a database that never had it loses nothing."""
    op.drop_table("mlhub_identities_schema", if_exists=True)
