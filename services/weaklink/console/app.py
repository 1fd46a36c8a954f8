"""The console as an ASGI application: every route with its audience in one table, and what lives as long as the process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from weaklink.console import changes, live, pages
from weaklink.console.feeds import CaseFeed, LagFeed
from weaklink.console.security import Attempts, Rule, SecurityHeaders, guarded
from weaklink.console.users import Users
from weaklink.enforce.clock import Clock
from weaklink.enforce.database import Database, ledger_url
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.queries import newest_change
from weaklink.settings import Settings

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
    Rule("GET", "/events", "signed-in", live.events),
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
    state.database = Database(ledger_url(settings))
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
    await state.database.migrate()
    await state.users.create_tables()
    state.cases.start()
    state.lag.start()
    watching = asyncio.create_task(_watch(app))
    try:
        yield
    finally:
        watching.cancel()
        state.changes.stop()
        await asyncio.gather(asyncio.to_thread(state.cases.stop), asyncio.to_thread(state.lag.stop))
        await state.database.close()


async def _watch(app: Starlette) -> None:
    """Look for what has changed, for the live updates. Healthy: this loop turns; ready: the topic of campaigns is read."""
    state = app.state
    while True:
        try:
            async with state.database.read() as connection:
                ledger = await newest_change(connection)
            if state.health is not None:
                state.health.turned(ready=state.cases.error is None)
            state.changes.saw(state.cases.version, state.cases.error, ledger, state.lag.sampled_at)
        except (SQLAlchemyError, OSError) as error:
            _log.warning("ledger_not_read", error=type(error).__name__)
        await asyncio.sleep(state.settings.console.refresh_seconds)
