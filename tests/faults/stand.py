"""Everything a run needs on this machine: servers, far ends behind proxies, jobs, the product's processes."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from embedded.keys import read_secret as read_secret
from tests import servers
from tests.faults import history
from tests.faults.mutants import Mutant
from tests.faults.plans import BEATS, HOSTS, INDEXERS, JOBS, WORKERS, WORKSPACES, Kind, Plan
from tests.faults.processes import Process, Processes
from tests.faults.sources import Source
from tests.hosts.nginx import running_nginx
from tests.hosts.scripted_embeddings import scripted_embeddings
from tests.hosts.sshd import Sshd, running_sshd
from tests.proxy import Proxy, Weather, proxying

if TYPE_CHECKING:
    from farends.spec import Target

MIB = 1 << 20
_CLONE_NEWNS = 0x00020000  # linux/sched.h
_CLOCK = Path(__file__).with_name("clock.c")
CLIMATE = Weather(bytes_per_s=200_000)  # of a day without faults: a whole source takes seconds
ROLES = 100  # and one for each fault
WAIT_S = 4.0  # a far end that is silent for so long is given up


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the product notices what happens to it."""

    lease_s: float = 4.0  # shorter than in production, so that many takeovers fit a run
    heartbeat_s: float = 1.0
    cleanup_s: float = 1.0
    slots: int = 6  # of a worker


PRODUCTION = Pace(20.0, 5.0, 5.0, slots=12)  # so many slots that no record waits for one


@dataclass(frozen=True, slots=True)
class Job:
    """What the checker must know of one: by ids and figures, not by the product's classes."""

    id: uuid.UUID
    dataset_id: uuid.UUID
    workspace_id: uuid.UUID
    source: Source
    every_s: int
    first_fire: float
    name: str


@dataclass(slots=True)
class Stand:
    plan: Plan
    pace: Pace
    home: Path
    servers: servers.Servers
    processes: Processes
    proxies: list[Proxy]
    jobs: list[Job]
    store: Path
    arms: Path
    clock: Path | None  # the file that holds the seconds by which a worker's clock is off
    lacks: dict[Kind, str] = field(default_factory=dict)  # what this machine cannot do, and why
    _admin: psycopg.Connection[Any] | None = None

    def query(self, text: str, parameters: Mapping[str, Any] | None = None) -> list[Any] | None:
        """As the superuser; None where the database is away."""
        for _ in range(2):  # the session may be one of before a restart
            try:
                if self._admin is None or self._admin.closed:
                    self._admin = connect_admin(self.servers)
                cursor = self._admin.execute(text, parameters)
                return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                self._admin = None
        return None

    def extra_of(self, slot: int) -> dict[str, str]:
        """What only the worker with the jumping clock gets."""
        if slot != 0 or self.clock is None:
            return {}
        return {
            "LD_PRELOAD": str(self.clock.with_suffix(".so")),
            "CLOCK_OFFSET_FILE": str(self.clock),
        }

    def start_worker_in_place_of(self, process: Process) -> None:
        if process in self.processes.workers:
            slot = self.processes.workers.index(process)
            self.processes.replace(process, self.extra_of(slot))


def connect_admin(started: servers.Servers) -> psycopg.Connection[Any]:
    place = urlsplit(started.database_url)
    return psycopg.connect(
        host=place.hostname,
        port=place.port,
        dbname=place.path.strip("/"),
        user="postgres",
        password=read_secret(started.data_dir / "postgres" / "superuser_password"),
        application_name="faults",
        autocommit=True,
        connect_timeout=3,
    )


@contextmanager
def standing(plan: Plan, pace: Pace, mutant: Mutant) -> Iterator[Stand]:
    """All of it, with the product's processes not yet started. Ends them in every case."""
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="syncproject-faults-"))
        home.chmod(0o711)
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        lacks: dict[Kind, str] = {}
        can_mount = _leave_mounts()
        started = servers.start({"track_commit_timestamp": "on"})
        stack.callback(started.stop)
        store = started.data_dir / "store"
        if not (can_mount and _mount(store, round(200 * MIB + plan.seconds * MIB))):
            lacks[Kind.FILL_DISK] = "only root can mount a small disk"
        else:
            stack.callback(subprocess.run, ["umount", "--lazy", str(store)], check=False)
        clock = _make_clock(home)
        if clock is None:
            lacks[Kind.JUMP_CLOCK] = "there is no C compiler (cc)"
        _become_the_product(started, pace, home)
        sources = [
            Source(home / "far" / f"{number:02}", home, plan.seed, number) for number in range(JOBS)
        ]
        for source in sources:
            source.plant()
        sshd = stack.enter_context(running_sshd(_made(home / "sshd")))
        http = stack.enter_context(running_nginx(_made(home / "nginx"), home / "far", form="json"))
        proxies = [
            stack.enter_context(
                proxying(http if number % 2 else sshd.port, bytes_per_s=CLIMATE.bytes_per_s)
            )
            for number in range(HOSTS)
        ]
        jobs = _make_jobs(plan, sources, sshd, proxies)
        embeddings = stack.enter_context(scripted_embeddings())
        _choose_embeddings(embeddings.url, {job.workspace_id for job in jobs})
        password = secrets.token_hex(12)
        with connect_admin(started) as admin:
            history.install(admin)
            _make_roles(admin, password, ROLES + len(plan.faults))
            for statement in mutant.statements:
                admin.execute(statement)
        processes = Processes(
            environment={**os.environ, "FAULTS_ARMS": str(_made(home / "arms"))},
            logs_folder=home / "log",
            worker_app=mutant.worker_app,
            beat_app=mutant.beat_app,
            password=password,
            threads=pace.slots + 2,
        )
        stack.callback(processes.end_all)
        stand = Stand(
            plan, pace, home, started, processes, proxies, jobs, store, home / "arms", clock, lacks
        )
        stack.callback(_ignore_signals)  # whoever presses Ctrl-C twice gets the whole clean-up too
        yield stand


def start_processes(
    stand: Stand, *, workers: int = WORKERS, beats: int = BEATS, indexers: int = INDEXERS
) -> None:
    for slot in range(workers):
        stand.processes.add("worker", stand.extra_of(slot))
    for _ in range(beats):
        stand.processes.add("beat")
    for _ in range(indexers):
        stand.processes.add("index")


def switch_on(stand: Stand) -> None:
    """From now on jobs are due, each a little later than the one before."""
    stand.query(
        "UPDATE syncjobs_syncjob j SET enabled = true,"
        " next_run_at = now() + make_interval(secs => 0.1 * d.n)"
        " FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS d (id, n) WHERE j.id = d.id",
        {"ids": [job.id for job in stand.jobs]},
    )
    rows = stand.query("SELECT id, extract(epoch FROM next_run_at) FROM syncjobs_syncjob")
    first = {job_id: float(at) for job_id, at in rows or []}
    stand.jobs[:] = [dataclasses.replace(job, first_fire=first[job.id]) for job in stand.jobs]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _leave_mounts() -> bool:
    """Mounts of this process, from here on, are seen by it and its children alone, and go with them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(_CLONE_NEWNS) != 0:
        return False
    private = subprocess.run(["mount", "--make-rprivate", "/"], check=False, capture_output=True)
    return private.returncode == 0


def _mount(folder: Path, size_bytes: int) -> bool:
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=755", "faults", str(folder)]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def _make_clock(home: Path) -> Path | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    clock = home / "clock"
    words = [compiler, "-shared", "-fPIC", "-O2", "-o", str(clock.with_suffix(".so")), str(_CLOCK)]
    subprocess.run(words, check=True)
    clock.write_bytes(bytes(8))
    return clock


def _become_the_product(started: servers.Servers, pace: Pace, home: Path) -> None:
    servers.publish(started)
    os.environ.update(
        DJANGO_SETTINGS_MODULE="syncproject.settings",
        PYTHONUNBUFFERED="1",
        TMPDIR=str(_made(home / "tmp")),
        SYNC_LEASE_SECONDS=str(pace.lease_s),
        SYNC_HEARTBEAT_INTERVAL_SECONDS=str(pace.heartbeat_s),
        SYNC_CLEANUP_INTERVAL_SECONDS=str(pace.cleanup_s),
        SYNC_CONCURRENCY=str(pace.slots),
        BATCH_SIZE="200",
        SYNC_MAX_PER_HOST="50",
    )
    import logging

    import django
    from django.core.management import call_command

    django.setup()
    logging.disable(logging.CRITICAL)  # the runner's own part in the product is told by findings
    from cli.chores import plan_chores

    call_command("migrate", verbosity=0)
    plan_chores()


def _make_jobs(plan: Plan, sources: list[Source], sshd: Sshd, proxies: list[Proxy]) -> list[Job]:
    """Two in five run as `full`, one compares by checksum, two take the listing's word."""
    from tests.rows import make_connector, make_job

    made = []
    for number, source in enumerate(sources):
        target, kind = _target(source, sshd, proxies[number % HOSTS], number)
        connector = make_connector(target, kind=kind, workspace=f"workspace-{number % WORKSPACES}")
        job = make_job(
            connector,
            name=f"job-{number:02}",
            schedule={"every_s": plan.every_s[number]},
            enabled=False,
            sync_mode="full" if number % 5 in (1, 3) else "incremental",
            comparison="checksum" if number % 5 == 2 else "modified",
            pause_after_failures=None,
        )
        made.append(
            Job(
                job.pk,
                job.dataset_id,
                job.workspace_id,
                source,
                plan.every_s[number],
                0,
                job.name,
            )
        )
    return made


def _choose_embeddings(url: str, workspace_ids: set[uuid.UUID]) -> None:
    """Vectors that are a function of the text: the judge knows which each text must have."""
    from search.choices import write_choice
    from workspaces.models import Workspace

    embedding = {"service": "openai", "url": url, "model": "scripted", "batch": 8}
    for workspace in Workspace.objects.filter(pk__in=workspace_ids):
        write_choice(workspace, {"embedding": embedding})


def _target(source: Source, sshd: Sshd, proxy: Proxy, number: int) -> tuple[Target, str]:
    from farends.http.transport import HttpOptions, HttpSecret
    from farends.spec import Target

    waits: dict[str, Any] = {"connect_timeout_s": WAIT_S, "idle_timeout_s": WAIT_S}
    if number % HOSTS % 2:
        options = HttpOptions(root=f"/{source.folder.name}/", sessions=2, **waits)
        return Target("127.0.0.1", proxy.port, options, HttpSecret()), "http"
    target = sshd.target(source.folder)
    options_of_sftp = dataclasses.replace(target.options, **waits)
    return dataclasses.replace(target, port=proxy.port, options=options_of_sftp), "sftp"


def _make_roles(admin: psycopg.Connection[Any], password: str, count: int) -> None:
    """Each process logs in under a role of its own, which the history names; made ahead, because one may
    start while the database is away."""
    for kind in ("worker", "beat", "index"):
        for number in range(1, count + 1):
            role = sql.Identifier(f"{kind}_{number}")
            made = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE syncproject")
            admin.execute(made.format(role, sql.Literal(password)))
            # Who makes tables makes them for all; the history goes by who has logged in.
            if kind == "index":
                admin.execute(sql.SQL("ALTER ROLE {} SET role TO syncproject").format(role))


def stop_at_signals() -> None:
    """SIGTERM ends a run as Ctrl-C does: whatever was started is ended."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
