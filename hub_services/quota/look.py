"""The service's pages in JupyterHub's own look: its templates, its style, its navigation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, PrefixLoader
from jupyterhub._data import DATA_FILES_PATH

from hub_services.quota import words

OURS: Final = Path(__file__).parent / "templates"
THEIRS: Final = Path(DATA_FILES_PATH) / "templates"


@dataclass(frozen=True, slots=True)
class PageUser:
    """What the hub's page template asks of the user who is signed in."""

    name: str

    @property
    def json_escaped_name(self) -> str:
        """The name inside a JavaScript string."""
        return json.dumps(self.name)[1:-1].replace("<", "\\u003c")


class Look:
    """Renders templates of ours, which extend the hub's (``templates/page.html``).

    Args:
        hub_prefix: the hub's path, such as ``/hub/``: its static files and its logo are there.
        prefix: this service's path.
    """

    def __init__(self, hub_prefix: str, prefix: str) -> None:
        self.hub_prefix = hub_prefix
        self.prefix = prefix
        hub = FileSystemLoader(THEIRS)
        # The form and these pages share one stream for each browser: its script is the form's.
        theirs = PrefixLoader({"templates": hub, "picker": PackageLoader("mlhub.spawner")})
        loader = ChoiceLoader([theirs, FileSystemLoader(OURS), hub])
        self.templates = Environment(loader=loader, autoescape=True, auto_reload=False)
        words.install(self.templates)

    def render(self, template: str, user: str, facts: dict[str, Any]) -> str:
        """A page; `facts` are the template's variables beside the hub's own."""
        names = {
            "base_url": self.hub_prefix,
            "prefix": self.hub_prefix.removesuffix("hub/"),
            "service_url": self.prefix,
            "static_url": self.static_url,
            "user": PageUser(user) if user else None,
            "login_url": f"{self.hub_prefix}login",
            "logout_url": f"{self.hub_prefix}logout",
            "no_spawner_check": True,
            "parsed_scopes": {},
            "services": [],
        }
        return self.templates.get_template(template).render(names | facts)

    def static_url(self, path: str, **_: Any) -> str:
        """Where the hub serves one of its static files."""
        return f"{self.hub_prefix}static/{path}"
