"""An SFTP server of another make, run as a child process: `python -m tests.hosts.asyncssh_server`.

A path's words change what it does, so that a test says by a file's name what the host is to be like.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import asyncssh

PASSWORD = "sesame, open"
HOSTILE_NAMES = (b"../../x", b"a/../../x", b"/abs", b"", b"nul\0name", b"a/b", b"good")


class Server(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return "prompts" not in sys.argv[4:]

    def kbdint_auth_supported(self) -> bool:
        return "prompts" in sys.argv[4:]

    def validate_password(self, username: str, password: str) -> bool:
        return password == PASSWORD

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "", "", "", [("Password:", False)]

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        return list(responses) == [PASSWORD]


class Files(asyncssh.SFTPServer):
    def __init__(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        super().__init__(chan)
        self._connection = chan.get_connection()
        self._names: dict[object, bytes] = {}
        self._served = 0

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        if b"denied" in path:
            raise asyncssh.SFTPPermissionDenied("denied")
        if b"failing" in path or self._fails_once(path):
            raise asyncssh.SFTPFailure("busy")
        if b"echoing" in path:
            raise asyncssh.SFTPFailure(f"\x1b[2J no such file for {PASSWORD}\r\n")
        if b"hostile-names" in path:
            for name in HOSTILE_NAMES:
                attrs = asyncssh.SFTPAttrs(size=1, permissions=0o100644, atime=0, mtime=0)
                yield asyncssh.SFTPName(name, attrs=attrs)
            return
        for entry in sorted(os.listdir(os.fsdecode(path))):  # noqa: PTH208 — bytes are what is served
            raw = os.fsencode(entry)
            attrs = await self.lstat(path.rstrip(b"/") + b"/" + raw)
            if b"bare" in path:
                attrs = asyncssh.SFTPAttrs()
            yield asyncssh.SFTPName(raw, attrs=attrs)
            if raw in (b"both", b"thrice") and self._told_twice(path):
                attrs = asyncssh.SFTPAttrs(size=5, permissions=0o100644, atime=0, mtime=0)
                yield asyncssh.SFTPName(raw, attrs=attrs)

    @staticmethod
    def _fails_once(folder: bytes) -> bool:
        """For each file `fails-N` that is in the folder, which is then taken away."""
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 — bytes are what is served
            if name.startswith(b"fails-"):
                os.unlink(folder + b"/" + name)  # noqa: PTH108 — bytes
                return True
        return False

    @staticmethod
    def _told_twice(folder: bytes) -> bool:
        """Whether the host tells a folder there as a file too."""
        return b"conflict" in folder or os.path.exists(os.fsencode(folder) + b"/thrice.also-file")  # noqa: PTH110 — bytes

    async def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        return self._told(path, os.lstat(os.fsdecode(path)))

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if b"denied" in path:
            raise asyncssh.SFTPPermissionDenied("denied")
        if b"echoing" in path:
            raise asyncssh.SFTPFailure(f"\x1b[2J no such file for {PASSWORD}\r\n")
        opened = super().open(path, pflags, attrs)
        self._names[opened] = path
        return opened

    async def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        return self._told(self._names[file_obj], os.fstat(file_obj.fileno()))  # type: ignore[attr-defined]

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        name = self._names[file_obj]
        if b"endless" in name:
            return b"\0" * size
        if b"silent" in name:
            await asyncio.Event().wait()
        if b"cut" in name:
            self._served += size
            if self._served > 512 * 1024:
                self._connection.abort()
        if b"short" in name:
            size = min(size, 1000)
        return bytes(super().read(file_obj, offset, size))  # type: ignore[arg-type]

    @staticmethod
    def _told(path: bytes, found: os.stat_result) -> asyncssh.SFTPAttrs:
        attrs = asyncssh.SFTPAttrs.from_local(found)
        if os.path.exists(os.path.dirname(path) + b"/kindless"):  # noqa: PTH110, PTH120 — bytes
            attrs.type = asyncssh.FILEXFER_TYPE_UNKNOWN
            attrs.permissions = found.st_mode & 0o777
        if b"overstated" in path:
            attrs.size = found.st_size + 1000
        if b"understated" in path:
            attrs.size = found.st_size - 10
        if b"endless" in path:
            attrs.size = 100_000
        return attrs


async def run_command(process: asyncssh.SSHServerProcess[bytes]) -> None:
    child = await asyncio.create_subprocess_shell(
        process.command or "exit 1",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
    process.exit(await child.wait())


async def serve(port: int, folder: str, host_key: str) -> None:
    key = asyncssh.read_private_key(host_key)
    server = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=Server,
        server_host_keys=[key],
        sftp_factory=Files,
        process_factory=run_command if "shell" in sys.argv[4:] else None,
        encoding=None,
        allow_scp=False,
        login_timeout=30,
    )
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), str(Path(sys.argv[2])), sys.argv[3]))
