"""A program with a token, asking in the test's own process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.test import Client

from tests.rows import make_workspace
from workspaces.models import Role
from workspaces.tokens import create_token

TREE = "/api/workspaces/acme"


@dataclass(frozen=True)
class Asker:
    token: str

    def get(self, path: str, query: dict[str, Any] | None = None, **headers: str) -> Any:
        return Client().get(f"{TREE}/{path}", query or {}, headers=self._signed(headers))

    def head(self, path: str, query: dict[str, Any] | None = None, **headers: str) -> Any:
        return Client().head(f"{TREE}/{path}", query or {}, headers=self._signed(headers))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("POST", path, body, headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("PATCH", path, body, headers)

    def delete(self, path: str) -> Any:
        return self._send("DELETE", path, None, {})

    def items(self, path: str, **query: Any) -> list[Any]:
        """Of all pages."""
        found: list[Any] = []
        cursor = None
        while True:
            told = self.get(path, query | ({"cursor": cursor} if cursor else {})).json()
            found += told["items"]
            cursor = told["next"]
            if cursor is None:
                return found

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        return Client(raise_request_exception=False).generic(
            method,
            f"{TREE}/{path}",
            json.dumps(body or {}),
            content_type="application/json",
            headers=self._signed(headers),
        )

    def _signed(self, headers: dict[str, str]) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return named | {"Authorization": f"Bearer {self.token}"}


def asker(role: Role = Role.VIEWER, name: str = "ci") -> Asker:
    return Asker(create_token(make_workspace(), name=name, role=role)[1])
