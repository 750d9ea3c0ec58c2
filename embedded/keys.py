"""The stack's own keys and passwords: made once, kept as files that only their owner reads."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded import secret_files
from embedded.errors import StackError
from embedded.variables import Variables


@dataclass(frozen=True, slots=True)
class Key:
    """A secret and the file that holds it, which is what programs are told."""

    path: Path
    value: str


@dataclass(frozen=True, slots=True)
class Keys:
    secret_key: Key
    secrets_keys: Key  # Fernet keys, newest first
    cron_secret: Key
    console_password: Key
    flower_password: Key


def settle_keys(folder: Path, environment: Mapping[str, str]) -> Keys:
    """What the environment gives (NAME or NAME_FILE), else what the folder holds, else new ones.

    Raises StackError when a named file cannot be read or the folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)

        def key(name: str, make: Callable[[], str]) -> Key:
            return _settle(folder, environment, name, make)

        return Keys(
            secret_key=key("SECRET_KEY", lambda: secrets.token_urlsafe(50)),
            secrets_keys=key("SECRETS_KEYS", _fernet_key),
            cron_secret=key("CRON_SECRET", lambda: secrets.token_urlsafe(32)),
            console_password=key("CONSOLE_PASSWORD", lambda: secrets.token_urlsafe(12)),
            flower_password=key("FLOWER_PASSWORD", lambda: secrets.token_urlsafe(12)),
        )
    except OSError as error:
        raise StackError(f"cannot keep keys in {folder}: {error.strerror}") from error


def _settle(
    folder: Path, environment: Mapping[str, str], name: str, make: Callable[[], str]
) -> Key:
    value = Variables(environment).find(name)
    if value is not None:
        given = environment.get(f"{name}_FILE")
        path = Path(given).resolve() if given else folder / f"{name.lower()}.given"
        if not given:
            secret_files.write_secret(path, value)  # programs are told files, whatever we were told
        return Key(path, value)
    path = folder / name.lower()
    return Key(path, secret_files.keep_secret(path, make))


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")
