"""The pages: what a viewer asked for, from cases and ledger, through `sight`, into a template."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from weaklink.cases.explanation import explain
from weaklink.cases.layout import layout
from weaklink.cases.scorecard import compare, scorecards
from weaklink.cases.story import effect_lines, story, token_lines
from weaklink.cases.svg import exchanges_svg, graph_svg, sparkline
from weaklink.cases.words import MEASURES, code_words, kind_words
from weaklink.console import sight
from weaklink.console.security import viewer
from weaklink.enforce.queries import (
    Filter,
    answers,
    count_actions,
    find_ids,
    last_seen,
    list_actions,
    on_account,
    on_tokens,
    show_action,
)
from weaklink.errors import LedgerError

FOLDER: Final = Path(__file__).parent
PAGE: Final = 50
_PAGES_MAX: Final = 1_000_000
Item = TypeVar("Item")


def time_text(value: Any) -> str:
    """A datetime, or microseconds since 1970, for people; UTC."""
    if value is None:
        return "–"
    at = value if isinstance(value, datetime) else datetime.fromtimestamp(value / 1e6, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}"


def environment() -> Environment:
    """Templates that escape everything, and fail on a name that is not there."""
    made = Environment(loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined)
    made.filters.update(time=time_text, words=code_words, kind_words=kind_words, count=lambda n: f"{n:,.0f}")
    made.filters["share"] = lambda value, digits=0: "–" if value is None else f"{value:.{digits}%}"
    made.filters["times"] = lambda value: f"{value:,.1f}" if value < 10 else f"{value:,.0f}"
    made.globals["measures"] = MEASURES
    return made


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A template with what every page needs."""
    session = getattr(request.state, "session", None)
    app = request.app.state
    text = app.templates.get_template(template).render(
        viewer=session.viewer if session else None,
        token=session.csrf if session else "",
        stale=app.cases.error,
        path=request.url.path,
        version=app.changes.version,
        **values,
    )
    return HTMLResponse(text, status)


def _number(request: Request) -> int:
    try:
        number = int(request.query_params.get("page", "1"))
    except ValueError:
        raise HTTPException(400, "page is not a number") from None
    if number > _PAGES_MAX:  # the databases' own offsets end at 64 bits
        raise HTTPException(400, f"there are no more than {_PAGES_MAX} pages of anything")
    return max(1, number)


class Paged:
    """A part of something long. `number` begins at 1."""

    def __init__(self, items: Sequence[Any], number: int, total: int) -> None:
        self.items, self.number, self.total = items, number, total
        self.last = max(1, -(-total // PAGE))

    @classmethod
    def of(cls, items: Sequence[Any], number: int) -> "Paged":
        """The page of that number of everything."""
        return cls(items[(number - 1) * PAGE : number * PAGE], number, len(items))


async def campaigns(request: Request) -> Response:
    """The list of campaigns."""
    ended = request.query_params.get("ended") == "1"
    feed = request.app.state.cases
    with feed.lock:
        rows = sight.campaigns(feed.cases, viewer(request), ended=ended)
    wanted = request.query_params.get("q", "")[:100]
    paged = Paged.of([row for row in rows if wanted in row.campaign_id], _number(request))
    sparks = {row.campaign_id: Markup(sparkline(row.days, "Exchanges a day")) for row in paged.items}  # noqa: S704  escaped there
    volume = sum(row.volume or 0.0 for row in rows)
    accounts = sum(row.accounts for row in rows)
    return page(
        request,
        "campaigns.html",
        paged=paged,
        sparks=sparks,
        ended=ended,
        wanted=wanted,
        volume=volume,
        accounts=accounts,
    )


async def campaign(request: Request) -> Response:
    """One campaign: graph, timeline, evidence, actions, members."""
    name, who, feed = request.path_params["campaign"], viewer(request), request.app.state.cases
    which = Filter(party=who.party, campaign_id=name, limit=20, published=not who.operator)
    standing = replace(which, states=("ACTIVE",), limit=None)
    async with request.app.state.database.read() as connection:
        actions = await list_actions(connection, which)
        total = await count_actions(connection, which)
        tokens = await on_tokens(connection, name) if who.operator else []
        stand = [] if who.operator else await list_actions(connection, standing)
    with feed.lock:
        found = sight.campaign(feed.cases, who, name)
        if found is None:
            raise HTTPException(404, "there is no such campaign")
        graph = sight.graph(feed.cases, who, name, {one["target_account"]: one["measure"] for one in stand})
        course = sight.course(feed.cases, who, name)
        members = Paged.of(sight.members(feed.cases, who, name), _number(request))
    picture, settings = layout(graph) if graph else None, request.app.state.settings.weaklinks
    effects = effect_lines(course, settings) + token_lines(tokens, graph, settings)
    return page(
        request, "campaign.html", campaign=found, course=course, graph=graph, members=members, actions=actions, total=total,
        picture=Markup(graph_svg(picture)) if picture else None,  # noqa: S704  every text in it is escaped
        omitted=picture.omitted if picture else "",
        exchanges=Markup(exchanges_svg(course)) if course else None,  # noqa: S704  likewise
        story=story(found, course) if who.operator else [], effects=effects,
    )  # fmt: skip


async def account(request: Request) -> Response:
    """Why an account is in a campaign."""
    party, name, who = request.path_params["party"], request.path_params["account"], viewer(request)
    feed, settings = request.app.state.cases, request.app.state.settings
    with feed.lock:
        member = feed.cases.member(party, name) if party == who.party or who.operator else None
        found = sight.evidence(feed.cases, who, party, name)
    if member is None:
        raise HTTPException(404, "there is no such account in a campaign")
    async with request.app.state.database.read() as connection:
        actions = await on_account(connection, party, name, published=not who.operator)
    why = explain(found, settings.campaigns, settings.enforce) if found else None
    return page(request, "account.html", member=member, why=why, actions=actions)


async def queue(request: Request) -> Response:
    """What waits for a person."""
    number = _number(request)
    which = Filter(("WAITING",), limit=PAGE, offset=(number - 1) * PAGE)
    async with request.app.state.database.read() as connection:
        rows, total = await list_actions(connection, which), await count_actions(connection, which)
    return page(request, "queue.html", paged=Paged(rows, number, total))


async def actions(request: Request) -> Response:
    """Actions by state and campaign."""
    who, asked, number = viewer(request), request.query_params, _number(request)
    state = asked.get("state", "")
    if state not in ("", "WAITING", "ACTIVE", "WITHDRAWN", "EXPIRED", "DECLINED"):
        raise HTTPException(400, "there is no such state")
    which = Filter(
        (state,) if state else (), who.party, asked.get("campaign") or None, limit=PAGE, offset=(number - 1) * PAGE,
        published=not who.operator,
    )  # fmt: skip
    async with request.app.state.database.read() as connection:
        rows, total = await list_actions(connection, which), await count_actions(connection, which)
    return page(
        request, "actions.html", paged=Paged(rows, number, total), state=state, campaign=which.campaign_id or ""
    )


async def action(request: Request) -> Response:
    """One action."""
    shown = await shown_action(request)
    return page(request, "action.html", action=shown)


async def shown_action(request: Request) -> dict[str, Any]:
    """The action of the path. Raises HTTPException 404 when there is none that the viewer may see."""
    try:
        async with request.app.state.database.read() as connection:
            (ident,) = await find_ids(connection, [request.path_params["action"]])
            found, seen = await show_action(connection, ident), await last_seen(connection, ident)
            shown = sight.action(viewer(request), found, seen)
    except LedgerError:
        shown = None
    if shown is None:
        raise HTTPException(404, "there is no such action")
    return shown


async def parties(request: Request) -> Response:
    """Scorecards: all of them for an operator, its own beside the others for a party."""
    who, feed = viewer(request), request.app.state.cases
    async with request.app.state.database.read() as connection:
        asked = await answers(connection)
    with feed.lock:
        cards = scorecards(feed.cases, asked, [who.party] if who.party else [])
    ranked = sorted(cards.values(), key=lambda one: (-one.requests_entered, one.party)) if who.operator else []
    chosen = request.query_params.get("party") if who.operator else who.party
    beside = compare(chosen, cards) if chosen in cards else []
    return page(request, "parties.html", cards=ranked, chosen=chosen, beside=beside)


async def weak_links(request: Request) -> Response:
    """Classes of accounts by which campaigns come in."""
    feed = request.app.state.cases
    with feed.lock:
        classes = feed.cases.classes["classes"] if feed.cases.classes else []
    return page(request, "weak_links.html", classes=classes)


async def lag(request: Request) -> Response:
    """How far stages and parties are behind."""
    report = request.app.state.lag.report
    return page(request, "lag.html", report=sight.lag(viewer(request), report) if report else None)


async def json_lag(request: Request) -> Response:
    """The same as JSON, for other tools."""
    report = request.app.state.lag.report
    return Response(json.dumps(sight.lag(viewer(request), report) if report else {}), media_type="application/json")
