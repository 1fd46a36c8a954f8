"""The console as an ASGI application: every route with its audience in one table, and what lives as long as the process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from weaklink.console import changes, live, pages
from weaklink.console.attempts import Attempts
from weaklink.console.feeds import CaseFeed, LagFeed, unforeseen
from weaklink.console.security import Rule, SecurityHeaders, guarded
from weaklink.console.users import Users
from weaklink.enforce.clock import Clock
from weaklink.enforce.database import Database, ledger_url
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.queries import newest_change
from weaklink.errors import brief
from weaklink.settings import Settings

_OPEN_SECONDS: Final = 5.0
_log = structlog.get_logger()


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok")


RULES: Final = (
    Rule("GET", "/healthz", "anyone", _healthy),
    Rule("GET", "/login", "anyone", changes.login_page),
    Rule("POST", "/login", "anyone", changes.login),
    Rule("POST", "/logout", "signed-in", changes.logout),
    Rule("GET", "/", "signed-in", pages.campaigns),
    Rule("GET", "/campaigns/{campaign}", "signed-in", pages.campaign),
    Rule("GET", "/accounts/{party}/{account:path}", "signed-in", pages.account),
    Rule("GET", "/actions", "signed-in", pages.actions),
    Rule("GET", "/actions/{action}", "signed-in", pages.action),
    Rule("POST", "/actions/{action}/{verb}", "operator", changes.decide),
    Rule("GET", "/queue", "operator", pages.queue),
    Rule("GET", "/parties", "signed-in", pages.parties),
    Rule("GET", "/weak-links", "operator", pages.weak_links),
    Rule("GET", "/lag", "signed-in", pages.lag),
    Rule("GET", "/lag.json", "signed-in", pages.json_lag),
    Rule("GET", "/events", "signed-in", live.events, by_hand=False),
)
"""Every route there is, besides the files in `static/`, which tell nobody anything."""


def make_app(settings: Settings) -> Starlette:
    """The application. Its state: settings, database, ledger, users, attempts, cases, lag, changes, templates, refuse."""
    config = settings.console
    app = Starlette(
        routes=[
            *(Route(rule.path, guarded(rule), methods=[rule.method]) for rule in RULES),
            Mount("/static", StaticFiles(directory=pages.FOLDER / "static"), name="static"),
        ],
        middleware=[
            Middleware(SecurityHeaders, https=config.https),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(config.names), www_redirect=False),
        ],
        exception_handlers={404: _not_found, 405: _not_found, 500: _failed},
        lifespan=_lifespan,
    )
    state = app.state
    state.settings = settings
    state.database = Database(ledger_url(settings), settings.enforce.ledger_timeout_seconds)
    state.ledger = Ledger(
        state.database, settings.enforce, Clock(settings.clock, settings.enforce.clock_lead_hours_max)
    )
    state.users = Users(state.database, config)
    state.attempts = Attempts(config)
    state.cases = CaseFeed(settings.kafka, config.refresh_seconds)
    state.lag = LagFeed(settings.kafka, config.lag_seconds)
    state.templates = pages.environment()
    state.refuse = _refuse
    state.health = None
    return app


def _refuse(request: Request, status: int, why: str) -> Response:
    return pages.page(request, "refused.html", status, code=status, why=why)


async def _not_found(request: Request, _: Exception) -> Response:
    request.state.session = None
    return _refuse(request, 404, "there is no such page")


async def _failed(request: Request, error: Exception) -> Response:
    _log.error("request_failed", method=request.method, error=repr(error))
    request.state.session = None
    return _refuse(request, 500, "something went wrong here; it is in the log")


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    state = app.state
    state.changes = live.Changes()
    opening = asyncio.create_task(_open_ledger(app))
    watching = asyncio.create_task(_watch(app, opening))
    # Whoever asks first finds the ledger open; but the server listens, and can be stopped, however long the ledger stays away.
    await asyncio.wait([opening], timeout=_OPEN_SECONDS)
    state.cases.start()
    state.lag.start()
    try:
        yield
    finally:
        opening.cancel()
        watching.cancel()
        state.changes.stop()
        await asyncio.gather(asyncio.to_thread(state.cases.stop), asyncio.to_thread(state.lag.stop))
        await state.database.close()


async def _open_ledger(app: Starlette) -> None:
    """Bring the tables to this version's; tried until it is done."""
    state = app.state
    # Of its own: a migration may take longer than the other transactions may.
    database = Database(ledger_url(state.settings))
    try:
        while True:
            try:
                await database.migrate()
                await Users(database, state.settings.console).create_tables()
            except Exception as error:  # of any kind, as in _watch
                _log.warning("ledger_not_opened", error=_said(error), next="retry", exc_info=unforeseen(error))
                await asyncio.sleep(state.settings.console.refresh_seconds)
            else:
                return
    finally:
        await database.close()


async def _watch(app: Starlette, opening: asyncio.Task[None]) -> None:
    """Look for what has changed, for the live updates. Healthy: this loop turns; ready: ledger and topic of campaigns are read."""
    state = app.state
    while True:
        ready = False
        try:
            if opening.done():
                async with state.database.read() as connection:
                    ledger = await newest_change(connection)
                state.changes.saw(state.cases.version, state.cases.error, ledger, state.lag.sampled_at)
                ready = state.cases.error is None
        except Exception as error:  # of any kind: without this loop nothing would be live any more, and nobody told
            _log.warning("ledger_not_read", error=_said(error), next="retry", exc_info=unforeseen(error))
        if state.health is not None:
            state.health.turned(ready=ready)
        await asyncio.sleep(state.settings.console.refresh_seconds)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {brief(error)}"
