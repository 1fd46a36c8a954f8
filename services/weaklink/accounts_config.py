"""Settings of the keys of accounts (`account_keys`)."""

from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from weaklink.errors import ConfigurationError

_SECRET_BYTES_MIN: Final = 16


class AccountsConfig(BaseModel):
    """Environment: WEAKLINK_ACCOUNTS__<NAME>. The same for every stage, and for whoever runs commands that name accounts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: SecretStr | None = None
    """What keys of accounts are made with, at least 16 bytes; never logged. Under another one every account is a new one."""
    secret_file: Path | None = None
    """A file that holds it (a mounted secret), instead of `secret`; a newline at its end does not count."""

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.secret and self.secret_file:
            raise ValueError("secret and secret_file are both set: which one is meant?")
        if self.secret and len(self.secret.get_secret_value().encode()) < _SECRET_BYTES_MIN:
            raise ValueError(f"a secret of less than {_SECRET_BYTES_MIN} bytes can be guessed")
        return self

    def content(self) -> bytes | None:
        """The secret. Raises ConfigurationError when its file cannot be read, or holds too little."""
        if self.secret_file is None:
            return self.secret.get_secret_value().encode() if self.secret else None
        try:
            found = self.secret_file.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
        except OSError as error:
            raise ConfigurationError(
                f"WEAKLINK_ACCOUNTS__SECRET_FILE {self.secret_file} cannot be read: {type(error).__name__}"
            ) from error
        if len(found) < _SECRET_BYTES_MIN:
            raise ConfigurationError(
                f"{self.secret_file} holds {len(found)} bytes, and is to hold {_SECRET_BYTES_MIN} at least: openssl rand -hex 32 > {self.secret_file}"
            )
        return found
