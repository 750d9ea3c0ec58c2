"""PostgreSQL from the wheel: started, hurt, started again."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from embedded import ports, postgres, wheels
from embedded.child import Child, spawn
from embedded.postgres import Postgres
from tests.waiting import until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")


def started(prepared: Postgres, data_dir: Path) -> Child:
    child = Child(prepared.program(data_dir / "log" / "postgres.log"))
    child.start()
    child.wait_until_ready()
    return child


@pytest.fixture
def prepared(data_dir: Path) -> Postgres:
    return postgres.prepare_postgres(data_dir, ports.find_free())


@pytest.fixture
def server(prepared: Postgres, data_dir: Path) -> Iterator[Child]:
    child = started(prepared, data_dir)
    yield child
    child.stop()


def test_data_is_there_after_a_stop_and_a_start_on_another_port(data_dir: Path) -> None:
    first = postgres.prepare_postgres(data_dir, ports.find_free())
    server = started(first, data_dir)
    with psycopg.connect(first.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    assert server.ending() == "ended with status 0"

    second = postgres.prepare_postgres(data_dir, ports.find_free())
    server = started(second, data_dir)
    with psycopg.connect(second.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    server.stop()


def test_committed_rows_survive_kill_9(prepared: Postgres, server: Child, data_dir: Path) -> None:
    with psycopg.connect(prepared.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: not server.is_alive(), "the server did not end")
    assert (prepared.data / "postmaster.pid").exists()  # stale

    again = postgres.prepare_postgres(data_dir, prepared.port)

    def start_again() -> bool:
        # It refuses as long as a backend of the killed server is still on its way out.
        if not server.is_alive():
            server.start()
        return server.is_ready()

    until(start_again, "the server did not come up again")
    with psycopg.connect(again.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_stale_lock_with_a_number_that_is_now_somebody_elses_is_dropped(
    prepared: Postgres, data_dir: Path
) -> None:
    pid_file = prepared.data / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{prepared.data}\n")
    pid_file.chmod(0o644)

    server = started(postgres.prepare_postgres(data_dir, prepared.port), data_dir)

    server.stop()


def test_a_server_that_a_killed_launcher_left_is_ended_first(
    prepared: Postgres, server: Child, data_dir: Path
) -> None:
    postgres.prepare_postgres(data_dir, prepared.port)

    assert not server.is_alive()


def test_a_cut_short_initdb_is_made_again(data_dir: Path) -> None:
    (data_dir / "postgres" / "data").mkdir(parents=True)
    (data_dir / "postgres" / "data" / "base").write_text("half")

    server = started(postgres.prepare_postgres(data_dir, ports.find_free()), data_dir)

    server.stop()


def test_the_products_role_is_no_superuser_and_finds_its_extensions(
    prepared: Postgres, server: Child
) -> None:
    with psycopg.connect(prepared.url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute("CREATE DATABASE another")
        row = connection.execute(
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        found = connection.execute("SELECT extname FROM pg_extension").fetchall()
    assert row == (False,)
    assert {"vector", "pg_trgm"} <= {name for (name,) in found}


def test_commits_reach_the_disk(prepared: Postgres, server: Child) -> None:
    with psycopg.connect(prepared.url) as connection:
        for setting, value in (("fsync", "on"), ("synchronous_commit", "on")):
            row = connection.execute("SELECT current_setting(%s)", [setting]).fetchone()
            assert row == (value,)


def test_the_password_is_asked_for_and_never_shown(prepared: Postgres, server: Child) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(prepared.url.replace(prepared.password, "guess")).close()
    assert prepared.password not in Path(f"/proc/{server.pid}/cmdline").read_text()
    mode = (prepared.home / "password").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_failing_statement_leaves_no_value_in_the_log(
    prepared: Postgres, server: Child, data_dir: Path
) -> None:
    with psycopg.connect(prepared.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (name text UNIQUE)")
        connection.execute("INSERT INTO t VALUES ('canary-value')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO t VALUES ('canary-value')")
    log = (data_dir / "log" / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "canary-value" not in log


@needs_root
def test_under_root_it_runs_as_nobody(prepared: Postgres, server: Child) -> None:
    assert Path(f"/proc/{server.pid}").stat().st_uid == prepared.data.stat().st_uid != 0


@needs_root
def test_where_nobody_may_not_enter_the_data_lie_outside(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, outside = data_dir / "closed", data_dir / "outside"
    closed.mkdir(mode=0o700)
    outside.mkdir(mode=0o711)
    monkeypatch.setattr(postgres, "OUTSIDE", outside)

    first = postgres.prepare_postgres(closed, ports.find_free())
    started(first, closed).stop()

    assert (closed / "postgres").is_symlink()
    assert first.home.parent == outside
    assert postgres.prepare_postgres(closed, ports.find_free()).home == first.home


@needs_root
def test_a_package_that_nobody_may_not_read_is_copied_once(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "READABLE", data_dir / "software")
    monkeypatch.setattr(wheels, "is_open_to_all", lambda folder: False)

    binaries = wheels.find_postgres_binaries(for_nobody=True)

    assert binaries.is_relative_to(data_dir / "software")
    assert wheels.find_postgres_binaries(for_nobody=True) == binaries
    # initdb needs the libraries that lie beside the package.
    for name in ("postgres", "initdb"):
        argv = [str(binaries / name), "--version"]
        assert spawn(argv, env={}, cwd=Path("/"), user="nobody", stdout=2).wait() == 0


@pytest.mark.parametrize(("usable_gib", "told"), [(0.25, "256MB"), (2, "1024MB"), (24, "12288MB")])
def test_it_is_told_of_the_machines_memory(usable_gib: float, told: str) -> None:
    assert postgres.tell_memory(int(usable_gib * (1 << 30))) == {"effective_cache_size": told}


def test_the_memory_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "memory.max"
    monkeypatch.setattr(postgres, "_OF_CONTAINER", told)
    whole = postgres.find_usable_memory()
    told.write_text("max\n")
    assert postgres.find_usable_memory() == whole
    told.write_text(f"{256 << 20}\n")
    assert postgres.find_usable_memory() == 256 << 20
