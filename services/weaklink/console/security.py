"""Who may do what, decided before a page is built: sessions, roles, tokens of forms, headers. Every route goes through `guarded`."""

import hmac
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from weaklink.console.config import ConsoleConfig
from weaklink.console.users import Session, Users

_log = structlog.get_logger()
Audience = Literal["anyone", "signed-in", "operator"]
Endpoint = Callable[[Request], Awaitable[Response]]
SESSION_COOKIE: Final = "weaklink_session"
LOGIN_COOKIE: Final = "weaklink_login"
REFRESH_HEADER: Final = "x-weaklink-refresh"
"""A page that fetches itself anew sends it (console.js): nobody need be there for that."""
_FORM_BYTES_MAX: Final = 64 << 10
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; trusted-types weaklink; require-trusted-types-for 'script'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer a browser sends no origin with its own forms either
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A route: where, by which method, for whom. Methods other than GET change something, and need the token of a form.

    `by_hand`: somebody is there who asks for it, which keeps a session from being idle; an open page asks for the others by itself.
    """

    method: Literal["GET", "POST"]
    path: str
    audience: Audience
    endpoint: Endpoint
    by_hand: bool = True


class SecurityHeaders:
    """Adds the headers to every response, errors too."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = _HEADERS | ({"strict-transport-security": "max-age=31536000"} if https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, sent if scope["type"] == "http" else send)


def guarded(rule: Rule) -> Endpoint:
    """The rule's endpoint behind its checks. `request.state` then has `session` (or None) and, of a POST, `form`."""

    async def checked(request: Request) -> Response:
        began, failed = time.monotonic(), None
        request.state.session, request.state.form = None, {}
        try:
            response = await _answer(rule, request)
        except Exception as error:
            # Whatever it was: its visitor gets a page that says nothing of it, and the log one line.
            failed = error
            response = _refused(request, 500, "something went wrong here; it is in the log")
        session: Session | None = request.state.session
        _log.log(
            logging.ERROR if failed else logging.INFO, "request", method=rule.method, route=rule.path,
            status=response.status_code, user=session.viewer.name if session else None,
            seconds=round(time.monotonic() - began, 4), exc_info=failed,
        )  # fmt: skip
        return response

    return checked


async def _answer(rule: Rule, request: Request) -> Response:
    users: Users = request.app.state.users
    token = request.cookies.get(SESSION_COOKIE)
    by_hand = rule.by_hand and REFRESH_HEADER not in request.headers
    session = request.state.session = await users.session(token, touch=by_hand) if token else None
    try:
        if rule.audience != "anyone" and session is None:
            return RedirectResponse("/login", 303) if rule.method == "GET" else _refused(request, 401, "sign in first")
        if rule.audience == "operator" and not (session and session.viewer.operator):
            return _refused(request, 403, "only operators may do this")
        if rule.method == "POST":
            request.state.form = await _form(request)
            _check_origin(request)
            _check_token(request, session)
        _check_texts(request)
        return await rule.endpoint(request)
    except HTTPException as error:
        return _refused(request, error.status_code, error.detail)


def _refused(request: Request, status: int, why: str) -> Response:
    response: Response = request.app.state.refuse(request, status, why)
    return response


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; of several of one name the last."""
    body = b""
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > _FORM_BYTES_MAX:
                raise HTTPException(413, "the form is too large")
    except ClientDisconnect:
        raise HTTPException(400, "the form was cut off") from None
    try:
        return {name: values[-1] for name, values in parse_qs(body.decode("utf-8"), keep_blank_values=True).items()}
    except (UnicodeDecodeError, ValueError):
        raise HTTPException(400, "the form cannot be read") from None


def _check_texts(request: Request) -> None:
    """PostgreSQL holds no text with a NUL: nothing has such a name, and no note could be kept."""
    given = (request.path_params, request.query_params, request.state.form)
    if any("\0" in str(text) for texts in given for item in texts.items() for text in item):
        raise HTTPException(400, "no text may hold a NUL")


def _check_origin(request: Request) -> None:
    """A browser says where a form comes from; another site's is refused. The token is what counts, this is a second lock."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "the form comes from another site")


def _check_token(request: Request, session: Session | None) -> None:
    expected = session.csrf if session else request.cookies.get(LOGIN_COOKIE, "")
    given = request.state.form.get("token", "")
    if not expected or not hmac.compare_digest(expected.encode(), given.encode()):
        raise HTTPException(403, "the form is too old, or not from this page: load the page again")


def set_cookie(response: Response, name: str, value: str, config: ConsoleConfig, seconds: int) -> None:
    """A cookie that scripts cannot read and other sites cannot send."""
    response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="strict", secure=config.https)


def login_token() -> str:
    """A token for the form of somebody who has no session yet."""
    return secrets.token_urlsafe(32)


def viewer(request: Request) -> Any:
    """Who looks."""
    return request.state.session.viewer
