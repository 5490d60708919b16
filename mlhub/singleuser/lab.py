"""How JupyterLab shows itself in a user's server: which of its own plugins stay off."""

from collections.abc import Callable
from typing import Any

from tornado.web import RequestHandler

NEWS = "@jupyterlab/apputils-extension:announcements"
"""It asks everybody whether to fetch news from outside, where many hubs cannot reach."""

HOOK = "page_config_hook"
OFF = "disabledExtensions"
Hook = Callable[[RequestHandler, dict[str, Any]], dict[str, Any]]


def without_news(settings: dict[str, Any]) -> None:
    """Leave the plugin for news out of the page, after whatever else changes the page's settings.

    Args:
        settings: of the server's web application, where JupyterHub may have put a hook of its own.
    """
    former: Hook | None = settings.get(HOOK)

    def changed(handler: RequestHandler, page_config: dict[str, Any]) -> dict[str, Any]:
        found = former(handler, page_config) if former else page_config
        found[OFF] = sorted({*found.get(OFF, ()), NEWS})
        return found

    settings[HOOK] = changed
