"""pure-ftpd: it ends a listing at a limit, and says so in its last reply; its MLSD tells no links."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

from embedded.ports import find_free
from tests.hosts.child import find_binary, serving
from tests.hosts.proftpd import PASSWORD, USERNAME

DEBIAN_LIMIT = 10_000


@contextlib.contextmanager
def running_pureftpd(home: Path, folder: Path, *, limit: int = DEBIAN_LIMIT) -> Iterator[int]:
    """Yields the port. Serves `folder` as its root to a user that is not root; a listing ends after
    `limit` names."""
    binary = find_binary("pure-ftpd")
    users = home / "users"
    reader = pwd.getpwnam("daemon") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    words = [find_binary("pure-pw"), "useradd", USERNAME, "-f", str(users), "-F", f"{users}.pdb"]
    words += ["-u", str(reader.pw_uid), "-g", str(reader.pw_gid), "-d", str(folder), "-m"]
    words += ["-C", "64"]  # as many may log in at once: a costly password hash is no part of a test
    typed = f"{PASSWORD}\n{PASSWORD}\n"
    subprocess.run(words, input=typed, text=True, check=True, capture_output=True)
    port = find_free()
    command = [
        binary,
        "-4",
        "-S",
        f"127.0.0.1,{port}",
        "-l",
        f"puredb:{users}.pdb",
        "-L",
        f"{limit}:8",
    ]
    command += ["-A", "-E", "-H", "-D", "-u", "1", "-c", "64", "-C", "64", "-I", "5", "-z"]
    command += ["-g", str(home / "pureftpd.pid")]
    with serving(command, port, home / "pureftpd.log"):
        yield port
