"""A thread for calls that may hang: it never blocks the loop, and comes back when they do."""

import asyncio
import threading

import pytest

from mlhub.lane import Lane
from tests.adapters.running import until


@pytest.fixture
def lane(request):
    lane = Lane(request.node.name)
    yield lane
    lane.close()


async def test_calls_are_made_one_after_the_other_in_one_thread(lane, request):
    async def name() -> str:
        return await lane.do(lambda: threading.current_thread().name, timeout_s=60)

    assert set(await asyncio.gather(*(name() for _ in range(20)))) == {request.node.name}


async def test_what_a_call_raises_is_the_callers_and_the_lane_goes_on(lane):
    with pytest.raises(ZeroDivisionError):
        await lane.do(lambda: 1 // 0, timeout_s=60)
    with pytest.raises(SystemExit):
        await lane.do(exit, timeout_s=60)
    assert lane.wait(lambda: 3, timeout_s=60) == 3


async def test_the_loop_goes_on_while_a_call_hangs_and_those_behind_it_are_never_made(lane):
    go_on, made = threading.Event(), []
    hanging = asyncio.create_task(lane.do(go_on.wait, timeout_s=60))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await lane.do(lambda: made.append("behind"), timeout_s=0.05)
    go_on.set()
    assert await hanging
    assert await lane.do(lambda: "again", timeout_s=60) == "again"
    assert made == []


async def test_behind_a_call_that_has_hung_for_too_long_nothing_is_waited_for(lane):
    begun, go_on = threading.Event(), threading.Event()

    def hang() -> str:
        begun.set()
        go_on.wait()
        return "after all"

    hanging = asyncio.create_task(lane.do(hang, timeout_s=60))
    await until(begun.is_set, "the call was begun")
    await asyncio.sleep(0.05)
    for _ in range(3):
        with pytest.raises(TimeoutError, match=r"a call has not ended for 0\.01 s"):
            await lane.do(lambda: None, timeout_s=0.01)
        with pytest.raises(TimeoutError, match=r"a call has not ended for 0\.01 s"):
            lane.wait(lambda: None, timeout_s=0.01)
    go_on.set()
    assert await hanging == "after all"
    assert await lane.do(lambda: "again", timeout_s=60) == "again"


def test_a_lane_never_keeps_the_program_alive_and_ends_when_it_is_closed(lane, request):
    go_on = threading.Event()
    lane.wait(lambda: "begun", timeout_s=60)
    with pytest.raises(TimeoutError):
        lane.wait(go_on.wait, timeout_s=0.01)
    (thread,) = (row for row in threading.enumerate() if row.name == request.node.name)
    assert thread.daemon
    lane.close()
    go_on.set()
    thread.join(5)
    assert not thread.is_alive()


async def test_a_lane_that_was_idle_for_long_is_not_taken_for_hung(lane):
    assert await lane.do(lambda: "first", timeout_s=60) == "first"
    await asyncio.sleep(2.1)
    assert await lane.do(lambda: "second", timeout_s=2) == "second"
