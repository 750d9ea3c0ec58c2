"""The product's own processes as programs: web, workers, index, beat, Flower."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from embedded import readiness
from embedded.child import Program, StartStage
from tasks.queues import CONSUMED, CONSUMED_BESIDE, INDEX_THREADS, THREADS_BESIDE

FLOWER_CONFIG = Path(__file__).resolve().parent.parent / "deploy" / "flowerconfig.py"
_CELERY = (sys.executable, "-m", "celery", "-A", "syncproject")


def web(env: Mapping[str, str], logs: Path, host: str, port: int) -> Program:
    shown = f"[{host}]" if ":" in host else host
    memory = Path("/dev/shm")  # noqa: S108 - gunicorn makes a private file in it
    return Program(
        name="web",
        argv=(
            *(sys.executable, "-m", "gunicorn", "syncproject.wsgi:application"),
            *("--bind", f"{shown}:{port}", "--worker-class", "syncproject.serving.WebWorker"),
            *("--workers", "1", "--threads", "54", "--worker-connections", "500"),
            # The worker bounds the whole head: a question of 1,000 characters is 12,000 bytes in an address.
            *("--limit-request-line", "0"),
            *("--graceful-timeout", "8", "--worker-tmp-dir"),
            str(memory if memory.is_dir() else tempfile.gettempdir()),
            "--no-control-socket",  # would be shared by all stacks of this user
        ),
        env=env,
        stage=StartStage.SURFACES,
        # Not `?part=web`: without its store it still shows what is wrong, and takes `adopt_store`.
        is_ready=readiness.answers(find_loopback(host), port, "/health?part=database"),
        log=logs / "web.log",
        tells=True,
        stop=((signal.SIGTERM, 10.0), (signal.SIGQUIT, 5.0)),
        death_signal=signal.SIGQUIT,  # the master takes its worker along, at once
    )


def worker(env: Mapping[str, str], logs: Path, number: int, concurrency: int) -> Program:
    return Program(
        name=f"worker{number}",
        argv=(
            *(*_CELERY, "worker", "-P", "threads", "-c", str(concurrency + THREADS_BESIDE)),
            *("-Q", CONSUMED, "-n", f"worker{number}@%h"),
            *("--without-gossip", "--without-mingle", "-E", "--loglevel", "INFO"),
        ),
        env=env,
        stage=StartStage.WORKERS,
        is_ready=readiness.has_logged(" ready."),
        log=logs / f"worker{number}.log",
        tells=True,
        stop=((signal.SIGTERM, 30.0),),  # a warm shutdown: records are drained
    )


def indexer(env: Mapping[str, str], logs: Path) -> Program:
    """Makes vectors, with the model in a child of its own, and sends alerts by another: memory and processor that no sync
    waits for."""
    return Program(
        name="index",
        argv=(
            *(*_CELERY, "worker", "-P", "threads", "-c", str(INDEX_THREADS)),
            *("-Q", CONSUMED_BESIDE, "-n", "index@%h"),
            *("--without-gossip", "--without-mingle", "-E", "--loglevel", "INFO"),
        ),
        env=env,
        stage=StartStage.WORKERS,
        is_ready=readiness.has_logged(" ready."),
        log=logs / "index.log",
        tells=True,
        stop=((signal.SIGTERM, 30.0),),
    )


def beat(env: Mapping[str, str], logs: Path) -> Program:
    return Program(
        name="beat",
        argv=(
            *(*_CELERY, "beat", "--scheduler", "tasks.beat:SyncScheduler"),
            *("--pidfile=", "--loglevel", "INFO"),
        ),
        env=env,
        stage=StartStage.SURFACES,
        is_ready=readiness.has_logged("beat: Starting"),
        log=logs / "beat.log",
        tells=True,
    )


def flower(env: Mapping[str, str], logs: Path, port: int, password: str) -> Program:
    return Program(
        name="flower",
        argv=(
            *(*_CELERY, "flower", "--address=127.0.0.1", f"--port={port}"),
            f"--conf={FLOWER_CONFIG}",
        ),
        env={**env, "FLOWER_BASIC_AUTH": f"admin:{password}"},
        stage=StartStage.SURFACES,
        is_ready=readiness.answers("127.0.0.1", port, "/healthcheck"),
        log=logs / "flower.log",
        stop=((signal.SIGTERM, 5.0),),
    )


def find_loopback(host: str) -> str:
    """Returns the address at which a server that is bound to `host` answers this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
