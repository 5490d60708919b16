"""A process that locks a ledger's database as another program might, until its input ends.

python -m tests.adapters.locker_process URL
"""

import sys

import sqlalchemy as sa


def lock(url: str) -> None:
    """Hold the lock until somebody closes this process's input."""
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
        else:
            connection.exec_driver_sql("LOCK TABLE ledger_owner IN ACCESS EXCLUSIVE MODE")
        print("locked", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    lock(sys.argv[1])
