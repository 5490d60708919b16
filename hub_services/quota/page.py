"""What every page is made from: its visitor, JupyterHub's look, and error pages."""

from __future__ import annotations

from typing import Any

from jupyterhub.services.auth import HubOAuthCallbackHandler

from hub_services.quota.look import Look
from hub_services.quota.origins import SAFE_METHODS
from hub_services.quota.problems import Problem, from_error
from hub_services.quota.request import MOST_BODY, Request
from hub_services.quota.service import Service


class Page(Request):
    """A page of the service. `who` is its visitor, who has signed in when a method is called.

    A form that posts needs ``<input type="hidden" name="_xsrf" value="{{ xsrf }}">``; a request
    without it counts as not signed in, and is refused.
    """

    look: Look

    def initialize(self, service: Service, look: Look) -> None:  # type: ignore[override]
        """Tornado's: what the application gives to each page."""
        super().initialize(service)
        self.look = look

    async def prepare(self) -> None:
        """Find out who visits; someone who has not signed in is sent to do so."""
        try:
            await self._let_in()
        except Problem as error:
            await self.note(self.label(), error)
            raise

    def label(self) -> str:
        """What the page is called in the audit."""
        return f"form {type(self).__name__.lower()}"

    async def _let_in(self) -> None:
        if len(self.request.body) > MOST_BODY:
            raise Problem(413, "too-large", f"A form may have at most {MOST_BODY} bytes.")
        who = await self.identify()
        if who is not None and who.user:
            self.who = who
        elif self.request.method in SAFE_METHODS:
            self.redirect(self.get_login_url())
        else:
            raise Problem(403, "form-too-old", "This form is too old: load the page again.")

    def show(self, template: str, **facts: Any) -> None:
        """Answer with one of the templates in ``hub_services/quota/templates``."""
        user = self.current_user["name"] if self.current_user else ""
        token = self.xsrf_token.decode() if user else ""
        common = {
            "xsrf": token,
            "xsrf_token": token,
            "api_url": f"{self.service.prefix}api/v1/",
            "simulated": self.service.broker.hardware.last().simulated,
            "operator": self.who.operator,
        }
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(self.look.render(template, user, common | facts))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Every error as a page in the hub's look."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        problem = from_error(error or Problem(status_code, "error", ""))
        self.set_status(problem.status)
        if problem.retry_after is not None:
            self.set_header("Retry-After", str(problem.retry_after))
        body = problem.body(self.request.path)
        facts = {"status_code": problem.status, "status_message": body["title"]}
        self.show("error.html", message=problem.detail, **facts)


class NotFoundPage(Page):
    """Any address of the service that has nothing."""

    async def prepare(self) -> None:
        """Nobody has to sign in to be told that there is nothing."""
        raise Problem(404, "not-found", "There is nothing at this address.")


class SignedIn(Page, HubOAuthCallbackHandler):
    """Where JupyterHub sends people back to after they have signed in."""

    async def prepare(self) -> None:
        """Nobody has to be signed in; somebody may be, in another tab."""
        await self.identify()

    async def get(self) -> None:
        """Take the sign-in, and go to where the person wanted to go."""
        await HubOAuthCallbackHandler.get(self)
