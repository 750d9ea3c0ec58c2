"""The zone of an old FTP host's listing, as the connector names it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from farends.contract import RemoteEntry
from farends.errors import ProtocolViolation
from farends.ftp.list_rows import ListReader
from farends.ftp.list_times import ListClock
from farends.ftp.transport import FTP_SPEC, FtpOptions
from farends.spec import InvalidOptions, parse_options
from tests.hosts.scripted_ftp import scripted_ftp
from tests.hosts.sinks import DigestSink, digest_of, loopback_context

NOW = datetime(2024, 3, 10, 12, 0, tzinfo=UTC)
ROWS = "-rw-r--r--   1 a  b   7 Nov 14  2023 old\r\n-rw-r--r--   1 a  b   7 Jan  2 12:30 file\r\n"


def told(ns: int | None) -> str:
    return "" if ns is None else datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("zone", "row", "expected"),
    [
        ("UTC", (b"Mar", b"10", b"12:30"), "2024-03-10 12:30"),
        ("UTC", (b"Mar", b"12", b"12:30"), "2023-03-12 12:30"),
        ("Europe/Berlin", (b"Jul", b"1", b"00:30"), "2023-06-30 22:30"),
        ("America/New_York", (b"Jan", b"5", b"20:00"), "2024-01-06 01:00"),
        ("Asia/Tokyo", (b"Nov", b"14", b"2022"), "2022-11-13 15:00"),
        ("UTC", (b"Feb", b"29", b"08:00"), "2024-02-29 08:00"),
        ("UTC", (b"Foo", b"1", b"08:00"), ""),
        ("UTC", (b"Jan", b"32", b"2020"), ""),
        ("UTC", (b"Jan", b"1", b"99:99"), ""),
    ],
)
def test_a_row_without_a_year_is_the_last_such_day(
    zone: str, row: tuple[bytes, bytes, bytes], expected: str
) -> None:
    assert told(ListClock(ZoneInfo(zone), NOW).unix_ns(*row)) == expected


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (b"11-14-23  10:13PM", "2023-11-14 21:13"),
        (b"07-14-1999  12:05AM", "1999-07-13 22:05"),
        (b"03-04-23  10:13PM", "2023-03-04 21:13"),  # IIS: the month first
        (b"13-14-23  22:13", None),
        (b"14-11-2023  22:13", "2023-11-14 21:13"),
        (b"14.11.2023  22:13", "2023-11-14 21:13"),
        (b"03.04.2023  22:13", "2023-04-03 20:13"),
        (b"2023-11-14  22:13", "2023-11-14 21:13"),
        (b"11/14/2023  22:13", "2023-11-14 21:13"),
        (b"03/04/2023  22:13", ""),  # either: no time rather than a wrong one
        (b"03-04-2023  22:13", ""),
        (b"04-04-2023  22:13", "2023-04-04 20:13"),
    ],
)
def test_rows_of_iis(date: bytes, expected: str | None) -> None:
    reader = ListReader(ListClock(ZoneInfo("Europe/Berlin"), NOW))
    row = date + b"      1,010 report 1.txt"
    if expected is None:
        with pytest.raises(ProtocolViolation):
            reader.read(row)
        return
    found = reader.read(row)
    assert found is not None
    assert (found.name, found.size_bytes) == (b"report 1.txt", 1010)
    assert told(found.listed_ns) == expected


def walked(options: dict[str, Any], **scripts: Any) -> tuple[dict[str, RemoteEntry], int]:
    files = {"file": b"content", "old": b"content"}
    plain: dict[str, Any] = {
        "FEAT": lambda c, _: c.say("211-F", " SIZE", "211 end"),
        "LIST": lambda c, _: c.send(ROWS.encode()),
        "SIZE": lambda c, _: c.say("213 7"),
    }
    with scripted_ftp(files, **(plain | scripts)) as host:
        transport = FTP_SPEC.open(host.target(**options), loopback_context())
        try:
            found = [e for e in transport.walk() if isinstance(e, RemoteEntry)]
            answers = list(transport.fetch(found, DigestSink()))
            precision_ns = transport.capabilities.modified_precision_ns
        finally:
            transport.close()
    assert all(answer.receipt == digest_of(b"content") for answer in answers)
    assert all(answer.observed == answer.entry for answer in answers)
    return {entry.path: entry for entry in found}, precision_ns


def test_times_of_list_are_read_where_the_connector_names_their_zone() -> None:
    found, precision_ns = walked({"list_timezone": "Asia/Tokyo"})
    assert told(found["old"].modified_ns) == "2023-11-13 15:00"
    assert told(found["file"].modified_ns)[4:] == "-01-02 03:30"
    assert precision_ns == 60 * 10**9


def test_without_a_zone_and_beside_mdtm_they_are_not() -> None:
    found, precision_ns = walked({})
    assert {entry.modified_ns for entry in found.values()} == {None}
    assert precision_ns == 10**9
    found, precision_ns = walked(
        {"list_timezone": "Asia/Tokyo"}, MDTM=lambda c, _: c.say("213 20231114221320")
    )
    assert {entry.modified_ns for entry in found.values()} == {1_700_000_000 * 10**9}
    assert precision_ns == 10**9


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "Europe"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidOptions, match="IANA"):
        parse_options(FtpOptions, {"list_timezone": name})
