"""Checks of the NVML adapter against a real driver: `python -m pytest tests/gpu/check_nvml.py`.

Not collected by a plain run, which has to pass on machines without a GPU.
"""

import subprocess
import sys

import pytest

from mlhub.adapters.clock import SystemClock
from mlhub.adapters.nvml import NvmlInventory
from mlhub.adapters.processes import ProcessTable
from mlhub.core.devices import flavors_of
from tests.adapters.running import line_of, running

LEASE = "lease-of-the-check"
MIB = 256
WORKING = f"""
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
for code in (
    cuda.cuInit(0),
    cuda.cuDeviceGet(ctypes.byref(device), 0),
    cuda.cuCtxCreate_v2(ctypes.byref(context), 0, device),
    cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t({MIB} << 20)),
):
    if code:
        sys.exit(f"CUDA error {{code}}")
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def inventory():
    inventory = NvmlInventory("here", SystemClock(), ProcessTable().owner)
    reason = inventory.probe()
    assert reason is None, f"these checks need an NVIDIA driver: {reason}"
    yield inventory
    inventory.close()


def by_nvidia_smi() -> dict[str, list[str]]:
    fields = "--query-gpu=uuid,index,name,memory.total"
    done = subprocess.run(
        ["nvidia-smi", fields, "--format=csv,noheader,nounits"],
        text=True, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    rows = (line.split(", ") for line in done.stdout.splitlines())
    return {uuid: rest for uuid, *rest in rows}


async def test_every_gpu_is_as_nvidia_smi_shows_it(inventory):
    devices = (await inventory.read()).devices
    assert devices
    whole = {
        row.uuid: [str(row.index), row.model, str(row.memory)]
        for row in devices
        if row.profile is None
    }
    divided = {row.parent for row in devices if row.profile}
    shown = by_nvidia_smi()
    assert whole == {uuid: row for uuid, row in shown.items() if uuid not in divided}
    assert divided <= shown.keys()
    assert all(row.usable or row.trouble for row in devices)
    stock = (await inventory.read()).stock(flavors_of(devices))
    assert sum(map(len, stock.devices.values())) == len(devices)


async def test_every_device_has_a_load_and_mig_devices_no_utilisation(inventory):
    devices = {row.uuid: row for row in (await inventory.read()).devices}
    loads = await inventory.load()
    assert [row.device for row in loads] == list(devices)
    for row in loads:
        device = devices[row.device]
        assert row.memory_used is None or 0 <= row.memory_used <= device.memory
        assert row.utilisation is None or (0 <= row.utilisation <= 100 and not device.profile)


async def test_a_process_that_computes_is_seen_with_its_lease_and_its_memory(inventory):
    device = next(row for row in (await inventory.read()).devices if row.usable)
    environment = {"CUDA_VISIBLE_DEVICES": device.uuid}
    with running(sys.executable, "-c", WORKING, lease=LEASE, env=environment) as process:
        assert line_of(process) == "ready"
        (use,) = [use for use in await inventory.processes() if use.lease_id == LEASE]
        assert (use.device, use.pid, use.graphics) == (device.uuid, process.pid, False)
        assert use.memory is None or use.memory >= MIB
    assert all(use.pid != process.pid for use in await inventory.processes())
