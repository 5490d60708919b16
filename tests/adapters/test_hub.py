"""What the hub's refusals mean; the hub itself is asked in the tests of the quota service."""

from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from mlhub.adapters.hub import HubApi
from mlhub.core.errors import HubRefused


@asynccontextmanager
async def refusing(status, said):
    """A hub that refuses every start: its address."""

    async def refuse(request):
        if request.method == "GET":
            return web.json_response({"version": "6.1.1"})
        return web.json_response({"status": status, "message": said}, status=status)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}/hub/api"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "said", "meaning"),
    [
        (403, "There is no account for you here.", (True, False)),
        (403, "auth has expired for ada, login again", (False, False)),
        (409, "This server is being started already.", (False, True)),
        (400, "ada: is pending spawn", (False, True)),
        (400, "Invalid options", (False, False)),
    ],
)
async def test_a_refused_start_says_whether_the_user_may_have_it(status, said, meaning):
    async with refusing(status, said) as url:
        api = HubApi(url, "token")
        try:
            with pytest.raises(HubRefused, match=said) as refused:
                await api.start("ada", "", "{}")
        finally:
            await api.close()
    assert (refused.value.barred, refused.value.under_way) == meaning
