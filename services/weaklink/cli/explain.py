"""`weaklink explain ACCOUNT|ACTION`: why, piece by piece, and what would change it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from weaklink.cli.action_tables import print_json, time_text
from weaklink.cli.campaigns import cases, plain, printable
from weaklink.cli.ledger import read

if TYPE_CHECKING:
    from weaklink.cases.explanation import Explanation
    from weaklink.cases.store import Cases


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("explain")(explain)


def explain(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="ACCOUNT|ACTION", help="An account as PARTY/ACCOUNT, or an action's id or its beginning."
        ),
    ],
    party: Annotated[
        str | None, typer.Option("--party", help="The account's party, for an account's name alone.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Why an account is in a campaign, or why an action was asked for: each piece of evidence, and what would change the verdict."""
    known = cases()
    account = _account(known, subject, party)
    if account is not None:
        found = _explained(known, *account)
        _say(found, as_json)
        return
    from weaklink.enforce.queries import NoSuchAction, find_ids, show_action
    from weaklink.errors import ConfigurationError

    async def query(connection: Any) -> dict[str, Any]:
        return await show_action(connection, (await find_ids(connection, [subject]))[0])

    try:
        action = read(query)
    except NoSuchAction as error:
        raise ConfigurationError(
            f"{subject!r} is neither an account in a campaign (PARTY/ACCOUNT; `weaklink campaigns export --format csv` lists them) "
            "nor an action's id or its beginning (`weaklink actions list`)"
        ) from error
    target = (action["party"], action["target_account"])
    evidence = known.evidence(*target) if action["target_account"] is not None else None
    if as_json:
        print_json([{"action": action, "account": plain(evidence)}])
        return
    _say_action(action)
    if evidence is not None:
        typer.echo("")
        _say(_explained(known, *target), as_json=False)


def _account(known: "Cases", subject: str, party: str | None) -> tuple[str, str] | None:
    """(party, account) of a subject that names one; None: it does not, or it names no member. Raises ConfigurationError for several."""
    from weaklink.errors import ConfigurationError

    where, slash, name = subject.partition("/")
    if party is None and slash and known.member(where, name) is not None:
        return where, name
    found = known.named(subject, party)
    if len(found) > 1:
        raise ConfigurationError(
            f"{subject!r} is an account of {', '.join(one.party for one in found)}: say which with --party"
        )
    if found:
        return found[0].party, found[0].account
    if party is not None or slash:
        raise ConfigurationError(
            f"{subject!r} is in no campaign: there is nothing to explain (`weaklink campaigns export --format csv` lists who is)"
        )
    return None


def _explained(known: "Cases", party: str, account: str) -> "Explanation":
    from weaklink.cases.explanation import explain as explained
    from weaklink.errors import ConfigurationError
    from weaklink.settings import load_settings

    evidence = known.evidence(party, account)
    if evidence is None:
        raise ConfigurationError(
            f"{party}/{account} joined its campaign after the last plan: its evidence is told with the next one"
        )
    settings = load_settings()
    return explained(evidence, settings.campaigns, settings.enforce)


def _say(found: "Explanation", as_json: bool) -> None:
    if as_json:
        print_json([plain({**found.evidence, "changes": found.changes})])
        return
    lines = [
        f"{found.party}/{found.account} is in {found.campaign_id}: {found.score:.1%} sure "
        f"(belief {found.belief:+.1f} nats, of which {found.prior:+.1f} is what is believed of anybody)",
        "", "evidence (nats, parties, last seen)",
    ]  # fmt: skip
    for one in found.pieces:
        at = f"{one['at']:%Y-%m-%d %H:%M}" if one["at"] else "-"
        lines.append(f"  {one['weight']:+6.1f}  {one['parties']:3}  {at:16}  {one['code']}: {one['words']}")
    lines += ["", "shares", *(f"  {one['kind']}: {one['words']}" for one in found.shares)]
    lines += ["", "what would change it", *(f"  {one}" for one in found.changes)]
    for line in lines:
        typer.echo(printable(line))


def _say_action(action: dict[str, Any]) -> None:
    from weaklink.cases.words import code_words

    target = action["target_account"] if action["target_account"] is not None else f"token {action['target_token']}"
    lines = [
        f"{action['action_id']} revision {action['revision']}: {action['measure']} {target} at {action['party']} is {action['state']}",
        f"for campaign {action['campaign_id']}, {action['confidence']:.1%} sure that the target serves it; evidence of {time_text(action['evidence_at_us'])}",
        f"to cut {action['expected_cut']:,.0f} requests a day, touching {action['benign_accounts_touched']} benign accounts",
        "", "evidence (nats, parties)",
        *(f"  {weight:+6.2f}  {parties:3}  {code}: {code_words(code)}" for code, weight, parties in action["reasons"]),
        "", "what would change it",
        *(f"  {one}" for one in action_changes(action)),
    ]  # fmt: skip
    for line in lines:
        typer.echo(printable(line))


def action_changes(action: dict[str, Any]) -> list[str]:
    """What ends the action, or lets it through."""
    if action["state"] == "WAITING":
        why = next((one["why"] for one in reversed(action["approvals"]) if one["verdict"] is None), "")
        return [f"It waits for a person: {why}. `weaklink actions approve {action['action_id'][:12]}` or `decline`."]
    if action["state"] != "ACTIVE":
        return [f"It has ended ({action['state']})."]
    return [
        f"A receipt DISPUTED or NOT_OURS of {action['party']} ends it at once, and its target is left alone for a time.",
        "It is withdrawn when its campaign's next plan finds its ground gone: the target left, or the campaign ended.",
        f"It lapses by itself at {time_text(action['expires_at_us'])}. `weaklink actions withdraw {action['action_id'][:12]}` ends it now.",
    ]
