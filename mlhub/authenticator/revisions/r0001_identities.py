"""The table of identities; one that was made before there were migrations is kept as it is."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TABLE = "mlhub_identities"


def upgrade() -> None:
    """Make it."""
    if sa.inspect(op.get_bind()).has_table(TABLE):
        return
    op.create_table(
        TABLE,
        sa.Column("namespace", sa.String(255), primary_key=True),
        sa.Column("subject", sa.String(255), primary_key=True),
        sa.Column("user_name", sa.String(32), nullable=False, index=True),
        sa.Column("uid", sa.BigInteger),
        sa.Column("bound_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
    )
