"""Reads what a person pasted into the field of a host and is more than a host: an address with port, user or path. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from farends.spec import Spec, option_fields

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,20})://", re.IGNORECASE)
_COPY = re.compile(
    r"(?:([^\s/@:]+)@)?([^\s/@:\[\]]+):((?:~|/(?!/))\S*)"
)  # user@host:/path, as scp writes it
_KINDS = {
    "ftpes": "ftps", "dav": "webdav", "davs": "webdav", "webdavs": "webdav", "postgres": "sql", "postgresql": "sql",
    "mysql": "sql", "mariadb": "sql",
}  # fmt: skip
_FOLDERS = ("root", "database", "path")  # options that take the path of an address


@dataclass(frozen=True, slots=True)
class PastedAddress:
    """Its parts; empty or None where it does not name them. `kind` is None where its scheme is none of ours."""

    host: str
    kind: str | None = None
    port: int | None = None
    folder: str = ""
    username: str = ""
    has_password: bool = False


def find_pasted_address(text: str, kinds: Mapping[str, Spec]) -> PastedAddress | None:
    """Returns None for a plain host, and for what is no address either."""
    text = text.strip()
    if _is_ip(text):
        return None
    if copied := _COPY.fullmatch(text):
        username, host, folder = copied.groups()
        return PastedAddress(host, folder=folder, username=username or "")
    scheme = _SCHEME.match(text)
    if scheme is None and not re.search(r"[/@:\[]", text):
        return None
    try:
        split = urlsplit(text if scheme else f"//{text}")
        host, port = split.hostname or "", split.port
    except ValueError:
        return None
    if not host or re.search(r"\s", host):
        return None
    folder = unquote(split.path)
    return PastedAddress(
        host=host,
        kind=_find_kind(scheme[1].lower(), kinds) if scheme else None,
        port=port,
        folder="" if folder == "/" else folder,
        username=unquote(split.username or ""),
        has_password=split.password is not None,
    )


def find_host_fault(text: str) -> str:
    """What is wrong with a host that is no address either, as a sentence; empty where nothing is."""
    if re.search(r"\s", text):
        return "A host name has no blanks in it."
    if "\\" in text:
        return (
            "This is a path of Windows. Enter only the name of the host, such as files.example.com."
        )
    if re.search(r"[/@?#\[\]]", text) or (":" in text and not _is_ip(text)):
        return "This is no host name. Enter a name such as files.example.com, or an IP address."
    return ""


def choose_options(address: PastedAddress, spec: Spec) -> dict[str, str]:
    """The options that take the address's folder and user, as far as the kind has them."""
    known = {field.name for field in option_fields(spec.options)}
    chosen: dict[str, str] = {}
    folder = next((name for name in _FOLDERS if name in known), None)
    if folder and address.folder:
        chosen[folder] = address.folder.lstrip("/") if folder == "database" else address.folder
    if address.username and "username" in known:
        chosen["username"] = address.username
    return chosen


def _find_kind(scheme: str, kinds: Mapping[str, Spec]) -> str | None:
    kind = _KINDS.get(scheme, scheme)
    return kind if kind in kinds else None


def _is_ip(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
