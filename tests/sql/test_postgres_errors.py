"""No error of psycopg leaves the border: each has a leaf of ours."""

from __future__ import annotations

import inspect

import psycopg
import pytest
from psycopg import errors

from farends.errors import (
    AuthRefused,
    ConnectionLost,
    PermissionRefused,
    ProtocolViolation,
    RootMissing,
    Stalled,
    Throttled,
    TlsRefused,
    TransportError,
    Unreachable,
    Unstable,
)
from farends.sql.postgresql.errors import map_error, map_refusal, mapped
from tests.servers import servers

KINDS = sorted(
    (
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, psycopg.Error)
    ),
    key=lambda kind: kind.__name__,
)
LEAVES: dict[str, type[TransportError]] = {
    "28P01": AuthRefused,
    "28000": AuthRefused,
    "42501": PermissionRefused,
    "25006": PermissionRefused,
    "42P01": RootMissing,
    "3D000": RootMissing,
    "3F000": RootMissing,
    "57P04": RootMissing,
    "57014": Stalled,
    "55P03": Stalled,
    "40001": Unstable,
    "40P01": Unstable,
    "42703": Unstable,
    "08000": ConnectionLost,
    "08006": ConnectionLost,
    "57P01": ConnectionLost,
    "57P02": ConnectionLost,
    "25P03": ConnectionLost,
    "57P03": Unreachable,
    "53100": Throttled,
    "53300": Throttled,
    "08P01": ProtocolViolation,
    "22012": ProtocolViolation,
    "XX001": ProtocolViolation,
    "P0001": ProtocolViolation,
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_error_of_psycopg_is_unmapped(kind: type[psycopg.Error]) -> None:
    with pytest.raises(TransportError) as caught, mapped():
        raise kind("words")
    assert isinstance(caught.value.__cause__, kind)
    assert not isinstance(caught.value, psycopg.Error)


@pytest.mark.parametrize("state", LEAVES)
def test_an_error_has_the_leaf_of_its_state(state: str) -> None:
    told = map_error(errors.lookup(state)("words"))
    assert type(told) is LEAVES[state]
    assert state in str(told)


@pytest.mark.parametrize("kind", [psycopg.OperationalError, psycopg.InterfaceError])
def test_an_error_without_a_state_is_a_lost_connection(kind: type[psycopg.Error]) -> None:
    assert isinstance(map_error(kind("the connection is closed")), ConnectionLost)


REFUSALS = [
    ('FATAL:  password authentication failed for user "x"', AuthRefused),
    ('FATAL:  role "x" does not exist', AuthRefused),
    ('FATAL:  no pg_hba.conf entry for host "h", user "u", database "d", no encryption', AuthRefused),
    ('FATAL:  database "x" does not exist', RootMissing),
    ('FATAL:  permission denied for database "x"', PermissionRefused),
    ("FATAL:  sorry, too many clients already", Throttled),
    ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", Throttled),
    ("FATAL:  the database system is starting up", Unreachable),
    ("FATAL:  the database system is not yet accepting connections", Unreachable),
    ("FATAL:  Passwort-Authentifizierung für Benutzer »x« fehlgeschlagen", AuthRefused),
    ("server does not support SSL, but SSL was required", TlsRefused),
    ("SSL error: certificate verify failed", TlsRefused),
    ('server certificate for "a" does not match host name "b"', TlsRefused),
    ("received invalid response to SSL negotiation: H", ProtocolViolation),
    ("server closed the connection unexpectedly", ConnectionLost),
    ('authentication method requirement "!password" failed: server requested a cleartext password', AuthRefused),
]  # fmt: skip


@pytest.mark.parametrize(("said", "leaf"), REFUSALS)
def test_a_refused_log_in_has_its_leaf(said: str, leaf: type[TransportError]) -> None:
    whole = f'connection to server at "password.example (127.0.0.1)", port 5432 failed: {said}\n'
    told = map_refusal(whole, connected=True, showed_password=True)
    assert type(told) is leaf
    assert "connection to server" not in str(told)


def test_who_takes_no_connection_is_out_of_reach() -> None:
    told = map_refusal(
        "Connection refused\n\tIs it running?", connected=False, showed_password=False
    )
    assert type(told) is Unreachable
    assert str(told) == "Connection refused"


def test_words_that_may_quote_a_row_are_not_told() -> None:
    with psycopg.connect(servers().database_url) as session, pytest.raises(psycopg.Error) as caught:
        session.execute("SELECT 'canary'::int")
    assert "canary" in str(caught.value)
    assert "canary" not in str(map_error(caught.value))
