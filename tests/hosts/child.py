"""Child processes that serve on loopback, stopped by their own process id."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

_START_S = 15.0
_TRY_EVERY_S = 0.02


def find_binary(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed; `make test` installs it")
    return found


@contextlib.contextmanager
def serving(command: Sequence[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server until the block ends; yields once its port answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_for_port(process, port, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(90)


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(int(_START_S / _TRY_EVERY_S)):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        try:
            process.wait(_TRY_EVERY_S)
        except subprocess.TimeoutExpired:
            continue
        break
    told = log.read_text(errors="replace")[-2000:]
    pytest.fail(f"{process.args!r} did not start: {told}")


def as_user(user: str | None, command: Sequence[str]) -> list[str]:
    if user is None:
        return list(command)
    return ["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups", "--", *command]


def give_to(user: str | None, *paths: Path) -> None:
    if user is not None:
        entry = pwd.getpwnam(user)
        for path in paths:
            os.chown(path, entry.pw_uid, entry.pw_gid)
