"""What the product's rows are measured beside: COPY into COPY, and sling."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows.corpora import RowCorpus
from embedded import wheels

# `deploy/install-bench-tools` puts it there: its wheel holds the program, and nothing else.
SLING = Path(sys.prefix) / "bench" / "sling_linux_amd64" / "bin" / "sling-linux-amd64"


def find_sling() -> str | None:
    return str(SLING) if SLING.is_file() else shutil.which("sling")


def copy_into_copy(corpus: RowCorpus, source: str, destination: str) -> float:
    """Seconds of the bare limit: COPY in binary form through a pipe, then the key."""
    psql = str(wheels.find_postgres_binaries(for_nobody=os.geteuid() == 0) / "psql")
    bare = corpus.columns.replace(" PRIMARY KEY", "")
    name = corpus.name
    _run([psql, "-qX", destination, "-c", f"DROP TABLE IF EXISTS {name}"])
    began = time.perf_counter()
    _run([psql, "-qX", destination, "-c", f"CREATE TABLE {name} ({bare})"])
    out = [psql, "-qX", source, "-c", f"COPY {name} TO STDOUT (FORMAT binary)"]
    into = [psql, "-qX", destination, "-c", f"COPY {name} FROM STDIN (FORMAT binary)"]
    with subprocess.Popen(out, stdout=subprocess.PIPE) as reading:  # noqa: S603 — our own words
        subprocess.run(into, stdin=reading.stdout, check=True)  # noqa: S603 — as above
    _run([psql, "-qX", destination, "-c", f"ALTER TABLE {name} ADD PRIMARY KEY (id)"])
    return time.perf_counter() - began


def run_sling(
    corpus: RowCorpus, source: str, destination: str, home: Path, *, incremental: bool = False
) -> float:
    """Seconds. Raises CalledProcessError."""
    program = find_sling()
    if program is None:
        raise LookupError("sling is not installed")
    mode = ["incremental", "--update-key", "updated_at"] if incremental else ["full-refresh"]
    command = [
        program, "run", "--src-conn", "SOURCE", "--src-stream", f"public.{corpus.name}",
        "--tgt-conn", "TARGET", "--tgt-object", f"sling.{corpus.name}", "--mode", *mode, "--primary-key", "id",
    ]  # fmt: skip
    told = {
        "SOURCE": f"{source}?sslmode=disable",
        "TARGET": f"{destination}?sslmode=disable",
        "SLING_DISABLE_TELEMETRY": "TRUE",
        "SLING_HOME_DIR": str(home / "sling"),
        "PATH": os.defpath,
        "HOME": str(home),
    }
    began = time.perf_counter()
    _run(command, told)
    return time.perf_counter() - began


def _run(command: Sequence[str], env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603 — as above
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {(done.stdout + done.stderr)[-1000:]}")
