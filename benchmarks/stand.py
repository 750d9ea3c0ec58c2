"""The product's side of the stand: its own PostgreSQL with its usual settings, and jobs run in process."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedded import ports, postgres, valkey
from embedded.child import Child

if TYPE_CHECKING:
    from farends.spec import Target
    from syncjobs.models import SyncJob


@dataclass(frozen=True, slots=True)
class Run:
    """One record of the product: seconds from claim to final state, and memory above the idle size."""

    wall_s: float
    memory_bytes: int


@contextmanager
def product() -> Iterator[Path]:
    """Django on a fresh database; yields a folder for everything else."""
    home = Path(tempfile.mkdtemp(prefix="syncproject-bench-"))
    home.chmod(0o711)
    (home / "var").mkdir(mode=0o711)
    database = postgres.prepare_postgres(home / "var", ports.find_free())
    server = Child(database.program(home / "postgres.log"))
    server.start()
    try:
        server.wait_until_ready()
        os.environ.update(
            DATABASE_URL=database.url,
            REDIS_URL="redis://127.0.0.1:1/0",
            DATA_DIR=str(home / "var"),
            SECRET_KEY=secrets.token_hex(32),
            SECRETS_KEYS=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            ALLOWED_NETWORKS="127.0.0.0/8",
            DJANGO_SETTINGS_MODULE="syncproject.settings",
        )
        _set_up()
        yield home
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def broker(home: Path) -> Iterator[None]:
    """Valkey as the one-machine stack runs it, for the product at `home`."""
    prepared = valkey.prepare_valkey(home / "var")
    server = Child(prepared.program(home / "valkey.log"))
    server.start()
    try:
        server.wait_until_ready()
        os.environ["REDIS_URL"] = prepared.url
        from django.conf import settings

        settings.CELERY_BROKER_URL = prepared.url
        yield
    finally:
        server.stop()


def _set_up() -> None:
    import logging

    import django
    from django.core.management import call_command

    django.setup()
    logging.disable(logging.INFO)
    call_command("migrate", verbosity=0)

    from datasets.store import ensure_store

    ensure_store()


def make_job(kind: str, target: Target, name: str) -> SyncJob:
    from tests.rows import make_connector
    from tests.rows import make_job as make

    # A workspace of its own, so that no blob of an earlier round is there already.
    return make(make_connector(target, kind=kind, workspace=name), name=name)


def sync(job: SyncJob, **given: Any) -> Run:
    """Raises RuntimeError where the record does not succeed."""
    from tests.rows import run

    idle = resident_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    began = time.perf_counter()
    record = run(job, **given)
    wall_s = time.perf_counter() - began
    if record.state != "succeeded":
        raise RuntimeError(f"{job.name}: {record.state}: {record.error}")
    return Run(wall_s, max(0, resident_bytes("VmHWM") - idle))


def fingerprint(job: SyncJob) -> tuple[int, str]:
    """As `corpora.fingerprint`, of the current version, every blob read again."""
    import hashlib

    from datasets.reading import get_version, iter_entries
    from datasets.store import open_store

    store: Any = open_store(job.workspace_id)
    version = get_version(job.dataset)
    total = hashlib.sha256()
    count = 0
    for entry in iter_entries(job.dataset, version.number):
        sha256 = bytes(entry.sha256)
        if not store.verify(sha256):
            raise RuntimeError(f"{entry.path}: its blob is not what it is named by")
        total.update(entry.path.encode() + b"\0" + sha256)
        count += 1
    return count, total.hexdigest()


def resident_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)
