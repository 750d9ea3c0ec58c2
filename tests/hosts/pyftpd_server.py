"""pyftpdlib, run as a child process: `python -m tests.hosts.pyftpd_server PORT FOLDER [--pem FILE]`.

With `--lies FILE` its root lists names that no disk holds, and with `--plain` it knows no MLSD.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer

from tests.hosts.fuzzed import LIE_BYTES, read_lies

_FACTS = {"f": "file", "d": "dir", "l": "OS.unix=slink:/etc", "p": "OS.unix=fifo"}


class Files(AbstractedFS):  # type: ignore[misc]
    lies: Path | None = None

    def listdir(self, path: str) -> list[str]:
        if "denied" in path:
            raise PermissionError(13, "Permission denied")
        names: list[str] = super().listdir(path)
        return names

    def format_mlsx(
        self, basedir: str, listing: list[str], *more: object, **named: object
    ) -> Iterator[bytes]:
        yield from super().format_mlsx(basedir, listing, *more, **named)
        for kind, name in self._told(basedir, listing):
            fact = _FACTS.get(kind, "OS.unix=chr")
            yield f"type={fact};size={LIE_BYTES};modify=20231114221321; ".encode() + name + b"\r\n"

    def format_list(
        self, basedir: str, listing: list[str], *more: object, **named: object
    ) -> Iterator[bytes]:
        yield from super().format_list(basedir, listing, *more, **named)
        for kind, name in self._told(basedir, listing):
            letter = kind.replace("f", "-")
            yield f"{letter}rw-r--r--   1 a b {LIE_BYTES} Nov 14  2023 ".encode() + name + b"\r\n"

    def _told(self, basedir: str, listing: list[str]) -> Iterator[tuple[str, bytes]]:
        """A list of one name is the answer to a question about that name."""
        if self.lies is not None and len(listing) > 1 and Path(basedir).samefile(self.root):
            yield from read_lies(self.lies)


def serve(words: argparse.Namespace) -> None:
    handler = FTPHandler if words.pem is None else TLS_FTPHandler
    warnings.simplefilter("ignore", RuntimeWarning)  # that anybody may write here: for a test
    handler.authorizer = DummyAuthorizer()
    handler.authorizer.add_anonymous(words.folder, perm="elrdfm")
    handler.abstracted_fs = Files
    handler.unicode_errors = "surrogateescape"
    Files.lies = words.lies
    if words.plain:
        handler.proto_cmds = {
            verb: known for verb, known in handler.proto_cmds.items() if verb[:3] != "MLS"
        }
    if words.pem is not None:
        handler.certfile = words.pem
        handler.tls_control_required = handler.tls_data_required = True
    FTPServer(("127.0.0.1", words.port), handler).serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("folder")
    parser.add_argument("--pem")
    parser.add_argument("--lies", type=Path)
    parser.add_argument("--plain", action="store_true")
    serve(parser.parse_args())
