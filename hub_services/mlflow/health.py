"""/healthz: for supervisors, who ask whether the service's process lives."""

from tornado.web import RequestHandler


class Health(RequestHandler):
    """Says that the process lives, and nothing else, so that it needs no credential."""

    def get(self) -> None:
        """Say it."""
        self.finish({"status": "alive"})
