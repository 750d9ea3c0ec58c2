"""pyftpdlib with MLSD, run as a child process: `python -m tests.hosts.pyftpd_server PORT FOLDER [PEM]`."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer


class Files(AbstractedFS):  # type: ignore[misc]
    def listdir(self, path: str) -> list[str]:
        if "denied" in path:
            raise PermissionError(13, "Permission denied")
        names: list[str] = super().listdir(path)
        return names


def serve(port: int, folder: str, certificate: str | None) -> None:
    handler = FTPHandler if certificate is None else TLS_FTPHandler
    warnings.simplefilter("ignore", RuntimeWarning)  # that anybody may write here: for a test
    handler.authorizer = DummyAuthorizer()
    handler.authorizer.add_anonymous(folder, perm="elrdfm")
    handler.abstracted_fs = Files
    handler.unicode_errors = "surrogateescape"
    if certificate is not None:
        handler.certfile = certificate
        handler.tls_control_required = handler.tls_data_required = True
    FTPServer(("127.0.0.1", port), handler).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), str(Path(sys.argv[2])), sys.argv[3] if sys.argv[3:] else None)
