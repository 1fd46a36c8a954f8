"""Who may see and do what, route by route, by requests that no page would make."""

import html
import json
import re
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import quote

import pytest
from starlette.routing import Mount
from starlette.testclient import TestClient

from tests.console.conftest import HOSTILE, PASSWORD, Case, opened, sign_in, token_of
from weaklink.cases.reader import read_cases
from weaklink.console.app import RULES, make_app
from weaklink.console.security import LOGIN_COOKIE, Rule

pytestmark = pytest.mark.kafka
NAMES = [f"{rule.method} {rule.path}" for rule in RULES]


def path(rule: Rule, case: Case) -> str:
    party, account = case.accounts[0]
    values = {
        "campaign": case.campaign,
        "party": party,
        "account:path": account,
        "action": case.actions[0],
        "verb": "withdraw",
    }
    return re.sub(r"\{([a-z:]+)\}", lambda found: quote(values[found[1]]), rule.path)


def ask(client: TestClient, rule: Rule, case: Case, headers: dict[str, str], **data: str) -> Any:
    """By the rule's method, without reading a stream that does not end."""
    if rule.method == "POST":
        return client.post(path(rule, case), headers=headers, data=data)
    return client.get(path(rule, case), headers=headers)


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_without_a_session_nothing_is_told_and_nothing_done(rule: Rule, case: Case, client: TestClient) -> None:
    """Pages lead to the form, changes are refused; only the form itself and the probe are open."""
    answer = ask(client, rule, case, {})
    if rule.audience == "anyone":
        assert answer.status_code == (403 if rule.method == "POST" else 200)
    else:
        assert answer.status_code == (401 if rule.method == "POST" else 303)
    assert case.campaign not in answer.text


@pytest.mark.parametrize("rule", [one for one in RULES if one.audience == "operator"], ids=lambda rule: rule.path)
def test_a_party_is_refused_what_is_for_operators(rule: Rule, case: Case, client: TestClient) -> None:
    """Also with the token of its own session, and on an action of its own."""
    headers = sign_in(client, "ana")
    answer = ask(client, rule, case, headers, token=token_of(client, headers))
    assert answer.status_code == 403
    assert "only operators" in answer.text


@pytest.mark.parametrize("rule", [one for one in RULES if one.method == "POST"], ids=lambda rule: rule.path)
@pytest.mark.parametrize("forgery", ["none", "another session's", "another site"])
def test_no_change_without_the_sessions_own_token(rule: Rule, forgery: str, case: Case, client: TestClient) -> None:
    """A form without token, with that of somebody else, or from another site changes nothing."""
    headers, other = sign_in(client, "olga", anew=True), sign_in(client, "olga", anew=True)
    data = {"name": "olga", "password": PASSWORD}
    if forgery == "another session's":
        data["token"] = token_of(client, other)
    elif forgery == "another site":
        data["token"], headers["origin"] = token_of(client, headers), "https://evil.example"
    answer = ask(client, rule, case, headers, **data)
    assert answer.status_code == 403
    assert "weaklink_session" not in answer.headers.get("set-cookie", "")
    assert client.get("/", headers={"cookie": headers["cookie"]}).status_code == 200  # not signed out either


def test_there_is_no_route_beside_the_table(case: Case) -> None:
    """So that whoever adds a page has to say for whom it is; only files that tell nobody anything are outside."""
    routes = make_app(case.settings).routes
    assert {getattr(one, "path", "") for one in routes} == {*(rule.path for rule in RULES), "/static"}
    assert sum(isinstance(one, Mount) for one in routes) == 1
    assert all(rule.audience == "operator" for rule in RULES if rule.method == "POST" and "action" in rule.path)


PAGES = [rule for rule in RULES if rule.method == "GET" and rule.audience == "signed-in" and rule.path != "/events"]


@pytest.mark.parametrize("rule", PAGES, ids=lambda rule: rule.path)
def test_no_page_of_a_party_names_another_or_its_accounts(rule: Rule, case: Case, client: TestClient) -> None:
    """Nor another's accounts, tokens or actions, in its text, its links or its pictures."""
    headers = sign_in(client, "ana")
    answer = client.get(path(rule, case), headers=headers)
    assert answer.status_code == 200
    known = read_cases(case.settings.kafka)
    theirs = [one.account for one in known.members(case.campaign) if one.party != "lab-a"]
    assert theirs
    for foreign in ("lab-b", "pay-a", case.actions[1], case.actions[2], *theirs):
        assert not re.search(rf"(?<![\w-]){re.escape(foreign)}(?![\w-])", html.unescape(answer.text)), foreign
    graph = known.graph(case.campaign)
    assert graph
    own = {place for one in graph["accounts"] if one["party"] == "lab-a" for place in one["holds"]}
    foreign_tokens = [one["token"].hex() for place, one in enumerate(graph["identifiers"]) if place not in own]
    assert foreign_tokens
    assert not any(token in answer.text for token in foreign_tokens)


def test_a_party_finds_its_own_and_nothing_of_others(case: Case, client: TestClient) -> None:
    """Its accounts and actions are there; others' are as if there were none."""
    ana, bea, olga = (sign_in(client, name) for name in ("ana", "bea", "olga"))
    (own, other, _), (done, theirs, _, waits) = case.accounts, case.actions
    for who, account, expected in ((ana, own, 200), (bea, own, 404), (bea, other, 200), (olga, own, 200)):
        assert client.get(f"/accounts/{account[0]}/{quote(account[1])}", headers=who).status_code == expected
    for who, ident, expected in ((ana, done, 200), (bea, done, 404), (bea, theirs, 200), (ana, theirs, 404)):
        assert client.get(f"/actions/{ident}", headers=who).status_code == expected
    # What waits for a person its party has not been sent: it does not know of it, though it is on its own account.
    assert client.get(f"/actions/{waits}", headers=ana).status_code == 404
    assert client.get(f"/actions/{waits}", headers=olga).status_code == 200
    # Nor does its picture mark what the plan asks and nobody has sent yet.
    marks = [client.get(f"/campaigns/{case.campaign}", headers=who).text.count("node account is-cut") for who in (ana, olga)]  # fmt: skip
    assert marks[0] == 1 < marks[1]
    report = json.loads(client.get("/lag.json", headers=ana).text or "{}")
    assert not report.get("readers")


@pytest.mark.parametrize("address", ["/", "/queue", "/actions", "CAMPAIGN", "ACCOUNT"])
def test_what_a_party_named_its_account_stays_text(address: str, case: Case, client: TestClient) -> None:
    """On every page that shows it: no element, no attribute and no template of its own."""
    headers = sign_in(client, "olga")
    hostile = f"/accounts/lab-a/{quote(HOSTILE, safe='')}"
    address = {"CAMPAIGN": f"/campaigns/{case.campaign}", "ACCOUNT": hostile}.get(address, address)
    text = client.get(address, headers=headers).text
    assert "<img" not in text
    assert "<script>alert" not in text
    assert "{{7*7}}" in html.unescape(text) or address == "/"
    assert re.findall(r"<script[^>]*>", text) == ['<script src="/static/console.js" defer>']
    assert not re.search(r"\son[a-z]+=", re.sub(r">[^<]*<", "><", text))


@pytest.mark.parametrize("query", ["<script>alert(1)</script>", '"><img src=x>', "{{config}}"])
def test_what_somebody_searches_for_stays_text(query: str, client: TestClient) -> None:
    """In the field that shows it again."""
    text = client.get("/", params={"q": query}, headers=sign_in(client, "olga")).text
    assert query not in text.replace("{{", "{ {") or "{{" in query
    assert "<img" not in text
    assert "<script>alert" not in text


@pytest.mark.parametrize("address", ["/login", "/", "/nowhere", "/static/console.js", "/healthz"])
def test_every_answer_has_the_headers_that_confine_a_page(address: str, client: TestClient) -> None:
    """Errors and files, too."""
    headers = client.get(address).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in policy
    assert "server" not in headers


def test_a_name_that_is_not_the_consoles_is_refused(client: TestClient) -> None:
    """So that a foreign page cannot reach it under a name of its own."""
    assert client.get("/login", headers={"host": "evil.example"}).status_code == 400


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(client: TestClient) -> None:
    """HttpOnly, SameSite=Strict; and a session is a random token, of which no part is the name."""
    client.cookies.clear()
    token = re.findall(r'name="token" value="([^"]+)"', client.get("/login").text)[0]
    answer = client.post("/login", data={"name": "ana", "password": PASSWORD, "token": token})
    cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith("weaklink_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "ana" not in cookie
    client.cookies.clear()


def test_wrong_names_and_wrong_passwords_are_told_alike_and_wait(case: Case) -> None:
    """The fifth wrong one is the last before a pause, which also holds back the right one."""
    with opened(case) as client:
        answers = []
        for name in ["nobody", *["bea"] * 6]:
            token = re.findall(r'name="token" value="([^"]+)"', client.get("/login").text)[0]
            answers.append(client.post("/login", data={"name": name, "password": "wrong" * 3, "token": token}))
        assert [one.status_code for one in answers] == [401] * 6 + [429]
        told = [re.sub(r'value="[^"]+"', "", one.text) for one in answers[:2]]
        assert told[0] == told[1]


def test_many_attempts_at_once_are_no_more_than_as_many_in_turn(case: Case) -> None:
    """All of them begin before the first is answered; the pause still comes after the fifth."""
    with opened(case) as client:
        form = client.get("/login")
        token = re.findall(r'name="token" value="([^"]+)"', form.text)[0]
        headers = {"cookie": f"{LOGIN_COOKIE}={form.cookies[LOGIN_COOKIE]}"}
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # each answer brings a new one
        client.cookies.clear()
        data = {"name": "bea", "password": "wrong" * 3, "token": token}
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: client.post("/login", data=data, headers=headers), range(20)))
    assert sorted(one.status_code for one in answers) == [401] * 5 + [429] * 15


def test_no_secret_is_in_the_log(case: Case, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither password nor session nor form token, of a sign-in that fails and one that does not, and of a verdict that is refused."""
    with opened(case) as client:
        headers = sign_in(client, "olga")
        token = token_of(client, headers)
        client.post("/login", data={"name": "ana", "password": "wrong horse 12345", "token": token}, headers=headers)
        client.post(f"/actions/{case.actions[0]}/approve", data={"token": token}, headers=headers)
        client.post("/logout", data={"token": token}, headers=headers)
        assert client.get("/", headers=headers).status_code == 303
    log = capfd.readouterr().err + capfd.readouterr().out
    for secret in (PASSWORD, "wrong horse 12345", token, headers["cookie"].split("=")[1]):
        assert secret not in log
