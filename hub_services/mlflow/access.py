"""Who may come in: browsers by the hub's sign-in, clients by a hub token, nobody else."""

from typing import Any
from urllib.parse import urlparse

from jupyterhub.services.auth import HubOAuthenticated
from tornado.web import HTTPError, RequestHandler

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
OWN_SITE = {"", "same-origin", "none"}


class NotAdmitted(Exception):
    """The request stops here.

    Attributes:
        status: 401 without valid credentials, 403 without the right, 503 while the hub is away.
        code: MLflow's word for it, which its client shows.
        message: what to do, for the user.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Admission(HubOAuthenticated, RequestHandler):
    """A request that is let in with the name of its user, or answered here."""

    async def admit(self) -> str | None:
        """The name of whoever asks, or None where the browser was sent to sign in.

        Raises:
            NotAdmitted: if the request goes no further.
        """
        self.current_user = None
        model = await self._identified()
        if model is None:
            self._unknown()
            return None
        if not self.hub_auth.check_scopes(self.hub_scopes or set(), model):
            raise NotAdmitted(
                403,
                "PERMISSION_DENIED",
                f"{name_of(model)} may not use MLflow here: the credential lacks the scope "
                "access:services!service=mlflow. Ask the hub's administrator.",
            )
        self.current_user = model
        return name_of(model)

    async def _identified(self) -> dict[str, Any] | None:
        if self.request.method not in SAFE_METHODS and self._is_from_elsewhere():
            raise NotAdmitted(403, "PERMISSION_DENIED", "This page may not write to MLflow.")
        try:
            model: dict[str, Any] | None = await self.hub_auth.get_user(self, sync=False)
        except HTTPError as error:
            raise NotAdmitted(
                503,
                "TEMPORARILY_UNAVAILABLE",
                "The hub does not answer, so nobody can be identified. Try again in a minute.",
            ) from error
        return model

    def _unknown(self) -> None:
        if self.is_navigation():
            self.redirect(self.get_login_url())
            return
        raise NotAdmitted(
            401,
            "UNAUTHENTICATED",
            "Sign in: in a browser, load this page again; for a client, set MLFLOW_TRACKING_TOKEN "
            "to a hub token with the scope access:services!service=mlflow.",
        )

    def is_navigation(self) -> bool:
        """Whether a person opens a page, as opposed to a script or a client asking."""
        headers = self.request.headers
        mode = headers.get("Sec-Fetch-Mode", "navigate")
        opens = self.request.method == "GET" and "text/html" in headers.get("Accept", "")
        return opens and mode == "navigate" and "Authorization" not in headers

    def _is_from_elsewhere(self) -> bool:
        """Whether another site's page sends this; the hub's XSRF check covers this site's pages."""
        headers = self.request.headers
        if "Authorization" in headers:
            return False  # no page can make a browser add one
        if headers.get("Sec-Fetch-Site", "") not in OWN_SITE:
            return True
        origin = headers.get("Origin")
        own = {self.request.host, headers.get("X-Forwarded-Host")}
        return origin is not None and urlparse(origin).netloc not in own


def name_of(model: dict[str, Any]) -> str:
    """The name that goes on runs; a service's cannot be mistaken for a user's."""
    name = str(model["name"])
    return name if model.get("kind", "user") == "user" else f"service:{name}"
