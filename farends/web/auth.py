"""The credentials of the HTTP transport: which header field a request carries. Pure but for a nonce."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Protocol

from farends.errors import AuthConfig

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_DIGEST = re.compile(r"\bdigest\s", re.IGNORECASE)
# Each part takes what it can and gives nothing back, and a name is tried at its first letter alone: the
# time grows with the text's length.
_PARAMETER = re.compile(r'(?<![A-Za-z])([A-Za-z]++)\s*+=\s*+(?:"((?:[^"\\]++|\\.)*+)"|([^\s,"]++))')
_OURS = frozenset({"host", "connection", "content-length", "transfer-encoding", "range"})


class LoggingIn(Protocol):
    """What a conversation asks for each request to its origin."""

    def fields(self, method: str, target: str) -> Mapping[str, str]: ...

    def take_challenge(self, www_authenticate: str) -> bool:
        """Whether the request is worth sending again with what the host now told."""
        ...


class Credentials:
    """The credentials for one origin. Raises AuthConfig for what cannot be a header field."""

    def __init__(
        self, scheme: str, *, username: str, password: str, token: str, header_name: str
    ) -> None:
        self._fixed: dict[str, str] = {}
        self._digest: Digest | None = None
        if scheme == "basic":
            pair = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
            self._fixed = {"Authorization": f"Basic {pair}"}
        elif scheme == "bearer":
            self._fixed = {"Authorization": f"Bearer {_field_value(token)}"}
        elif scheme == "header":
            if not _TOKEN.fullmatch(header_name) or header_name.lower() in _OURS:
                raise AuthConfig("header_name is not the name of a header field for credentials")
            self._fixed = {header_name: _field_value(token)}
        elif scheme == "digest":
            self._digest = Digest(username, password)

    def fields(self, method: str, target: str) -> Mapping[str, str]:
        if self._digest is not None:
            return self._digest.fields(method, target)
        return self._fixed

    def take_challenge(self, www_authenticate: str) -> bool:
        return self._digest is not None and self._digest.take_challenge(www_authenticate)


class Digest:
    """RFC 7616 with MD5 or SHA-256, and quality of protection `auth` or none (RFC 2069)."""

    _ALGORITHMS: Mapping[str, Callable[[bytes], str]] = {
        "md5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "sha-256": lambda data: hashlib.sha256(data).hexdigest(),
    }

    def __init__(self, username: str, password: str) -> None:
        if any(mark in username for mark in '"\\\r\n\0:'):
            raise AuthConfig("the user name holds characters that digest log-in cannot carry")
        self._username = username
        self._password = password
        self._challenge: dict[str, str] = {}
        self._count = 0

    def take_challenge(self, www_authenticate: str) -> bool:
        for part in _DIGEST.split(www_authenticate)[1:]:
            found = {m[1].lower(): m[2] or m[3] or "" for m in _PARAMETER.finditer(part)}
            qop = [word.strip() for word in found.get("qop", "").split(",")]
            algorithm = found.get("algorithm", "MD5").lower()
            usable = algorithm in self._ALGORITHMS and ("auth" in qop or qop == [""])
            if usable and "nonce" in found and "realm" in found:
                self._challenge, self._count = found, 0
                return True
        return False

    def fields(self, method: str, target: str) -> Mapping[str, str]:
        challenge = self._challenge
        if not challenge:
            return {}
        algorithm = challenge.get("algorithm", "MD5")
        digest = self._ALGORITHMS[algorithm.lower()]

        def hashed(*parts: str) -> str:
            return digest(":".join(parts).encode())

        realm, nonce = challenge["realm"], challenge["nonce"]
        who = hashed(self._username, realm, self._password)
        what = hashed(method, target)
        said = (
            f'username="{self._username}", realm="{realm}", nonce="{nonce}", uri="{target}",'
            f" algorithm={algorithm}"
        )
        if "qop" in challenge:
            self._count += 1
            count, own = f"{self._count:08x}", secrets.token_hex(8)
            response = hashed(who, nonce, count, own, "auth", what)
            said += f', qop=auth, nc={count}, cnonce="{own}"'
        else:
            response = hashed(who, nonce, what)
        said += f', response="{response}"'
        if "opaque" in challenge:
            said += f', opaque="{challenge["opaque"]}"'
        return {"Authorization": f"Digest {said}"}


def _field_value(token: str) -> str:
    if not token:
        raise AuthConfig("this way to log in needs the token")
    if not all("!" <= character <= "~" for character in token):
        raise AuthConfig("the token holds characters that no header field carries")
    return token
