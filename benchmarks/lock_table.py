"""The peer: a bare SQLite table of locks with the ledger's durability, and nothing else."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path


def claims_per_second(path: Path, seconds: float, devices: int = 100) -> float:
    """Locks taken and given back, each in a durable transaction of its own, a second."""
    table = sqlite3.connect(path, isolation_level=None)
    table.execute("PRAGMA journal_mode=WAL")
    table.execute("PRAGMA synchronous=FULL")
    table.execute("CREATE TABLE lock (device INTEGER PRIMARY KEY, holder TEXT)")
    table.executemany("INSERT INTO lock VALUES (?, NULL)", [(number,) for number in range(devices)])
    end, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        device = _take(table, f"user-{count}")
        table.execute("UPDATE lock SET holder = NULL WHERE device = ?", (device,))
        count += 1
    table.close()
    return count / seconds


def _take(table: sqlite3.Connection, holder: str) -> int:
    table.execute("BEGIN IMMEDIATE")
    row = table.execute("SELECT device FROM lock WHERE holder IS NULL LIMIT 1").fetchone()
    table.execute("UPDATE lock SET holder = ? WHERE device = ?", (holder, row[0]))
    table.execute("COMMIT")
    return int(row[0])
