"""Codes in plain words: what each piece of evidence says, for whoever has to answer for acting on it."""

from typing import Final

_KINDS: Final = {
    "IP": "addresses", "DEVICE": "devices", "TLS": "TLS fingerprints", "CARD": "cards", "BANK_ACCOUNT": "bank accounts",
    "EMAIL": "e-mail addresses", "PHONE": "phone numbers", "API_KEY": "API keys", "PROMPT": "prompt templates",
    "ORGANISATION": "organisations", "REFERRAL": "referrals", "END_USER": "end users",
}  # fmt: skip
_CODES: Final = {
    "TASK_MIX": "asks for the tasks that training data is made of, more than other customers do",
    "REGULARITY": "makes as many requests in one window as in the next, as a program does",
    "OUTPUT_SHARE": "takes much output for little input",
    "CAMOUFLAGE": "allowance for usage that is mixed with ordinary requests",
    "ACCOUNT_AGE": "how old the account is",
    "PLAN": "the plan that it was opened on",
    "VERIFICATION": "how it was verified",
    "OPENED_FROM": "the kind of address that it was opened from",
    "MAIL": "the kind of e-mail address that it was opened with",
    "CLOSED_BY_PARTY": "its own party closed it, and why",
    "FEEDBACK": "its own party or a person spoke for it",
    "RARE_SHARING": "shares identifiers that strangers hardly ever share",
    "COMPANY": "what is believed of those that it shares identifiers with",
    "BELIEF": "belief that it serves the campaign, all evidence together",
    "OWN_FINDING": "its own party closed an account of the campaign for distillation",
}


def kind_words(kind: str, number: int = 0) -> str:
    """`CARD` as `cards`, and where it is one, as `card`."""
    words = _KINDS.get(kind, kind.lower())
    return words if number != 1 else words.removesuffix("es") if words.endswith("sses") else words.removesuffix("s")


def code_words(code: str) -> str:
    """What the code of a piece of evidence says. A code that is not known is shown as it is."""
    if code.startswith("SHARED_"):
        return f"shares {kind_words(code.removeprefix('SHARED_'))} with other members"
    return _CODES.get(code, code)


MEASURES: Final = {
    "CHALLENGE": "ask for proof",
    "THROTTLE": "slow down",
    "SUSPEND": "suspend",
    "BLOCK_IDENTIFIER": "block the identifier",
    "REVOKE_LEASE": "revoke the lease",
    "REQUIRE_END_USER_IDS": "require names of its customers",
    "OBSERVE": "observe",
}
