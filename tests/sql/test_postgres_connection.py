"""The way to a PostgreSQL server: who is dialled, what TLS holds it to, and how a wait ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from farends.contract import Context, Patience
from farends.dialing import Dialer, Policy
from farends.errors import (
    AuthRefused,
    ConnectionLost,
    NetworkForbidden,
    ProtocolViolation,
    ProxyRefused,
    RootMissing,
    Stalled,
    TlsRefused,
    TransportError,
    Unreachable,
)
from farends.rows.contract import Reading
from farends.spec import Target
from farends.sql.kind import SPEC
from farends.sql.options import SqlSecret
from farends.sql.postgresql.connection import connect
from tests.hosts.certificates import Certificates, make_certificates
from tests.hosts.databases import Database, making_database
from tests.hosts.debian_postgres import running_postgres
from tests.hosts.proxies import PASSWORD, USERNAME, ProxyServer, running_proxy
from tests.hosts.sinks import loopback_context
from tests.hosts.speaking import speaking
from tests.proxy import Weather, proxying


def who_is_there(target: Target, context: Context | None = None) -> str:
    with connect(target, context or loopback_context()) as session:
        row = session.execute("SELECT current_user").fetchone()
        assert row is not None
        return str(row[0])


def test_the_judged_address_is_dialled_and_no_other(database: Database) -> None:
    assert who_is_there(database.target()) == database.username
    assert who_is_there(replace(database.target(), host="localhost")) == database.username
    forbidden = Context(Dialer(Policy.parse([])), Patience(connect_s=2))
    with pytest.raises(NetworkForbidden):
        connect(database.target(), forbidden)


REFUSED: dict[str, tuple[dict[str, Any], type[TransportError]]] = {
    "password": ({"password": "wrong"}, AuthRefused),
    "no password": ({"password": ""}, AuthRefused),
    "user": ({"username": "nobody-here"}, AuthRefused),
    "database": ({"database": "no such"}, RootMissing),
    "conninfo": ({"database": "host=10.0.0.1 dbname=x"}, RootMissing),
    "tls": ({"tls": "verify"}, TlsRefused),
    "port": ({"port": 1}, Unreachable),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_says_what_is_wrong(database: Database, what: str) -> None:
    given, leaf = REFUSED[what]
    with pytest.raises(leaf) as caught:
        connect(database.target(**given), loopback_context())
    assert type(caught.value) is leaf


def test_what_lies_in_the_environment_is_not_used(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".pgpass").write_text(f"*:*:*:*:{database.password}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / ".pgpass"))
    monkeypatch.setenv("PGPASSWORD", database.password)
    monkeypatch.setenv("PGHOSTADDR", "10.0.0.1")
    with pytest.raises(AuthRefused):
        connect(database.target(password=""), loopback_context())
    assert who_is_there(database.target()) == database.username


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"), "127.0.0.1")


@pytest.fixture(scope="module")
def tls_database(certificates: Certificates) -> Iterator[Database]:
    with running_postgres(certificate=certificates.server) as url, making_database(url) as made:
        yield made


def test_tls_is_verified_by_the_authority(
    tls_database: Database, certificates: Certificates
) -> None:
    verified = tls_database.target(tls="verify", ca_certificate=certificates.authority)
    with connect(verified, loopback_context()) as session:
        row = session.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    assert row == (True,)
    assert who_is_there(tls_database.target(tls="require")) == "postgres"
    assert who_is_there(tls_database.target(tls="off")) == "postgres"


def test_who_is_not_verified_gets_no_password(
    tls_database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    other = make_certificates(tmp_path, "127.0.0.1").authority
    wrong = {
        "another authority": tls_database.target(tls="verify", ca_certificate=other),
        "the system's": tls_database.target(tls="verify"),
        "no certificate": tls_database.target(tls="verify", ca_certificate="no PEM"),
        "another name": replace(
            tls_database.target(tls="verify", ca_certificate=certificates.authority),
            host="localhost",
        ),
    }
    for target in wrong.values():
        with pytest.raises(TlsRefused):
            connect(target, loopback_context())


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_a_proxy_is_used_and_held_to_its_password(database: Database, scheme: str) -> None:
    with running_proxy(ProxyServer(scheme, locked=True)) as proxy:
        target = database.target(proxy=proxy.url)
        with pytest.raises(ProxyRefused):
            connect(target, loopback_context())
        secret = SqlSecret(
            password=database.password, proxy_username=USERNAME, proxy_password=PASSWORD
        )
        assert who_is_there(replace(target, secret=secret)) == database.username
        assert proxy.asked == [("127.0.0.1", database.port)]


def test_tls_is_verified_through_a_proxy(
    tls_database: Database, certificates: Certificates
) -> None:
    with running_proxy(ProxyServer("socks5")) as proxy:
        options: dict[str, Any] = {
            "proxy": proxy.url,
            "ca_certificate": certificates.authority,
            "tls": "verify",
        }
        assert who_is_there(tls_database.target(**options)) == "postgres"
        wrong = replace(tls_database.target(**options), host="localhost")
        with pytest.raises(TlsRefused):
            connect(wrong, loopback_context())


def test_a_server_that_says_nothing_is_given_up(database: Database) -> None:
    with proxying(database.port) as far:
        far.weather = Weather(stalled=True)
        with pytest.raises(Stalled, match="log in"):
            connect(database.target(port=far.port), loopback_context(log_in_s=0.5))


def test_another_protocol_is_told_apart(database: Database) -> None:
    with speaking(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        with pytest.raises(ProtocolViolation):
            connect(database.target(port=port, tls="require"), loopback_context())
        with pytest.raises(ProtocolViolation):
            SPEC.reach(database.target(port=port), loopback_context())  # type: ignore[misc]  # this kind has it


def test_silence_while_a_statement_runs_ends_as_stalled(database: Database) -> None:
    session = connect(database.target(idle_timeout_s=1), loopback_context())
    with pytest.raises(Stalled, match="silent for 1 s"):
        session.execute("SELECT pg_sleep(60)")
    assert session.closed


class _Cancelled(Exception):
    """The work is over."""


def cancelled_when(event: threading.Event) -> Callable[[], None]:
    def check() -> None:
        if event.is_set():
            raise _Cancelled

    return check


def running(database: Database, words: str) -> int:
    row = database.session.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND state = 'active'"
        " AND pid <> pg_backend_pid()",
        [f"%{words}%"],
    ).fetchone()
    return int(row[0]) if row else 0


def wait_until_running(database: Database, words: str, count: int) -> None:
    while running(database, words) != count:
        database.session.execute("SELECT pg_sleep(0.02)")


def test_work_that_is_over_cancels_its_statement(database: Database) -> None:
    over = threading.Event()
    session = connect(database.target(), loopback_context(check=cancelled_when(over)))

    def end() -> None:
        wait_until_running(database, "pg_sleep(61)", 1)
        over.set()

    ender = threading.Thread(target=end)
    ender.start()
    with pytest.raises(_Cancelled):
        session.execute("SELECT pg_sleep(61)")
    ender.join()
    assert session.closed
    wait_until_running(database, "pg_sleep(61)", 0)


def test_a_cut_in_mid_reading_is_a_lost_connection(database: Database) -> None:
    database.session.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    database.session.execute(
        "INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g"
    )
    with proxying(database.port) as far:
        source = database.open(port=far.port)
        found = source.describe({"table": "t"})
        source.begin(Reading(found.spec, found.columns, found.key))
        far.weather = Weather(cut_after_bytes=9_000_000)
        with pytest.raises(ConnectionLost):
            for _ in source.read():
                pass
        source.close()


def test_a_server_that_goes_silent_in_mid_reading_is_stalled(database: Database) -> None:
    database.session.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    database.session.execute(
        "INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g"
    )
    with proxying(database.port) as far:
        source = database.open(port=far.port, idle_timeout_s=1)
        found = source.describe({"table": "t"})
        source.begin(Reading(found.spec, found.columns, found.key))
        reading = source.read()
        next(reading)
        far.weather = Weather(deaf=True)
        with pytest.raises(Stalled):
            for _ in reading:
                pass
        source.close()


def test_a_server_that_is_stopped_is_never_an_error_of_psycopg(
    tls_database: Database,
) -> None:
    source = tls_database.open()
    with psycopg.connect(tls_database.url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'syncproject'"
        )
    with pytest.raises(ConnectionLost):
        source.describe({"table": "t"})
    with pytest.raises(ConnectionLost):
        list(source.entities())
    source.close()
