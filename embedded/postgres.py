"""A PostgreSQL server of our own, from the binaries of a wheel.

Layout: `DATA_DIR/postgres/` holds `password` (of the product's role, 0600) and `data/` (the cluster).
PostgreSQL refuses to run as root, so under root it runs as `nobody`; where `nobody` may not enter
DATA_DIR (a checkout below /root), `DATA_DIR/postgres` is a symbolic link to
`/var/lib/syncproject-<8 hex digits>`, made once. The server listens on loopback TCP only, asks every
client for its password, and is stopped by SIGINT (fast) then SIGQUIT (at once): SIGTERM would wait
for clients to leave. An operator's `ALTER SYSTEM` wins over the settings below.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from embedded import keys, ports, wheels
from embedded.child import POLL_S, Child, Program, StartStage
from embedded.errors import StackError

ROLE = "syncproject"
OUTSIDE = Path("/var/lib")
_OF_CONTAINER = Path("/sys/fs/cgroup/memory.max")

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "checkpoint_timeout": "15min",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%a ",
    # The driver writes parameters into the statement: a logged statement could hold a secret.
    "log_min_error_statement": "panic",
    "log_min_duration_statement": "-1",
    "log_error_verbosity": "terse",
}

_MIB = 1 << 20

# The product's role is no superuser; what only a superuser may create stands in the template. Operators read the
# views of docs/sql.md as `monitor`.
_FIRST_STATEMENTS = f"""\
CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{{password}}';
CREATE ROLE monitor NOLOGIN;
GRANT monitor TO {ROLE};
CREATE EXTENSION IF NOT EXISTS vector;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE DATABASE {ROLE} OWNER {ROLE} TEMPLATE template1;
"""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A prepared cluster: initialised, free of stale locks, not yet running."""

    home: Path
    binaries: Path
    port: int
    password: str
    user: str | None  # the system user to run as, None for ourselves

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{quote(self.password)}@127.0.0.1:{self.port}/{ROLE}"

    def program(self, log: Path) -> Program:
        return Program(
            name="postgres",
            argv=(
                str(self.binaries / "postgres"),
                *("-D", str(self.data)),
                *("-c", f"port={self.port}"),
            ),
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            stage=StartStage.DATABASE,
            is_ready=self._is_ready,
            log=log,
            user=self.user,
            cwd=Path("/"),
            stop=((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0)),
            death_signal=signal.SIGINT,
        )

    def _is_ready(self, child: Child) -> bool:
        # Line 8 of postmaster.pid, which is what pg_ctl waits for too.
        lines = _pid_file_lines(self.data)
        return len(lines) > 7 and lines[0] == str(child.pid) and lines[7].strip() == "ready"


def prepare_postgres(
    data_dir: Path, port: int | None = None, settings: Mapping[str, str] | None = None
) -> Postgres:
    """Initialises the cluster once and makes it ready to start, on the port of last time by default.

    The caller holds the lock on `data_dir`. Waits for a server that an earlier, killed launcher left.
    """
    user = "nobody" if os.geteuid() == 0 else None
    binaries = wheels.find_postgres_binaries(for_nobody=user is not None)
    home = _find_home(data_dir, for_nobody=user is not None)
    if not (home / "data" / "PG_VERSION").exists():
        _initialise(home, binaries, user)
    _wait_for_leftover(home / "data")
    _write_settings(home / "data", {**SETTINGS, **tell_memory(), **(settings or {})}, user)
    password = keys.read_secret(home / "password")
    port = port or ports.keep_port(home / "port")
    return Postgres(home=home, binaries=binaries, port=port, password=password, user=user)


def tell_memory(usable_bytes: int | None = None) -> dict[str, str]:
    """The setting that says how much of a database the machine, or the container, keeps in memory: half of what it has.
    `search.vectors.cells` goes by it too."""
    usable_mib = (find_usable_memory() if usable_bytes is None else usable_bytes) // _MIB
    return {"effective_cache_size": f"{max(usable_mib // 2, 256)}MB"}


def find_usable_memory() -> int:
    """In bytes: of the machine, or of the container (cgroup v2, memory.max), if that has less."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(whole, int(_OF_CONTAINER.read_text(encoding="ascii")))
    except (OSError, ValueError):  # none, or "max"
        return whole


def _find_home(data_dir: Path, *, for_nobody: bool) -> Path:
    home = data_dir / "postgres"
    if not home.exists():
        if for_nobody and not wheels.is_open_to_all(data_dir):
            outside = OUTSIDE / f"syncproject-{secrets.token_hex(4)}"
            outside.mkdir(mode=0o711)
            (outside / "belongs_to").write_text(f"{data_dir}\n", encoding="utf-8")
            home.unlink(missing_ok=True)  # a link whose target is gone
            home.symlink_to(outside, target_is_directory=True)
        else:
            home.mkdir(mode=0o711)
    return home.resolve()


def _initialise(home: Path, binaries: Path, user: str | None) -> None:
    data = home / "data"
    if data.exists():
        shutil.rmtree(data)  # an earlier initdb was cut short: PG_VERSION is missing
    building = home / "data.new"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=0o700)
    superuser_password = home / "superuser_password"
    keys.write_secret(superuser_password, secrets.token_urlsafe(24))
    _give(user, building, superuser_password)
    initdb = [
        str(binaries / "initdb"),
        *("-D", str(building), "-U", "postgres", "--pwfile", str(superuser_password)),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
        *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--no-instructions"),
    ]
    _run(initdb, user)
    with (building / "postgresql.conf").open("a", encoding="ascii") as configuration:
        configuration.write("\n# Rewritten at every start; ALTER SYSTEM wins over it.\n")
        configuration.write("include = 'syncproject.conf'\n")
    _write_settings(building, {**SETTINGS, **tell_memory()}, user)
    password = secrets.token_urlsafe(24)
    keys.write_secret(home / "password", password)
    single = [str(binaries / "postgres"), "--single", "-D", str(building), "template1"]
    _run(single, user, stdin=_FIRST_STATEMENTS.format(password=password))
    building.rename(data)  # only a whole cluster gets the name


def _run(argv: list[str], user: str | None, stdin: str = "") -> None:
    identity = pwd.getpwnam(user) if user else None
    done = subprocess.run(
        argv,
        input=stdin.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        user=identity.pw_uid if identity else None,
        group=identity.pw_gid if identity else None,
        extra_groups=[] if identity else None,
        start_new_session=True,  # a Ctrl-C must not leave half a cluster
        check=False,
    )
    said = done.stdout.decode("utf-8", "replace")
    # In single-user mode a failed statement does not fail the process.
    if done.returncode != 0 or "ERROR:" in said or "FATAL:" in said:
        word = next((line for line in said.splitlines() if "error" in line.lower()), said[-300:])
        raise StackError(f"PostgreSQL could not be set up: {word.strip()}")


def _write_settings(data: Path, settings: Mapping[str, str], user: str | None) -> None:
    text = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
    path = data / "syncproject.conf"
    path.write_text(text, encoding="ascii")
    _give(user, path)


def _give(user: str | None, *paths: Path) -> None:
    if user is not None:
        entry = pwd.getpwnam(user)
        for path in paths:
            os.chown(path, entry.pw_uid, entry.pw_gid)


def _pid_file_lines(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _wait_for_leftover(data: Path) -> None:
    """Ends a server on this cluster; drops a stale postmaster.pid whose number is somebody else's."""
    lines = _pid_file_lines(data)
    pid = int(lines[0]) if lines and lines[0].isdigit() else 0
    if not pid or not Path(f"/proc/{pid}").exists():
        return  # the server itself sorts out a stale file
    if not _is_postmaster_of(pid, data):
        # After a reboot the number may belong to anybody; the server would refuse to start.
        (data / "postmaster.pid").unlink()
        return
    started = time.monotonic()
    asked = [(20.0, signal.SIGQUIT), (0.0, signal.SIGINT)]
    while _is_postmaster_of(pid, data):
        waited_s = time.monotonic() - started
        if asked and waited_s >= asked[-1][0]:
            os.kill(pid, asked.pop()[1])
        if waited_s > 30:
            raise StackError(
                f"an earlier PostgreSQL (pid {pid}) still runs on {data} and won't end"
            )
        time.sleep(POLL_S)


def _is_postmaster_of(pid: int, data: Path) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(data) in words and words[0].endswith(b"postgres")
