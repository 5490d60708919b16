"""The ledger in SQLite or PostgreSQL: `SqlStore`."""

from mlhub.adapters.sql.store import SqlStore

__all__ = ["SqlStore"]
