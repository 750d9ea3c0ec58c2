"""Proves that the bytes here are the beginning of the file on the SFTP host.

The server is asked (`check-file`), then a shell of the same log-in: the second is where most hosts can
tell, for OpenSSH's own server computes no digests.
"""

from __future__ import annotations

from farends.contract import Receiver
from farends.errors import TransportError
from farends.secure_shell.digests import Digester
from farends.sftp.digests import SftpDigests


class SftpProver:
    """The rest of the channel waits meanwhile: a file that was cut is rare, and to ask is short."""

    def __init__(self, digests: SftpDigests, digester: Digester) -> None:
        self._digests = digests
        self._digester = digester

    def prove(self, root: bytes, path: bytes, handle: bytes, receiver: Receiver) -> None:
        """Rewinds the receiver unless the file begins with what it has."""
        try:
            told = self._digests.prefix(handle, receiver.offset)
        except TransportError:
            receiver.rewind()  # else every attempt would ask again, and fail again
            raise
        if told is None:
            self._ask_shell(root, path, receiver)
        elif told != receiver.prefix_sha256():
            receiver.rewind()

    def _ask_shell(self, root: bytes, path: bytes, receiver: Receiver) -> None:
        """The shell may see another tree than the SFTP server does: then it tells another digest, or none."""
        try:
            self._digester.prove(root, path, receiver)
        except TransportError:
            if not self._digester.is_connected:
                raise
