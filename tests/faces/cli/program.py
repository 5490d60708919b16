"""The command `mlhub` as people and programs run it: a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MLHUB = Path(sys.executable).with_name("mlhub")
LIMIT_S = 60.0


@dataclass(frozen=True)
class Ran:
    """What a run of the command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """What it printed for programs."""
        return json.loads(self.out)


async def mlhub(*words: str, home: Path, **environ: str) -> Ran:
    """Runs `mlhub` to its end, with nothing of ours in its environment but `environ`."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        MLHUB,
        *words,
        env=kept | {"MLHUB_HOME": str(home), "HOME": str(home), "TZ": "UTC"} | environ,
        cwd=home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in err, err.decode()
    return Ran(process.returncode, out.decode(), err.decode())
