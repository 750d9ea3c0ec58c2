"""A read-only SFTP host on loopback: `python -m embedded.samples.sftp_host FOLDER PORT`.

FOLDER/sftp is what it serves; its host key and the only key that may log in (as `sample`) are made
once in FOLDER.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import asyncssh

from embedded import keys
from embedded.samples import sftp_keys

_WRITING = (
    asyncssh.FXF_WRITE
    | asyncssh.FXF_APPEND
    | asyncssh.FXF_CREAT
    | asyncssh.FXF_TRUNC
    | asyncssh.FXF_EXCL
)


def _refuse(*_: Any) -> NoReturn:
    raise asyncssh.SFTPPermissionDenied("this sample host is read-only")


_REFUSED: Any = _refuse  # stands for methods of many signatures


class ReadOnlyFolder(asyncssh.SFTPServer):
    """The served folder as the root of everything; every change is refused."""

    def __init__(self, channel: asyncssh.SSHServerChannel[Any], folder: Path) -> None:
        super().__init__(channel, chroot=os.fsencode(folder))

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if pflags & _WRITING:
            _refuse()
        return super().open(path, asyncssh.FXF_READ, asyncssh.SFTPAttrs())

    # Links too: a link would be the way out of the folder.
    open56 = setstat = lsetstat = fsetstat = remove = mkdir = rmdir = _REFUSED
    rename = posix_rename = symlink = link = _REFUSED


async def serve_sftp(folder: Path, port: int) -> None:
    """Serves until SIGTERM or SIGINT."""
    client = _keep_key(sftp_keys.client_key(folder))
    server = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=lambda: _OneUser(client.public_data),
        server_host_keys=[_keep_key(sftp_keys.host_key(folder))],
        password_auth=False,
        kbdint_auth=False,
        sftp_factory=lambda channel: ReadOnlyFolder(channel, folder / "sftp"),
        allow_scp=False,
        agent_forwarding=False,
    )
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with server:
        await stopped.wait()


class _OneUser(asyncssh.SSHServer):
    def __init__(self, public_key: bytes) -> None:
        self._public_key = public_key

    def begin_auth(self, username: str) -> bool:
        return True  # there is something to prove, whoever comes

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == sftp_keys.USER and key.public_data == self._public_key


def _keep_key(path: Path) -> asyncssh.SSHKey:
    def make() -> str:
        return asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode("ascii")

    key = asyncssh.import_private_key(keys.keep_secret(path, make) + "\n")
    path.with_suffix(".pub").write_bytes(key.export_public_key())
    return key


if __name__ == "__main__":
    asyncio.run(serve_sftp(Path(sys.argv[1]), int(sys.argv[2])))
