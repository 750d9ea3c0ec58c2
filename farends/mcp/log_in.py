"""The credentials of a connector of kind `mcp`: a bearer token, or a header field that a person names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from farends.errors import AuthConfig
from farends.mcp.options import McpOptions, McpSecret

_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")


class McpLogIn:
    """Raises AuthConfig for what cannot be a header field."""

    def __init__(self, options: McpOptions, secret: McpSecret) -> None:
        self._fields: dict[str, str] = {}
        if secret.token and secret.header_value:
            raise AuthConfig("the secret has a token and a header_value: give one of them")
        if bool(options.header_name) != bool(secret.header_value):
            raise AuthConfig("options.header_name and the secret's header_value go together")
        if secret.token:
            self._fields = {"Authorization": f"Bearer {_check(secret.token, 'token')}"}
        elif secret.header_value:
            self._fields = {options.header_name: _check(secret.header_value, "header_value")}

    def fields(self, method: str, target: str) -> Mapping[str, str]:
        return self._fields

    def take_challenge(self, www_authenticate: str) -> bool:
        """There is nothing more to say: who wants OAuth is not asked for more."""
        return False


def _check(value: str, name: str) -> str:
    if not _VALUE.fullmatch(value):
        raise AuthConfig(f"the {name} holds characters that no header field carries")
    return value
