"""ProFTPD as an SFTP server: it computes digests, which OpenSSH's does not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from embedded.ports import find_free
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from tests.hosts.child import find_binary, serving
from tests.hosts.proftpd import PASSWORD, USERNAME, write_config
from tests.hosts.sshd import make_key

_SFTP = """
LoadModule mod_sftp.c
SFTPEngine on
SFTPHostKey {home}/host
SFTPAuthMethods password
SFTPLog {home}/sftp.log
"""


@contextlib.contextmanager
def running_proftpd_sftp(home: Path) -> Iterator[Callable[[Path], Target]]:
    """Yields the target of a folder. Serves the whole disk as the user that runs the tests."""
    binary = find_binary("proftpd")
    port = find_free()
    make_key(home / "host", "ed25519")
    config = write_config(home, port, _SFTP.format(home=home))
    host_key = (home / "host.pub").read_text().strip()

    def target(folder: Path) -> Target:
        options = SftpOptions(username=USERNAME, root=str(folder), host_key=host_key)
        return Target("127.0.0.1", port, options, SftpSecret(password=PASSWORD))

    with serving([binary, "-n", "-c", str(config)], port, home / "proftpd.log"):
        yield target
