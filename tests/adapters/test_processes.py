"""What is seen of the holders of leases, with real processes."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mlhub.adapters.clock import ManualClock, SystemClock
from mlhub.adapters.processes import ProcessObserver, ProcessTable
from mlhub.adapters.processes.ender import send
from mlhub.core.leases import Lease
from mlhub.core.lifecycle import Presence
from tests.adapters.running import line_of, running, runs, tell, until
from tests.core.making import lease

REPOSITORY = Path(__file__).parents[2]
FAMILY = ("sh", "-c", "sleep 120 & echo $!; read x; exec sleep 120")
ORPHAN = ("sh", "-c", "sleep 120 & echo $!; read x")


@pytest.fixture
def observer():
    observer = ProcessObserver(SystemClock(), grace_s=0.3)
    yield observer
    observer.close()


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def held(name: str, holder: str = "") -> Lease:
    return lease(name, "n1-0", holder=holder)


async def seen(observer: ProcessObserver, row: Lease) -> Presence:
    return (await observer.observe([row]))[row.id].presence


async def test_a_process_is_written_down_so_that_no_other_can_be_meant(observer):
    with running() as process:
        found = await observer.holder_of(process.pid)
    boot, pid, ticks = found.holder.split("/")
    assert (boot, int(pid)) == (SystemClock().boot(), process.pid)
    assert int(ticks) > 0
    assert found.presence is Presence.THERE
    assert timedelta(0) <= found.age < timedelta(seconds=5)


async def test_the_number_of_no_process_is_no_holder(observer):
    with running("true") as process:
        process.wait()
    for pid in (process.pid, 0, -1, 2**40):
        assert (await observer.holder_of(pid)).presence is Presence.GONE


async def test_a_process_that_ended_is_gone_before_its_parent_has_noticed(observer):
    with running("sh", "-c", "read x", lease="L1") as process:
        holder = (await observer.holder_of(process.pid)).holder
        tell(process)
        await until(lambda: not runs(process.pid), "the process became a zombie")
        assert exists(process.pid)
        assert (await observer.holder_of(process.pid)).presence is Presence.GONE
        assert await seen(observer, held("L1", holder)) is Presence.GONE


async def test_a_lease_is_there_while_its_holder_runs_and_gone_after():
    clock = ManualClock()
    observer = ProcessObserver(clock)
    with running() as process:
        row = held("L1", (await observer.holder_of(process.pid)).holder)
        assert await seen(observer, row) is Presence.THERE
    clock.advance(timedelta(seconds=7))
    clock.step(timedelta(hours=-1))
    found = (await observer.observe([row]))["L1"]
    assert (found.presence, found.unseen) == (Presence.GONE, timedelta(seconds=7))


async def test_a_look_at_one_lease_does_not_forget_when_others_were_seen():
    clock = ManualClock()
    observer = ProcessObserver(clock)
    with running(lease="L1") as process:
        row = held("L1", (await observer.holder_of(process.pid)).holder)
        assert await seen(observer, row) is Presence.THERE
    clock.advance(timedelta(seconds=7))
    await observer.observe([held("L2")])
    assert (await observer.observe([row]))["L1"].unseen == timedelta(seconds=7)
    clock.advance(timedelta(hours=1))
    await observer.observe([held("L2")])
    assert (await observer.observe([row]))["L1"].unseen is None
    observer.close()


async def test_a_kernel_that_outlives_its_server_keeps_the_lease(observer):
    with running(*ORPHAN, lease="L1") as server:
        kernel = int(line_of(server))
        row = held("L1", (await observer.holder_of(server.pid)).holder)
        tell(server)
        server.wait()
        found = (await observer.observe([row]))["L1"]
        assert runs(kernel)
        assert (found.presence, found.holder) == (Presence.THERE, row.holder)
    assert await seen(observer, row) is Presence.GONE


async def test_a_holder_that_nobody_named_yet_is_found_by_its_lease(observer):
    with running(*FAMILY, lease="L1") as server:
        line_of(server)
        found = (await observer.observe([held("L1")]))["L1"]
        named = await observer.holder_of(server.pid)
        assert (found.presence, found.holder) == (Presence.THERE, named.holder)
        assert abs(found.age - named.age) < timedelta(seconds=2)


async def test_a_lease_that_nobody_uses_is_gone_and_was_never_seen(observer):
    found = (await observer.observe([held("nobody-has-this-one")]))["nobody-has-this-one"]
    assert (found.presence, found.unseen, found.holder) == (Presence.GONE, None, "")


async def test_a_number_that_was_given_to_another_process_is_not_the_holder(observer):
    with running() as process:
        boot, pid, ticks = (await observer.holder_of(process.pid)).holder.split("/")
        assert await seen(observer, held("L1", f"{boot}/{pid}/{int(ticks) - 1}")) is Presence.GONE
        assert await seen(observer, held("L1", f"earlier/{pid}/{ticks}")) is Presence.GONE
        assert await seen(observer, held("L1", f"{boot}/{pid}/{ticks}")) is Presence.THERE


async def test_a_holder_of_another_kind_is_unknown_here(observer):
    for holder in ("pod/gpu-1", "node-3", "a/b/c", "x/1/2/3"):
        assert await seen(observer, held("L1", holder)) is Presence.UNKNOWN


async def test_another_program_in_the_same_process_has_its_own_environment(observer):
    script = "echo; read x; MLHUB_LEASE_ID=L2 exec sleep 120"
    with running("sh", "-c", script, lease="L1") as process:
        line_of(process)
        first = await observer.observe([held("L1"), held("L2")])
        assert [found.presence for found in first.values()] == [Presence.THERE, Presence.GONE]
        tell(process)
        await until(
            lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n", "it went on"
        )
        second = await observer.observe([held("L1"), held("L2")])
        assert [found.presence for found in second.values()] == [Presence.GONE, Presence.THERE]


async def test_without_a_process_table_every_holder_is_unknown(tmp_path):
    observer = ProcessObserver(SystemClock(), table=ProcessTable(tmp_path / "proc"))
    assert await seen(observer, held("L1", "boot/1/1")) is Presence.UNKNOWN
    await observer.kill(held("L1", "boot/1/1"))


async def test_a_table_that_hangs_makes_holders_unknown_and_answers_again_later():
    class Hanging(ProcessTable):
        def scan(self):
            go_on.wait()
            return super().scan()

    go_on = threading.Event()
    observer = ProcessObserver(SystemClock(), table=Hanging(), timeout_s=0.1)
    with running(lease="L1"):
        assert await seen(observer, held("L1")) is Presence.UNKNOWN
        assert await seen(observer, held("L1")) is Presence.UNKNOWN
        go_on.set()
        again = ProcessObserver(SystemClock(), table=observer.table)
        assert await seen(again, held("L1")) is Presence.THERE


@pytest.mark.root
async def test_a_holder_of_another_os_user_is_seen_and_known_by_name(observer):
    with running(lease="L1", user="nobody", group="nogroup") as process:
        assert await seen(observer, held("L1")) is Presence.THERE
        assert observer.table.owner(process.pid) == ("nobody", "L1")


@pytest.mark.root
def test_without_rights_a_holder_is_seen_by_its_number_and_its_environment_is_not():
    with running(lease="L1") as process:
        told = as_nobody(
            f"""
            observer = ProcessObserver(SystemClock())
            named = (await observer.holder_of({process.pid})).holder
            for holder in (named, ""):
                print((await observer.observe([lease("L1", holder=holder)]))["L1"].presence)
            print(observer.table.owner({process.pid}))
            """
        )
    assert told == ["there", "gone", "('root', '')"]


@pytest.mark.root
def test_a_holder_that_the_system_hides_is_unknown_and_never_gone():
    with running(lease="L1") as process:
        told = as_nobody(
            f"""
            empty = TemporaryDirectory()
            observer = ProcessObserver(SystemClock(), table=ProcessTable(Path(empty.name)))
            print((await observer.holder_of({process.pid})).presence)
            row = lease("L1", holder=SystemClock().boot() + "/{process.pid}/1")
            print((await observer.observe([row]))["L1"].presence)
            empty.cleanup()
            """
        )
    assert told == ["unknown", "unknown"]


def as_nobody(body: str) -> list[str]:
    """The lines that a program prints which looks at processes without any rights."""
    lines = [line.removeprefix("            ") for line in body.strip("\n").splitlines()]
    script = "\n".join(
        [
            "import asyncio, os; from pathlib import Path; from tempfile import TemporaryDirectory",
            "from mlhub.adapters.clock import SystemClock",
            "from mlhub.adapters.processes import ProcessObserver, ProcessTable",
            "from tests.core.making import lease",
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)",
            "async def main():",
            *(f"    {line}" for line in lines),
            "asyncio.run(main())",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": "."},
        text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


async def test_a_sweep_ends_the_server_its_kernels_and_what_they_began(observer):
    script = "env -u MLHUB_LEASE_ID sleep 120 & echo $!; sleep 120 & echo $!; wait"
    with running("sh", "-c", script, lease="L1") as server, running(lease="L2") as other:
        mine = [int(line_of(server)), int(line_of(server)), server.pid]
        await observer.kill(held("L1", (await observer.holder_of(server.pid)).holder))
        assert not any(runs(pid) for pid in mine)
        assert runs(other.pid)


async def test_a_process_that_ignores_the_polite_signal_is_ended_all_the_same(observer):
    script = "trap '' TERM; echo; while :; do sleep 0.2; done"
    with running("sh", "-c", script, lease="L1") as server:
        line_of(server)
        await observer.kill(held("L1"))
        assert not runs(server.pid)


async def test_what_ignores_the_signal_and_hid_its_lease_is_ended_after_its_parent(observer):
    stubborn = "trap '' TERM; echo $$; while :; do sleep 0.2; done"
    script = 'env -u MLHUB_LEASE_ID sh -c "$0" & wait'
    with running("sh", "-c", script, stubborn, lease="L1") as server:
        child = int(line_of(server))
        await observer.kill(held("L1"))
        assert not runs(child)


async def test_a_process_gets_time_to_save_its_work(tmp_path):
    saved = tmp_path / "saved"
    script = f"trap 'sleep 0.5; echo yes > {saved}; exit' TERM; echo; while :; do sleep 0.05; done"
    observer = ProcessObserver(SystemClock(), grace_s=10)
    with running("sh", "-c", script, lease="L1") as server:
        line_of(server)
        await observer.kill(held("L1"))
    assert saved.read_text() == "yes\n"


async def test_a_kernel_is_asked_once_also_when_its_server_ends_before_it(tmp_path):
    asked = tmp_path / "asked"
    kernel = f"trap 'echo >> {asked}' TERM; echo $$; while :; do sleep 0.05; done"
    observer = ProcessObserver(SystemClock(), grace_s=1.0)
    with running("sh", "-c", 'sh -c "$0" & wait', kernel, lease="L1") as server:
        pid = int(line_of(server))
        await observer.kill(held("L1", (await observer.holder_of(server.pid)).holder))
        assert not runs(pid)
    observer.close()
    assert asked.read_text() == "\n"


async def test_a_process_that_has_the_number_of_an_old_holder_is_spared(observer):
    with running() as process:
        boot, pid, ticks = (await observer.holder_of(process.pid)).holder.split("/")
        for holder in (f"{boot}/{pid}/{int(ticks) - 1}", f"earlier/{pid}/{ticks}"):
            await observer.kill(held("L1", holder))
        assert runs(process.pid)


def test_a_signal_for_one_process_never_reaches_another_of_the_same_number():
    table = ProcessTable()
    with running() as process:
        right = table.find(process.pid)
        assert not send(table, replace(right, ticks=right.ticks - 1), signal.SIGKILL)
        assert runs(process.pid)
        assert send(table, right, signal.SIGKILL)
        process.wait()
        assert not send(table, right, signal.SIGKILL)


def test_neither_the_observer_itself_nor_those_above_it_are_ever_ended():
    script = """if True:
        import asyncio, os, subprocess
        from mlhub.adapters.clock import SystemClock
        from mlhub.adapters.processes import ProcessObserver
        from tests.core.making import lease

        async def main():
            observer = ProcessObserver(SystemClock(), grace_s=0.2)
            child = subprocess.Popen(["sleep", "60"])
            for pid in (os.getpid(), os.getppid()):
                holder = (await observer.holder_of(pid)).holder
                await observer.kill(lease("L1", "n1-0", holder=holder))
            print("alive", child.wait(10))

        asyncio.run(main())
    """
    bystander = "env -u MLHUB_LEASE_ID sleep 120"
    with running(
        "sh", "-c", f'{bystander} & "$@"; echo parent $?; kill $! && echo spared',
        "sh", sys.executable, "-c", script, lease="L1", cwd=REPOSITORY, env={"PYTHONPATH": "."},
    ) as parent:  # fmt: skip
        assert [line_of(parent) for _ in range(3)] == ["alive -15", "parent 0", "spared"]


@pytest.mark.root
async def test_only_the_owners_processes_hold_a_lease_or_are_ended_with_it():
    observer = ProcessObserver(SystemClock(), grace_s=0.3, uid_of=lambda user: os.getuid())
    try:
        with running("setpriv", "--reuid=65534", "sleep", "60", lease="L9") as foreign:
            await until(
                lambda: Path(f"/proc/{foreign.pid}").stat().st_uid == 65534, "it is somebody else's"
            )
            assert await seen(observer, held("L9")) is Presence.GONE
            await observer.kill(held("L9"))
            assert runs(foreign.pid)
            with running(lease="L9"):
                assert await seen(observer, held("L9")) is Presence.THERE
    finally:
        observer.close()


async def test_a_holder_is_named_truly_or_not_at_all(observer):
    with running(lease="L9") as mine, running(lease="L8") as other, running() as free:
        assert await observer.contradiction(mine.pid, held("L9")) == ""
        of_another = await observer.contradiction(other.pid, held("L9"))
        assert of_another == f"process {other.pid} was started for lease L8, not for L9"
        of_nobody = await observer.contradiction(free.pid, held("L9"))
        assert of_nobody == f"process {free.pid} was started for no lease, not for L9"
    assert await observer.contradiction(mine.pid, held("L9")) == "it has ended"
    somebody_else = ProcessObserver(SystemClock(), uid_of=lambda user: 65534)
    try:
        with running(lease="L9") as foreign:
            wrong = await somebody_else.contradiction(foreign.pid, held("L9"))
            assert wrong.endswith("not as ada")
    finally:
        somebody_else.close()


def test_an_environment_is_read_once_for_each_program(tmp_path):
    table = ProcessTable(tmp_path)
    write_process(tmp_path, 7, "odd) name (S 1", environment="A=1\0MLHUB_LEASE_ID=L7\0B=2\0")
    write_process(tmp_path, 8, "sh", environment="XMLHUB_LEASE_ID=no\0")
    assert {row.pid: row.lease_id for row in table.scan()} == {7: "L7", 8: ""}
    (tmp_path / "7" / "environ").unlink()
    assert {row.pid: row.lease_id for row in table.scan()} == {7: "L7", 8: ""}
    write_process(tmp_path, 7, "another", environment="MLHUB_LEASE_ID=L8\0")
    assert table.owner(7)[1] == "L8"


def test_a_line_that_the_kernel_never_writes_is_no_process(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text("7 (sh")
    (tmp_path / "8").mkdir()
    assert ProcessTable(tmp_path).scan() == []


def test_of_a_long_environment_the_end_counts_too(tmp_path):
    junk = "".join(f"JUNK{n}={'x' * 1000}\0" for n in range(600))
    write_process(tmp_path, 7, "sh", environment=f"{junk}MLHUB_LEASE_ID=L7\0")
    assert ProcessTable(tmp_path).owner(7)[1] == "L7"


def write_process(proc: Path, pid: int, name: str, *, environment: str) -> None:
    fields = ["S", "1", *["0"] * 17, "4711", *["0"] * 30]
    (proc / str(pid)).mkdir(exist_ok=True)
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    (proc / str(pid) / "environ").write_text(environment)


async def test_the_event_loop_goes_on_while_processes_are_looked_at(observer):
    threads = []

    class Noting(ProcessTable):
        def scan(self):
            threads.append(threading.current_thread())
            return super().scan()

    await ProcessObserver(SystemClock(), table=Noting()).observe([held("L1")])
    assert threads[0] is not threading.main_thread()
    assert threads[0].daemon
