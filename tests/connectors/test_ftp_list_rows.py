"""The forms of LIST that are unambiguous are read, and no other."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from farends.errors import ProtocolViolation
from farends.ftp.list_rows import ListReader
from farends.ftp.list_times import ListClock
from farends.ftp.rows import Kind, Row, facts_row

NOW = datetime(2024, 3, 10, 12, 0, tzinfo=UTC)
FILE, FOLDER, LINK = Kind.FILE, Kind.FOLDER, Kind.LINK
MINUTE, SECOND, DAY = "2023-11-14 22:13:00", "2023-11-14 22:13:21", "2023-11-14 00:00:00"

# A row, its name, kind, size, and its time in UTC where the host's zone is UTC.
ROWS: list[tuple[str, str, Kind, int | None, str]] = [
    ("-rw-r--r--   1 a  b   10 Nov 14 22:13 f.txt", "f.txt", FILE, 10, MINUTE),
    ("-rw-r--r--   1 a  b   10 Nov 14  2023 f.txt", "f.txt", FILE, 10, DAY),
    ("-rw-r--r--   1 a  b   10 Nov 14 22:13  f txt ", " f txt ", FILE, 10, MINUTE),
    ("-rw-r--r--+  1 a  domain users   10 Nov 14 22:13 f", "f", FILE, 10, MINUTE),
    ("-rw-r--r--   1 a  b   10 14 Nov 22:13 f", "f", FILE, 10, MINUTE),
    ("-rw-r--r--   1 a  b   10 14. Nov 22:13 f", "f", FILE, 10, MINUTE),
    ("-rw-r--r--   1 a  b   10 14 Nov  2023 f", "f", FILE, 10, DAY),
    ("-rw-r--r--   1 a  b   10 2023-11-14 22:13 f", "f", FILE, 10, MINUTE),
    ("-rw-r--r--   1 a  b   10 2023-11-14 22:13:21 f", "f", FILE, 10, SECOND),
    ("-rw-r--r--   1 a  b   10 11-14 22:13 f", "f", FILE, 10, MINUTE),
    ("-rw-r--r--   1 a  b   10 2023-11-14  f", "f", FILE, 10, DAY),
    ("-rw-r--r--   1 a  b   10 2023-11-14  22:13 f", "22:13 f", FILE, 10, DAY),
    ("-rw-r--r--   1 a  b   10 Nov 14 22:13:21 f", "f", FILE, 10, SECOND),
    ("-rw-r--r--   1 a  b   10 Nov 14 22:13:21 2023 f", "f", FILE, 10, SECOND),
    ("-rw-r--r--   1 a  b   10 Okt 14 22:13 f", "f", FILE, 10, "2023-10-14 22:13:00"),
    ("-rw-r--r--   1 a  b   10 Mär  4 22:13 f", "f", FILE, 10, "2024-03-04 22:13:00"),
    ("-rw-r--r--   1 a  b   10 14 nov. 22:13 f", "f", FILE, 10, MINUTE),
    ("-rw-r--r--   1 a  b   10 14 août 22:13 f", "f", FILE, 10, "2023-08-14 22:13:00"),
    ("-rw-r--r--   1 a  b   10 ноя 14 22:13 f", "f", FILE, 10, MINUTE),
    ("-rw-r--r--   1 a  b   10 11月 14 22:13 f", "f", FILE, 10, MINUTE),
    ("-rw-r--r--   1 a  b   10 11月 14日 2023年 f", "f", FILE, 10, DAY),
    ("-rw-r--r--   1 a  b   10 11월 14 22:13 f", "f", FILE, 10, MINUTE),
    ("-rw-r--r--   1 a  b   10 lis 14 22:13 f", "f", FILE, 10, ""),  # of October or of November
    ("-rw-r--r--   a  b   10 Nov 14 22:13 f", "f", FILE, 10, MINUTE),
    ("-rw-r--r--   10 Nov 14 22:13 f", "f", FILE, 10, MINUTE),
    ("drwxr-xr-x   2 a  b 4096 Nov 14 22:13 sub", "sub", FOLDER, None, ""),
    ("drwxr-xr-x   2 a  b 4096 Nov 14 22:13 sub/", "sub", FOLDER, None, ""),
    ("lrwxrwxrwx   1 a  b    4 Nov 14 22:13 l -> /etc", "l", LINK, None, ""),
    ("crw-rw-rw-   1 a  b 1, 3 Nov 14 22:13 null", "null", Kind.SPECIAL, None, ""),
    ("drwxr-xr-x   2 a  b 4096 Nov 14 22:13 .", ".", Kind.ITSELF, None, ""),
    ("11-14-23  10:13PM       <DIR>          sub dir", "sub dir", FOLDER, None, ""),
    ("11-14-23  10:13PM       <JUNCTION>     j", "j", LINK, None, ""),
    ("2023-11-14  22:13            1,010 f 1.txt", "f 1.txt", FILE, 1010, MINUTE),
    ("14.11.2023  22:13            1.010 f 1.txt", "f 1.txt", FILE, 1010, MINUTE),
    ("+i8388621.48594,m1700000001,r,s280,\tdjb.html", "djb.html", FILE, 280, SECOND),
    ("+i8388621.50690,m1700000001,/,\t514 x", "514 x", FOLDER, None, SECOND),
    ("REPORT.TXT;12  3/4  14-NOV-2023 22:13:21  [ANON] (RWED,RWED,RE,)", "REPORT.TXT", FILE, None, ""),
    ("SUB.DIR;1  1/3  14-NOV-2023 22:13  [ANON] (RWED,RWED,RE,)", "SUB", FOLDER, None, ""),
    ("A_RATHER_LONG_NAME_THAT_STANDS_ALONE.TXT;1", "A_RATHER_LONG_NAME_THAT_STANDS_ALONE.TXT", FILE, None, ""),
    ("SECRET.TXT;1  %RMS-E-PRV, insufficient privilege", "SECRET.TXT", FILE, None, ""),
    ("QSYS        77824 02/23/00 15:09:55 *DIR       QOpenSys/", "QOpenSys", FOLDER, None, ""),
    ("QPGMR        1024 14.11.23 22:13:21 *STMF      report 1.csv", "report 1.csv", FILE, 1024, ""),
    ("QPGMR             *MEM       DATA.MBR", "DATA.MBR", FILE, None, ""),
    ("- [RWCEAFMS] admin     214059 Nov 14 22:13    cx.exe", "cx.exe", FILE, 214059, MINUTE),
    ("d [RWCEAFMS] admin        512 Nov 14  2023    login", "login", FOLDER, None, ""),
    ("-[R----F-]  1 admin       176 Nov 14 22:13    f", "f", FILE, 176, MINUTE),
]  # fmt: skip


def read(row: str, reader: ListReader | None = None) -> Row | None:
    return (reader or ListReader(ListClock(ZoneInfo("UTC"), NOW))).read(row.encode())


@pytest.mark.parametrize(("row", "name", "kind", "size", "moment"), ROWS)
def test_rows_of_list(row: str, name: str, kind: Kind, size: int | None, moment: str) -> None:
    found = read(row)
    assert found is not None
    assert (found.name.decode(), found.kind, found.size_bytes) == (name, kind, size)
    ns = found.modified_ns if found.modified_ns is not None else found.listed_ns
    told = "" if ns is None else datetime.fromtimestamp(ns / 1e9, UTC).strftime("%F %T")
    assert told == moment


def test_a_time_with_its_zone_is_exact() -> None:
    found = ListReader().read(b"-rw-r--r-- 1 a b 10 2023-11-14 23:13:21.250000000 +0100 f")
    assert found is not None
    assert (found.name, found.modified_ns) == (b"f", 1_700_000_001_250_000_000)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_month_in_an_old_encoding(encoding: str) -> None:
    found = ListReader().read("-rw-r--r-- 1 a b 10 Mär  4 22:13 f".encode(encoding))
    assert found is not None
    assert found.when is not None
    assert found.when.month == 3


TOTALS = ["total 12", "total 12K", "insgesamt 12", "итого 12", "合計 12", "总用量 12", "i alt 12", "yhteensä 12", "total: 12"]  # fmt: skip


@pytest.mark.parametrize("total", TOTALS)
def test_a_total_in_any_language_names_nothing(total: str) -> None:
    reader = ListReader()
    assert reader.read(total.encode()) is None
    assert reader.read(b"-rw-r--r-- 1 a b 10 Nov 14 22:13 f") is not None
    with pytest.raises(ProtocolViolation):  # there is one only, before the rows
        reader.read(total.encode())


def test_a_listing_of_vms_with_its_headings_and_wrapped_lines() -> None:
    rows = """Directory DKA0:[ANONYMOUS]

A_RATHER_LONG_NAME.TXT;1
                     3/4  14-NOV-2023 22:13:21  [ANON] (RWED,RWED,RE,)
REPORT.TXT;2          3/4  14-NOV-2023 22:13:21  [ANON] (RWED,RWED,RE,)
REPORT.TXT;1          3/4  14-NOV-2023 22:13:21  [ANON] (RWED,RWED,RE,)
SUB.DIR;1             1/3  14-NOV-2023 22:13:21  [ANON] (RWED,RWED,RE,)

Total of 4 files, 10/15 blocks."""
    reader = ListReader()
    found = [read(row, reader) for row in rows.split("\n")]
    assert [(row.name, row.kind) for row in found if row is not None] == [
        (b"A_RATHER_LONG_NAME.TXT", FILE),
        (b"REPORT.TXT", FILE),
        (b"REPORT.TXT", Kind.ITSELF),  # an older version
        (b"SUB", FOLDER),
    ]


WRONG = [
    "f.txt", "12 f.txt", "file 12", "-rw-r--r--", "-rw-r--r-- 1 a b 10 Nov 14 22:13", "-rw-r--r-- 1 a b 10 Nov 14 22:13 ",
    "-rw-r--r-- 1 a b 10 Nov 14 99:99 f", "-rw-r--r-- 1 a b 10 Nov 99 22:13 f", "-rw-r--r-- 1 a b 10 Xyz 14 22:13 f",
    "-rw-r--r-- 1 a b Nov 14 22:13 f", "-rw-r--r-- 1 a b 10 14/11/23 22:13 f", "-rw-r--r-- 1 a b 10 2023-13-14 22:13 f",
    f"-rw-r--r-- 1 a b {'9' * 40} Nov 14 22:13 f", "-rwxrwxrwxx 1 a b 10 Nov 14 22:13 f", "Xrw-r--r-- 1 a b 10 Nov 14 22:13 f",
    "11-14-23  10:13PM       <DIR>", "11-14-23  25:13            10 f", "11-14  10:13PM            10 f",
    "+i8388621.48594,m1700000001,s280,\tf", "+r,s280 f", "FILE.TXT;1  nonsense", "QPGMR 10 14.11.23 22:13:21 *WHAT f",
    "- [RWCEAFMS] admin Nov 14 22:13 f",
]  # fmt: skip


@pytest.mark.parametrize("row", WRONG)
def test_what_has_no_known_form_is_refused(row: str) -> None:
    with pytest.raises(ProtocolViolation):
        read(row)


def test_the_first_row_decides_the_form_of_all() -> None:
    reader = ListReader()
    reader.read(b"-rw-r--r-- 1 a b 10 Nov 14 22:13 f")
    with pytest.raises(ProtocolViolation):
        reader.read(b"11-14-23  10:13PM       <DIR>          sub")


BUDGET_S = 4.0  # of a processor, for a megabyte
HOSTILE = [
    " " * 16_000, "-rw-r--r-- " + " " * 16_000, "-rw-r--r-- " + "1 " * 8_000, "-rw-r--r-- 1 a b 1 Nov " * 700,
    "-rw-r--r-- 1 a b 10 Nov 14 22:13 " + " " * 3_000, "1" * 16_000, "1-" * 8_000, "11-14-23 " + " " * 16_000, "+" + "i," * 8_000 + "\t",
    "[" * 16_000, "- [" + "]" * 16_000, ";1" * 8_000, "a;" + "1" * 16_000, "QSYS " + "1 " * 8_000, "%" * 16_000, "\t" * 16_000,
    "é" * 8_000, "type=" * 3_000, ";" * 16_000, "=;" * 8_000 + " x", "size=" + "9" * 16_000 + "; x", "modify=" + "1" * 16_000 + "; x",
    "total " * 2_600, "Directory [" * 1_400,
]  # fmt: skip


@pytest.mark.parametrize("row", HOSTILE, ids=range(len(HOSTILE)))
def test_no_row_costs_more_than_its_length(row: str) -> None:
    raw = row.encode()
    reader = ListReader(ListClock(ZoneInfo("UTC"), NOW))
    began_s = time.thread_time()
    for _ in range(1024 * 1024 // len(raw)):
        for parse in (reader.read, facts_row):
            try:
                parse(raw)
            except ProtocolViolation:
                continue
    assert time.thread_time() - began_s < BUDGET_S
