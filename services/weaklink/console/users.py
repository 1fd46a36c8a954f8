"""Who may use the console: users and their sessions, in the ledger's database, in tables of their own.

Passwords are kept as scrypt hashes, session tokens as SHA-256: whoever reads the database can sign in as nobody.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from weaklink.console.config import ConsoleConfig
from weaklink.enforce.database import Database, wall_us
from weaklink.errors import ConfigurationError

_metadata: Final = sa.MetaData()
_LOCK: Final = "weaklink.console"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}")
_PASSWORD_MIN: Final = 12
_PASSWORD_MAX: Final = 256
# OWASP Password Storage Cheat Sheet (2025), scrypt: N=2^15, r=8, p=3 (32 MiB).
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P, _SCRYPT_BYTES_MAX = 1 << 15, 8, 3, 64 << 20
# Each takes a core and 32 MiB for a tenth of a second: whoever sends many attempts must not have them all.
_HASHES_AT_ONCE: Final = 2
_HASHES_MAX: Final = 20
_MINUTE_US: Final = 60_000_000

users: Final = sa.Table(
    "console_users",
    _metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("party", sa.String(40)),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("password_hash", sa.LargeBinary, nullable=False),
    sa.Column("created_wall_us", sa.BigInteger, nullable=False),
    sa.CheckConstraint("(role = 'PARTY') = (party IS NOT NULL)", name="ck_console_users_party"),
)
sessions: Final = sa.Table(
    "console_sessions",
    _metadata,
    sa.Column("token_hash", sa.LargeBinary, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("csrf", sa.String(64), nullable=False),
    sa.Column("created_wall_us", sa.BigInteger, nullable=False),
    sa.Column("used_wall_us", sa.BigInteger, nullable=False),
)


class Role(StrEnum):
    """OPERATOR sees everything and decides; PARTY sees what is its own, and decides nothing."""

    OPERATOR = "OPERATOR"
    PARTY = "PARTY"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks. `party`: the only one whose data it may see; None for an operator."""

    name: str
    role: Role
    party: str | None

    @property
    def operator(self) -> bool:
        """Whether it may see everything, and decide."""
        return self.role is Role.OPERATOR


@dataclass(frozen=True, slots=True)
class Session:
    """A viewer that has signed in, and the token that each of its changes has to carry."""

    viewer: Viewer
    csrf: str


def _hashed(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, maxmem=_SCRYPT_BYTES_MAX, dklen=32
    )


def _token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class Users:
    """Reads and writes of both tables."""

    def __init__(self, database: Database, config: ConsoleConfig) -> None:
        self._database = database
        self._config = config
        self._hashing = asyncio.Semaphore(_HASHES_AT_ONCE)
        self._checks = 0

    async def create_tables(self) -> None:
        """Make the tables where they are missing. Several consoles may start at once: one does it, the others wait."""
        async with self._database.write(_LOCK) as connection:
            await connection.run_sync(_metadata.create_all)

    async def add(self, name: str, role: Role, party: str | None, password: str) -> None:
        """A new user, or a new password and role of one; ends the sessions it had. Raises ConfigurationError for what cannot be used."""
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r} is not a user's name: 2 to 64 of a-z, 0-9, '.', '_', '@' and '-'")
        if not _PASSWORD_MIN <= len(password) <= _PASSWORD_MAX:
            raise ConfigurationError(f"a password has {_PASSWORD_MIN} to {_PASSWORD_MAX} characters")
        if (role is Role.PARTY) != (party is not None):
            raise ConfigurationError("a party's user names its party (--party), and an operator none")
        salt = secrets.token_bytes(16)
        row = {"role": role.value, "party": party, "salt": salt, "password_hash": _hashed(password, salt)}
        async with self._database.write(_LOCK) as connection:
            await _remove(connection, name)
            await connection.execute(sa.insert(users).values(name=name, created_wall_us=wall_us(), **row))

    async def remove(self, name: str) -> bool:
        """End a user and its sessions; False: there was none."""
        async with self._database.write(_LOCK) as connection:
            return await _remove(connection, name)

    async def remove_party(self, party: str) -> list[str]:
        """End every user of a party, and their sessions; their names."""
        query = sa.select(users.c.name).where(users.c.party == party).order_by(users.c.name)
        async with self._database.write(_LOCK) as connection:
            names = [str(name) for name in (await connection.execute(query)).scalars()]
            for name in names:
                await _remove(connection, name)
        return names

    async def list(self) -> list[dict[str, Any]]:
        """[name, role, party, created_wall_us] of every user."""
        columns = (users.c.name, users.c.role, users.c.party, users.c.created_wall_us)
        async with self._database.read() as connection:
            rows = (await connection.execute(sa.select(*columns).order_by(users.c.name))).mappings()
            return [dict(row) for row in rows]

    @property
    def crowded(self) -> bool:
        """Whether so many passwords are being checked, or wait for it, that the next one should come later."""
        return self._checks >= _HASHES_MAX

    async def check(self, name: str, password: str) -> bool:
        """Whether this is the user's password. An unknown name takes as long as a known one. Two at a time, the others wait."""
        self._checks += 1
        try:
            return await self._check(name, password)
        finally:
            self._checks -= 1

    async def _check(self, name: str, password: str) -> bool:
        async with self._database.read() as connection:
            row = (await connection.execute(sa.select(users).where(users.c.name == name))).mappings().first()
        salt = row["salt"] if row else b"\x00" * 16
        async with self._hashing:
            found = await asyncio.to_thread(_hashed, password[:_PASSWORD_MAX], salt)
        return hmac.compare_digest(found, row["password_hash"] if row else b"\x00" * 32) and row is not None

    async def sign_in(self, name: str) -> str:
        """A new session; gives its token, of which only the hash is kept."""
        token, now = secrets.token_urlsafe(32), wall_us()
        values = {"token_hash": _token_hash(token), "name": name, "csrf": secrets.token_urlsafe(32)}
        async with self._database.write(_LOCK) as connection:
            await connection.execute(sa.delete(sessions).where(sa.not_(self._alive(now))))
            await connection.execute(sa.insert(sessions).values(created_wall_us=now, used_wall_us=now, **values))
        return token

    async def session(self, token: str, *, touch: bool = True) -> Session | None:
        """The session of a token that is still good. `touch`: it is used, and so not idle from now on."""
        now, known = wall_us(), sessions.c.token_hash == _token_hash(token)
        query = (
            sa.select(users.c.name, users.c.role, users.c.party, sessions.c.csrf, sessions.c.used_wall_us)
            .select_from(sessions.join(users, users.c.name == sessions.c.name))
            .where(known, self._alive(now))
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        if row is None:
            return None
        if touch and now - row["used_wall_us"] > _MINUTE_US:  # one write a minute tells idle from busy well enough
            async with self._database.write(_LOCK) as connection:
                await connection.execute(sa.update(sessions).where(known).values(used_wall_us=now))
        return Session(Viewer(row["name"], Role(row["role"]), row["party"]), row["csrf"])

    async def sign_out(self, token: str) -> None:
        """End a session."""
        async with self._database.write(_LOCK) as connection:
            await connection.execute(sa.delete(sessions).where(sessions.c.token_hash == _token_hash(token)))

    def _alive(self, now_us: int) -> sa.ColumnElement[bool]:
        lasting = int(self._config.session_hours * 60 * _MINUTE_US)
        idle = int(self._config.idle_minutes * _MINUTE_US)
        return sa.and_(sessions.c.created_wall_us > now_us - lasting, sessions.c.used_wall_us > now_us - idle)


async def _remove(connection: AsyncConnection, name: str) -> bool:
    await connection.execute(sa.delete(sessions).where(sessions.c.name == name))
    return (await connection.execute(sa.delete(users).where(users.c.name == name))).rowcount > 0
