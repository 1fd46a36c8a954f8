"""Who may ask the tokeniser: a JSON file with the hash of each party's secret. Secrets are random, so one SHA-256 is enough."""

import hashlib
import json
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from weaklink.errors import ConfigurationError, PartyError
from weaklink.parties import PARTY_ID
from weaklink.replaced import replace_file

_SECRET_BYTES = 32


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = 1
    clients: dict[str, str] = {}


def load_clients(path: Path) -> dict[str, str]:
    """Party by the hash of its secret; empty when there is no file yet. Raises ConfigurationError when it is damaged."""
    try:
        clients = _File.model_validate_json(path.read_bytes()).clients
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise ConfigurationError(f"{path} cannot be read as the tokeniser's list of clients: {type(error).__name__}") from None  # fmt: skip
    return {hashed: party for party, hashed in clients.items()}


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def grant(path: Path, party: str) -> str:
    """Let a party in, with a new secret, which is returned and kept nowhere. The one before lets nobody in any more."""
    if not PARTY_ID.fullmatch(party):
        raise PartyError(f"{party!r} is not a party id: 2 to 40 of a-z, 0-9 and '-'")
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    _save(path, {known: hashed for hashed, known in load_clients(path).items()} | {party: hash_of(secret)})
    return secret


def revoke(path: Path, party: str) -> None:
    """Let a party in no more. Raises PartyError when it is not let in."""
    clients = {known: hashed for hashed, known in load_clients(path).items()}
    if party not in clients:
        raise PartyError(
            f"{party} is not among the tokeniser's clients: {', '.join(sorted(clients)) or 'there are none'}"
        )
    del clients[party]
    _save(path, clients)


def _save(path: Path, clients: dict[str, str]) -> None:
    replace_file(path, json.dumps({"version": 1, "clients": dict(sorted(clients.items()))}, indent=1))
