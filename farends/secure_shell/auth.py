"""Logs in on an SSH connection to a host that is already known."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import paramiko
from paramiko.auth_handler import AuthHandler

from farends.errors import AuthRefused, ConnectionLost, ConnectionStage
from farends.secure_shell.paramiko_names import LaterAuth
from farends.secure_shell.terms import SshTerms
from farends.wire.far_text import show

_PROMPT_ROUNDS_MAX = 8


@dataclass(frozen=True, slots=True, repr=False)
class SshLogin:
    username: str
    password: str = ""
    private_key: str = ""
    passphrase: str = ""
    certificate: str = ""


class _Attempts:
    def __init__(self, transport: paramiko.Transport) -> None:
        self._transport = transport
        self._asked = False

    def run(self, start: Callable[[AuthHandler, threading.Event], None]) -> list[str]:
        """One way to log in. Returns what the host asks for besides, empty once logged in."""
        handler = LaterAuth(self._transport) if self._asked else AuthHandler(self._transport)
        self._asked = True
        self._transport.auth_handler = handler
        answered = threading.Event()
        start(handler, answered)
        try:
            return handler.wait_for_response(answered)
        except paramiko.AuthenticationException as exc:
            if self._transport.is_active():
                raise
            # paramiko calls a connection that ends during the log-in a refusal
            raise ConnectionLost(
                "the host ended the connection during the log-in", stage=ConnectionStage.LOG_IN
            ) from exc


def log_in(
    transport: paramiko.Transport, login: SshLogin, key: paramiko.PKey | None, terms: SshTerms
) -> None:
    """Key first; the password where there is no key, or where the host asks for both.

    Raises AuthRefused, ConnectionLost and paramiko's errors.
    """
    attempts = _Attempts(transport)
    remaining: list[str] = []
    if key is not None:
        remaining = _offer_key(attempts, login, key, lambda: terms.sign_as_before(key, transport))
    if not transport.is_authenticated() and login.password:
        remaining = _offer_password(attempts, login)
    if not transport.is_authenticated():
        raise AuthRefused(f"the host asks for more: {', '.join(map(show, remaining))}")


def _offer_key(
    attempts: _Attempts, login: SshLogin, key: paramiko.PKey, has_other_way: Callable[[], bool]
) -> list[str]:
    def start(handler: AuthHandler, event: threading.Event) -> None:
        handler.auth_publickey(login.username, key, event)

    try:
        return attempts.run(start)
    except paramiko.AuthenticationException:
        if not has_other_way():
            raise
    return attempts.run(start)


def _offer_password(attempts: _Attempts, login: SshLogin) -> list[str]:
    try:
        return attempts.run(
            lambda handler, event: handler.auth_password(login.username, login.password, event)
        )
    except paramiko.BadAuthenticationType as exc:
        if "keyboard-interactive" not in exc.allowed_types:
            raise
    rounds = 0

    def answer(title: str, instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
        nonlocal rounds
        rounds += 1
        if rounds > _PROMPT_ROUNDS_MAX:
            raise paramiko.AuthenticationException("too many prompts")
        # Only what is not echoed is a question for the password.
        return ["" if echoed else login.password for _, echoed in prompts]

    return attempts.run(
        lambda handler, event: handler.auth_interactive(login.username, answer, event)
    )
