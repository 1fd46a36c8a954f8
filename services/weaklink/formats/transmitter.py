"""A party's actions as a Shared Signals stream: polled by a receiver over HTTP (RFC 8936), or pushed to it (RFC 8935).

What a receiver has acknowledged is remembered in a file, so that a restart sends the rest and nothing twice.
"""

import hmac
import json
import queue
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from joserfc.jwk import ECKey

from weaklink.errors import BrokerError, ConfigurationError
from weaklink.formats import risc
from weaklink.partner.actions import HandledActions
from weaklink.partner.models import EnforcementAction

_BODY_BYTES_MAX: Final = 1 << 20
_LOOK_SECONDS: Final = 0.1
_STATUSES: Final = ("enabled", "paused", "disabled")
_log = structlog.get_logger()


@dataclass
class SetStream:
    """One receiver's stream. `offer` may be called from any thread; everything else belongs to the thread that opened `acknowledged`."""

    key: ECKey
    issuer: str
    audience: str
    subject_issuer: str
    acknowledged: HandledActions
    long_poll_seconds: float = 20
    stream_id: str = "0"  # one stream a transmitter
    status: risc.StreamStatus = "enabled"
    _offered: "queue.SimpleQueue[EnforcementAction]" = field(default_factory=queue.SimpleQueue)
    _waiting: dict[str, tuple[str, EnforcementAction | None]] = field(default_factory=dict)
    _jti_of: dict[str, str] = field(default_factory=dict)  # action id -> its one token that waits

    def offer(self, action: EnforcementAction) -> None:
        """An action that was read."""
        self._offered.put(action)

    def waiting(self) -> dict[str, str]:
        """What has not been acknowledged, oldest first: jti -> token. Of an action only the latest revision."""
        while not self._offered.empty():
            self._take(self._offered.get())
        # A stream that is not enabled still tells about itself.
        return {
            jti: token for jti, (token, action) in self._waiting.items() if action is None or self.status == "enabled"
        }

    def acknowledge(self, jti: str) -> None:
        """It has arrived, or the receiver will not have it: it is not sent again."""
        _, action = self._waiting.pop(jti, ("", None))
        if action is not None:
            del self._jti_of[action.action_id]
            self.acknowledged.remember([(action.action_id, action.revision)])

    def poll(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a poll (RFC 8936, section 2): acknowledgements and errors first, then what waits, after a while if need be.

        Raises ValueError when the request is not of that form.
        """
        limit = request.get("maxEvents")
        errors, done = request.get("setErrs") or {}, request.get("ack") or []
        if (
            not (limit is None or (isinstance(limit, int) and limit >= 0))
            or not isinstance(errors, dict)
            or not isinstance(done, list)
        ):
            raise ValueError("maxEvents is a number, ack a list, setErrs an object")
        for jti in (*done, *errors):
            self.acknowledge(str(jti))
        for jti, error in errors.items():
            _log.warning("security_event_token_refused", id=jti, error=str(error))
        found = self.waiting()
        deadline = time.monotonic() + (0 if request.get("returnImmediately") or limit == 0 else self.long_poll_seconds)
        while not found and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            found = self.waiting()
        sets = dict(list(found.items())[: len(found) if limit is None else limit])
        return {"sets": sets, "moreAvailable": len(sets) < len(found)}

    def verify(self, state: str | None) -> None:
        """Queue the event by which the receiver tests the stream."""
        self._tell(risc.verification_claims(state=state, **self._own()))

    def change_status(self, status: risc.StreamStatus, reason: str | None) -> None:
        """Enable, pause or disable, and queue the event that says so. What waits meanwhile is sent once it is enabled again."""
        if status != self.status:
            self.status = status
            self._tell(risc.stream_updated_claims(status=status, reason=reason, **self._own()))

    def _own(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "audience": self.audience,
            "stream_id": self.stream_id,
            "jti": uuid.uuid4().hex,
            "now": datetime.now(UTC),
        }

    def _tell(self, claims: dict[str, Any]) -> None:
        self._waiting[claims["jti"]] = (risc.signed(claims, self.key), None)

    def _take(self, action: EnforcementAction) -> None:
        claims = risc.claims_of(action, issuer=self.issuer, audience=self.audience, subject_issuer=self.subject_issuer)
        if claims is None or self.acknowledged.covers(action.action_id, action.revision):
            return
        before = self._jti_of.get(action.action_id, "")
        _, other = self._waiting.get(before, ("", None))
        if other is not None and other.revision >= action.revision:
            return
        self._waiting.pop(before, None)
        self._waiting[claims["jti"]] = (risc.signed(claims, self.key), action)
        self._jti_of[action.action_id] = claims["jti"]


def handler(stream: SetStream, bearer: str) -> type[BaseHTTPRequestHandler]:
    """HTTP for one stream: POST /poll, /verify and /status with the bearer token; GET /jwks.json and /.well-known/ssf-configuration for everybody.

    For a server with one thread (`http.server.HTTPServer`): a stream has one receiver, and its memory one thread. TLS is a proxy's.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30
        server_version = "weaklink"

        def do_GET(self) -> None:
            pages: dict[str, Callable[[], Any]] = {
                "/jwks.json": lambda: risc.jwks(stream.key),
                "/.well-known/ssf-configuration": lambda: configuration(stream.issuer),
            }
            if self.path in pages:
                self._answer(HTTPStatus.OK, pages[self.path]())
            elif self.path == "/status" and self._allowed():
                self._answer(HTTPStatus.OK, {"stream_id": stream.stream_id, "status": stream.status})
            else:
                self._answer(HTTPStatus.NOT_FOUND if self.path != "/status" else HTTPStatus.UNAUTHORIZED)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if not self._allowed() or length > _BODY_BYTES_MAX:
                self._answer(
                    HTTPStatus.UNAUTHORIZED if length <= _BODY_BYTES_MAX else HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                )
                return
            try:
                request = json.loads(self.rfile.read(length) or b"{}")
                if not isinstance(request, dict):
                    raise ValueError("not a JSON object")
                self._post(request)
            except ValueError as error:
                self._answer(HTTPStatus.BAD_REQUEST, {"err": "invalid_request", "description": str(error)})

        def _post(self, request: dict[str, Any]) -> None:
            if self.path == "/poll":
                self._answer(HTTPStatus.OK, stream.poll(request))
            elif self.path == "/verify":
                stream.verify(request.get("state"))
                self._answer(HTTPStatus.NO_CONTENT)
            elif self.path == "/status":
                if request.get("status") not in _STATUSES:
                    raise ValueError(f"status is one of {', '.join(_STATUSES)}")
                stream.change_status(request["status"], request.get("reason"))
                self._answer(HTTPStatus.OK, {"stream_id": stream.stream_id, "status": stream.status})
            else:
                self._answer(HTTPStatus.NOT_FOUND)

        def _allowed(self) -> bool:
            return hmac.compare_digest(self.headers.get("Authorization", "").encode(), f"Bearer {bearer}".encode())

        def _answer(self, status: HTTPStatus, body: Any = None) -> None:
            content = b"" if body is None else json.dumps(body).encode()
            # One thread serves: a connection that a proxy keeps open and idle would shut out every other one.
            self.close_connection = True
            self.send_response(status)
            self.send_header("Connection", "close")
            self.send_header("Content-Type", "application/json")
            if status is not HTTPStatus.NO_CONTENT:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: a poll every few seconds is no news."""

    return Handler


def configuration(issuer: str) -> dict[str, Any]:
    """What a receiver finds at /.well-known/ssf-configuration (SSF 1.0, section 7.1)."""
    base = issuer.rstrip("/")
    return {
        "spec_version": "1_0",
        "issuer": issuer,
        "jwks_uri": f"{base}/jwks.json",
        "delivery_methods_supported": ["urn:ietf:rfc:8936"],
        "status_endpoint": f"{base}/status",
        "verification_endpoint": f"{base}/verify",
        "default_subjects": "ALL",
    }


def push(stream: SetStream, url: str, bearer: str, timeout_seconds: float = 30) -> Iterator[str]:
    """Push what waits, oldest first (RFC 8935), and give the `jti` of each that the receiver took, as it takes it.

    What it answers 400 to is logged and not sent again. Raises BrokerError when it cannot be reached or answers anything else
    than 202, redirects among it: the rest waits.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and (parts.scheme, parts.hostname) not in (("http", "127.0.0.1"), ("http", "localhost")):
        raise ConfigurationError(f"{url}: tokens are pushed over https only")
    opener = urllib.request.build_opener(_AnyAnswer)
    for jti, token in stream.waiting().items():
        headers = {
            "Content-Type": "application/secevent+jwt",
            "Accept": "application/json",
            "Authorization": f"Bearer {bearer}",
        }
        request = urllib.request.Request(url, token.encode(), headers, method="POST")  # noqa: S310  # the scheme was looked at
        try:
            with opener.open(request, timeout=timeout_seconds) as response:
                status, said = response.status, response.read(500) if response.status == HTTPStatus.BAD_REQUEST else b""
        except (OSError, HTTPException) as error:
            raise BrokerError(f"{url} cannot be reached: {error}; the rest waits; run it again") from error
        if status == HTTPStatus.BAD_REQUEST:
            _log.warning("security_event_token_refused", id=jti, error=said.decode(errors="replace"))
        elif status != HTTPStatus.ACCEPTED:
            raise BrokerError(f"{url} answers {status}, and not 202 to what it takes: the rest waits; run it again")
        stream.acknowledge(jti)
        if status == HTTPStatus.ACCEPTED:
            yield jti


class _AnyAnswer(urllib.request.HTTPErrorProcessor):
    """Hands out every answer as it is. A redirect that is followed takes the bearer token along, to wherever, and brings some page's 200."""

    def http_response(self, request: urllib.request.Request, response: Any) -> Any:
        """The answer."""
        return response

    https_response = http_response
