"""The one way to MLflow: lets people in, names what they log, passes bytes both ways."""

import asyncio

import aiohttp
from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from hub_services.mlflow import paths
from hub_services.mlflow.access import NotAdmitted
from hub_services.mlflow.answers import PAGE_SCRIPT, Answers
from hub_services.mlflow.attribution import Ignored, Refused
from hub_services.mlflow.paths import Body
from hub_services.mlflow.rewriting import rewritten
from hub_services.mlflow.settings import JSON_LIMIT, Settings
from hub_services.mlflow.upstream import Upload, sent_on

MIB = 2**20
WASTE = 64 * MIB  # what is read of a refused body, so that the refusal reaches the client
CUT_SECONDS = 1.0  # for the refusal to reach a client that sends on regardless
AGAIN_SECONDS = 3
STARTING = "MLflow starts or restarts, which takes about ten seconds."
BAD = "INVALID_PARAMETER_VALUE"


@stream_request_body
class Gate(Answers):
    """One request on its way to MLflow and back."""

    SUPPORTED_METHODS = ("GET", "HEAD", "POST", "DELETE", "PATCH", "PUT")

    def initialize(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        """Take what all requests share."""
        self.settings_of_service = settings
        self.session = session
        self.user = ""
        self.limit = JSON_LIMIT
        self.received = 0
        self.held = bytearray()
        self.stopped: NotAdmitted | None = None
        self.upload: Upload | None = None
        self.exchange: asyncio.Task[aiohttp.ClientResponse] | None = None

    async def prepare(self) -> None:
        """Decide before any of the body is read."""
        try:
            user = await self.admit()
            if user is not None:
                self.user = user
                self._direct()
        except NotAdmitted as stop:
            self._stop(stop)

    def _stop(self, stop: NotAdmitted) -> None:
        """Refuse once the body is in, as clients read no answer before; at once if it is huge."""
        self.stopped = stop
        self.held.clear()
        if max(self.received, self._length()) > WASTE:
            self.explain(stop.status, stop.code, stop.message)
            cut = self.request.connection.close  # type: ignore[union-attr]
            asyncio.get_running_loop().call_later(CUT_SECONDS, cut)

    def _direct(self) -> None:
        """Find out what is asked for, and begin to pass an artifact on."""
        method = self.request.method or ""
        path = paths.canonical(self.request.path, self.settings_of_service.prefix)
        if path is None:
            raise NotAdmitted(400, BAD, "This address can be read in more than one way.")
        refused = paths.refusal(method, path)
        if refused:
            raise NotAdmitted(403, "FEATURE_DISABLED", refused)
        self.path = path
        streamed = paths.body_of(method, path) is Body.STREAMED
        self.limit = self.settings_of_service.upload_limit if streamed else JSON_LIMIT
        if self._length() > self.limit:
            raise self._too_large()
        if streamed:
            self._begin_upload()

    def _begin_upload(self) -> None:
        self.upload = Upload()
        self.exchange = self._send(self.upload, length=self._length())
        # tornado sets this only after the body, and an upload may wait long before that
        self.request.connection.stream.set_close_callback(self.on_connection_close)  # type: ignore[union-attr]

    def _length(self) -> int:
        """The announced length of the body; 0 if none is."""
        return int(self.request.headers.get("Content-Length", "0"))

    def _too_large(self) -> NotAdmitted:
        kind = "A request other than an artifact" if self.limit == JSON_LIMIT else "An artifact"
        return NotAdmitted(
            413,
            "REQUEST_LIMIT_EXCEEDED",
            f"{kind} may have {self.limit // MIB} MiB here, and this one has more. "
            "Log large data as an artifact, in parts if need be.",
        )

    async def data_received(self, chunk: bytes) -> None:
        """Take a part of the body: hold it, or pass it on at MLflow's pace."""
        self.received += len(chunk)
        if self.stopped is not None:
            self._stop(self.stopped)
        elif self.received > self.limit:
            self._give_up()
            self._stop(self._too_large())
        elif self.upload is None:
            self.held += chunk
        elif self.exchange is not None:
            await self.upload.put(chunk, until=self.exchange)

    async def get(self, *_: str) -> None:
        """Pass the request on and the answer back."""
        if self.path == PAGE_SCRIPT:
            self.page_script()
            return
        try:
            if self.stopped is not None:
                raise self.stopped
            async with await self._answer() as answer:
                await self.relay(answer)
        except NotAdmitted as stop:
            self.explain(stop.status, stop.code, stop.message)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            self._not_there(error)
        except (
            aiohttp.ClientError,
            asyncio.CancelledError,
            TimeoutError,
            StreamClosedError,
        ) as error:
            self.broken_off(error)

    head = post = put = patch = delete = get

    def _not_there(self, error: aiohttp.ClientError) -> None:
        """MLflow is not there, or ended before it answered: to be asked again, as at a start."""
        if self._headers_written:
            self.broken_off(error)
        else:
            self.explain(503, "TEMPORARILY_UNAVAILABLE", STARTING, again=AGAIN_SECONDS)

    async def _answer(self) -> aiohttp.ClientResponse:
        """MLflow's answer, whose headers are there and whose body is still to come."""
        if self.upload is not None and self.exchange is not None:
            await self.upload.put(None, until=self.exchange)
        else:
            self.exchange = self._send(self._named_body())
        return await self.exchange

    def _named_body(self) -> bytes | None:
        """The held body with the user's name in it."""
        try:
            body = rewritten(
                self.request.method or "",
                self.path,
                headers=self.request.headers,
                content=bytes(self.held),
                user=self.user,
            )
        except ValueError as error:
            raise NotAdmitted(400, BAD, f"The request was not understood: {error}") from error
        if isinstance(body, Ignored):
            raise NotAdmitted(200, "OK", "The user's name on a run is set by this server alone.")
        if isinstance(body, Refused):
            raise NotAdmitted(400, BAD, body.reason)
        return body or None

    def _send(
        self, body: bytes | Upload | None, *, length: int = 0
    ) -> asyncio.Task[aiohttp.ClientResponse]:
        headers = sent_on(self.request.headers)
        if paths.is_page(self.path):
            headers = type(headers)()  # the page is changed here: no compression, no 304
        if isinstance(body, Upload) and length:
            headers["Content-Length"] = str(length)
        if isinstance(body, bytes):
            headers.pop("Content-Encoding", None)
        url = paths.encoded(self.path) + (f"?{self.request.query}" if self.request.query else "")
        request = self.session.request(
            self.request.method or "",
            paths.upstream(url),
            headers=headers,
            data=body.chunks() if isinstance(body, Upload) else body,
            allow_redirects=False,
        )
        return asyncio.ensure_future(request)

    def on_connection_close(self) -> None:
        """Tornado's: the client went away, so MLflow need not go on."""
        self._give_up()
        super().on_connection_close()

    def _give_up(self) -> None:
        """Ask MLflow no further."""
        if self.exchange is not None:
            self.exchange.cancel()
