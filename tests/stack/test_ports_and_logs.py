"""Ports that are free or taken, and logs that do not grow for ever."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mlhub.stack import logs, ports
from mlhub.stack.problems import StackProblem
from tests.waiting import wait_until


def test_internal_ports_are_different_and_can_be_opened():
    found = ports.free_internal(5)
    assert len(set(found)) == 5
    assert all(ports.is_free("127.0.0.1", port) for port in found)


def test_a_taken_port_names_who_has_it():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StackProblem) as refused:
            ports.require_free("127.0.0.1", port)
    assert f"Port {port} on 127.0.0.1 is taken by" in refused.value.message
    assert f"(process {os.getpid()})" in refused.value.message
    assert f"--port {port + 100}" in refused.value.remedy


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(StackProblem, match=r"192\.0\.2\.1 is no address of this.*--host"):
        ports.require_free("192.0.2.1", 8000)


def test_a_large_log_is_moved_aside_while_it_is_being_written(tmp_path: Path):
    path = tmp_path / "part.log"
    code = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
    descriptor = logs.open_log(path)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=descriptor, text=True
    ) as writer:
        os.close(descriptor)
        for number in range(4):
            writer.stdin.write(f"{number}" * 60 + "\n")
            writer.stdin.flush()
            wait_for_size(path, 61)
            assert logs.rotate(path, largest=50, kept=2)
        writer.stdin.close()
    kept = {p.name: p.read_text()[:1] for p in tmp_path.iterdir()}
    assert kept == {"part.log": "", "part.log.1": "3", "part.log.2": "2"}


def wait_for_size(path: Path, size: int) -> None:
    wait_until(lambda: path.stat().st_size >= size, within_s=5, what=f"{size} bytes in {path}")


def test_a_small_or_missing_log_is_left_alone(tmp_path: Path):
    assert not logs.rotate(tmp_path / "missing.log")
    (tmp_path / "small.log").write_text("a line\n")
    assert not logs.rotate(tmp_path / "small.log")


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path):
    (tmp_path / "part.log").write_text("".join(f"line {n}\n" for n in range(5000)))
    assert logs.tail(tmp_path / "part.log", lines=2) == ["line 4998", "line 4999"]
    assert logs.tail(tmp_path / "none.log") == []
