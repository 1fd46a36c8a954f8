"""What a person changes: signing in and out, and verdicts on actions. Each is written to the log with who and what, never with a secret."""

from typing import Any, Final

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from weaklink.console.pages import page, shown_action
from weaklink.console.security import LOGIN_COOKIE, SESSION_COOKIE, login_token, set_cookie, viewer
from weaklink.enforce import receipts
from weaklink.errors import LedgerError

_log = structlog.get_logger()
VERDICTS: Final[dict[str, Any]] = {
    "approve": receipts.approved,
    "decline": receipts.declined,
    "withdraw": receipts.taken_back,
}
_NOTE_MAX: Final = 1000


async def login_page(request: Request) -> Response:
    """The form; whoever has signed in goes on."""
    if request.state.session is not None:
        return RedirectResponse("/", 303)
    return _login(request, None, 200)


def _login(request: Request, wrong: str | None, status: int) -> Response:
    token = login_token()
    response = page(request, "login.html", status, wrong=wrong, login_token=token)
    set_cookie(response, LOGIN_COOKIE, token, request.app.state.settings.console, 3600)
    return response


async def login(request: Request) -> Response:
    """Sign in. A wrong name and a wrong password are told alike."""
    app, form = request.app.state, request.state.form
    name, password = form.get("name", "")[:64], form.get("password", "")
    address = request.client.host if request.client else ""
    if app.users.crowded or not app.attempts.begin(name, address):
        _log.warning("sign_in_held_back", user=name, address=address)
        return _login(request, "Too many attempts: wait some minutes.", 429)
    try:
        is_right = await app.users.check(name, password)
    except Exception:
        app.attempts.forget_last(name, address)  # the ledger's fault
        raise
    if not is_right:
        _log.warning("sign_in_refused", user=name, address=address)
        return _login(request, "Name or password is wrong.", 401)
    app.attempts.right(name, address)
    token = await app.users.sign_in(name)
    _log.info("signed_in", user=name)
    response = RedirectResponse("/", 303)
    set_cookie(response, SESSION_COOKIE, token, app.settings.console, int(app.settings.console.session_hours * 3600))
    response.delete_cookie(LOGIN_COOKIE)
    return response


async def logout(request: Request) -> Response:
    """End the session."""
    await request.app.state.users.sign_out(request.cookies[SESSION_COOKIE])
    _log.info("signed_out", user=viewer(request).name)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(SESSION_COOKIE)
    return response


async def decide(request: Request) -> Response:
    """Approve, decline or withdraw one action, by whoever has signed in, with a note."""
    verb = request.path_params["verb"]
    verdict = VERDICTS.get(verb)
    if verdict is None:
        raise HTTPException(404, "there is no such verdict")
    shown = await shown_action(request)
    who, note = viewer(request).name, request.state.form.get("note", "").strip()[:_NOTE_MAX] or None
    try:
        action = await request.app.state.ledger.decide(shown["action_id"], verdict, by=who, note=note)
    except LedgerError:
        # Somebody else was quicker, or the action ended meanwhile.
        return page(request, "action.html", 409, action=await shown_action(request), conflict=verb)
    _log.info("verdict", user=who, verb=verb, action_id=action.action_id, state=action.state.value)
    back = "/queue" if request.state.form.get("back") == "queue" else f"/actions/{action.action_id}"
    return RedirectResponse(back, 303)
