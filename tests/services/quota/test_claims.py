"""Claims by HTTP: granted, queued, denied, repeated, taken back."""

from tests.services.quota.desk import Desk


async def test_a_free_gpu_is_granted_at_once(desk: Desk):
    answer = await desk.claim("ada")
    assert answer.status == 201
    assert answer.body["state"] == "granted"
    lease = answer.body["lease"]
    assert (lease["user"], lease["count"], lease["status"]) == ("ada", 1, "held")
    assert len(lease["devices"]) == 1


async def test_the_inventory_counts_what_is_held(desk: Desk):
    await desk.lease("ada", count=3)
    answer = await desk.ask("GET", "inventory", who="bob")
    flavor = answer.body["flavors"][0]
    assert (flavor["total"], flavor["free"], flavor["held"], flavor["now"]) == (4, 1, 3, True)
