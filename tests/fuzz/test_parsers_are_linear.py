"""No text of a far end costs more than its length is worth: CPU time, by length, over what parsers fear.

An expression of the standard library, and a loop that copies what it has, hold the interpreter's lock while
they work: every thread of the process waits, the heartbeat too.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from farends.errors import TransportError
from farends.http.index_rows import NotUnderstood
from tests.fuzz.parsers import NO_PARSERS, PARSERS, Parser
from tests.linear import Pace

ROOT = Path(__file__).parents[2]
NAMED = [
    (f"{module.removeprefix('connectors.')}: {name}", read)
    for module, readers in PARSERS.items()
    for name, read in readers.items()
]

# What stands before the part that repeats, by a word of the module, so that each form is entered.
BEGINNINGS: Mapping[str, tuple[bytes, ...]] = {
    "farends.ftp": (
        b"-rw-r--r-- 1 a b ", b"-rw-r--r-- 1 ", b"drwx", b"01-01-26 10:00AM ", b"type=file;size=", b"type=", b"220-", b"220 ", b"SHA-256 0-",
        b"total ", b"+", b"A.DAT;1 ", b"-rw-r--r-- 1 a b 1 Jan ", b"01-01-26  10:00AM  <DIR> ", b'"/', b"(|||", b"226 ", b"-",
    ),
    "http.index_pages": (
        b"<", b'<a href="', b"<html><a ", b"<html><pre>", b"<html><table><tr><td>", b'<?xml version="1.0"?><list>', b"<!--",
        b'<catalog xmlns="InvCatalog">', b'<catalog xmlns="InvCatalog"><dataset urlPath="', b'<dataset name="a">',
        b"<ListBucketResult>", b"<ListBucketResult><Contents>", b'[{"name": "', b'{"files": [', b"[", b"<html>&#", b'<html><a href="a">',
        b'<html><a href="a">a</a> ', b"<html><time ", b'<html><td data-order="',
    ),
    "farends.web.": (
        b'"', b"Digest ", b'Digest realm="', b"sha-256=:", b"sha-256=", b"bytes ", b"HTTP/1.1 200 ", b"A: ", b"5;", b"/", b"http://", b"http://a/",
        b"Mon, 01 Jan ", b"2026-01-01T00:00:00",
    ),
    "webdav.multistatus": (
        b"<", b"<!--", b'<?xml version="1.0"?>', b'<!DOCTYPE a [<!ENTITY a "', b'<multistatus xmlns="DAV:">', b'<multistatus xmlns="DAV:" ',
        b'<multistatus xmlns="DAV:"><response><href>', b'<multistatus xmlns="DAV:"><response><propstat><prop>', b'<multistatus xmlns="DAV:"><!--',
    ),
    "webdav.rows": (b"/", b"http://", b"Mon, 01 Jan ", b'"'),
    "farends.rsync": (
        b"rsync: ", b'rsync: [sender] read "', b'rsync: [sender] send_files failed to open "a" (in ', b"-rw-r--r-- ", b"-rw-r--r-- 1 2026/01/01 10:00:00 ",
        b"WARNING: ", b'"', b"file has vanished: ", b"\\#",
    ),
    "farends.ssh.records": (b"find: '", b"find: `", b"tar: ", b"f 1 1.", b"\\", b"./", b"0" * 64),
    "farends.ssh.tar": (b"30 mtime=", b"9999 a="),
    "farends.sftp": (b"\0\0\0\1", b"\0\0\1\0\0\0\0\1"),
    "extracting.html": (
        b"<", b"<!--", b"<a ", b'<a href="', b"<a hidden=", b"<p hidden>", b"<pre>", b"<title>", b"<script>", b"</", b"<meta charset=", b"&#",
    ),
    "extracting.kinds": (b"From: a\nTo: b\n", b"<!--", b"PK\3\4" + 26 * b"0"),
    "key": (b"ssh-rsa ", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", b"-----BEGIN RSA PRIVATE KEY-----\n", b"ssh-rsa-cert-v01@openssh.com "),
    "proxying": (b"HTTP/1.1 200 ", b"http://", b"socks5://"),
    "console": (b"mon", b"mon-fri ", b"mon-fri 22:00-", b"2026-12-24 18:00 - 2026-12-27 06:00 ", b"2026-12-24 ", b"2026-12-24 18:00"),
    "api": (b"bytes=", b"2026-01-01"),
    "farends.rows.json": (b'"', b'"\\', b'{"a": "', b"[", b'["\\ud800', b"1."),
    "farends.rows.printing": (b"2026-01-01T00:00:00.", b"2026-01-01 00:00:00+", b'{"a": "', b"["),
    "farends.mcp.events": (b"data: ", b"data", b":", b"id: 1\n", b"\xef\xbb\xbf"),
    "farends.mcp.json": (b'"', b'"\\', b'"\\ud83d', b'{"', b'{"a":', b"[", b"1.", b"[1,", b'"\xc3'),
    "farends.mcp.answers": (
        b'{"id":1,"result":{"contents":[{"uri":"kit://a","text":"', b'{"result":{"contents":[{"uri":"kit://a","blob":"',
        b'{"result":{"contents":[', b'{"result":{"', b'{"error":', b'{"id":', b'{"', b'{"resources":[', b'{"resources":[{"uri":"',
    ),
    "farends.mcp.paths": (b"kit://", b"kit:", b"//", b"kit://a/b."),
    "farends.mcp.uris": (b"kit://", b"kit:", b"//", b"kit://a/%"),
    "farends.rest.": (b"<a>; rel=", b'<a>; rel="', b"<", b"2026-01-01T00:00:00.", b"1."),
    "farends.rows.inference": (b"1.", b"1.5e", b"-", b"2026-01-01T00:00:00.", b"2026-01-01T00:00:00.123456", b"2026-01-01 00:00:00+"),
}  # fmt: skip
UNITS = (
    b" ", b"\t", b"\n", b"\r\n", b"a", b"0", b"1", b"9", b" 1", b"1 ", b"a ", b"A: ", b": ", b'"', b'""', b'\\"', b"'", b"\\", b"\\1",
    b"\\#101", b"<", b"<a ", b"<a href=", b'<a href="a">', b"</a>", b"<time ", b"<td>", b"<!--", b"-->", b"-", b"<?", b"&", b"&#", b"&amp;",
    b"&#97;", b";", b",", b"a,", b"1,", b"=", b"a=", b"a=b;", b'a="b",', b"digest ", b"sha-256=", b"(", b"[", b"]", b"{", b'{"a":', b"[]",
    b"/", b"./", b"../", b"a/", b"//", b":", b"://", b"%", b"%41", b"?", b"#", b"@", b"\0", b"\xff", b"\xc3\xa4", b"\xf0\x9f\x98\x80", b"|", b"|||",
    b" -> ", b"...", b"\xe2\x80\xa6", b"pas", b"0123456789abcdef", b"Jan ", b"10:00 ", b"<file>a</file>", b"<Contents><Key>a</Key></Contents>",
)  # fmt: skip
ENDINGS = (b"", b"!")


def test_every_beginning_belongs_to_a_parser() -> None:
    assert [word for word in BEGINNINGS if not any(word in name for name, _ in NAMED)] == []


def _tries(name: str) -> Iterator[tuple[bytes, bytes, bytes]]:
    for beginning in [b"", *(b for word, own in BEGINNINGS.items() if word in name for b in own)]:
        for unit in UNITS:
            for ending in ENDINGS[bool(beginning) :]:
                yield beginning, unit, ending


def _made_of(beginning: bytes, unit: bytes, ending: bytes) -> Callable[[int], bytes]:
    return lambda length: beginning + unit * (length // len(unit)) + ending


def _tried(read: Parser) -> Callable[[bytes], None]:
    def run(raw: bytes) -> None:
        with suppress(TransportError, NotUnderstood, ValueError):
            read(raw)

    return run


@pytest.mark.parametrize(("name", "read"), NAMED, ids=[name for name, _ in NAMED])
def test_text_costs_no_more_than_its_length(name: str, read: Parser) -> None:
    pace = Pace()
    dear = {}
    for beginning, unit, ending in _tries(name):
        wrong = pace.find_cost(_tried(read), _made_of(beginning, unit, ending))
        if wrong is not None:
            dear[beginning, unit, ending] = wrong
    assert dear == {}


APART = {
    "split",
    "rsplit",
    "partition",
    "rpartition",
    "splitlines",
    "decode",
    "fromhex",
    "fromisoformat",
}
FAR_ENDS = {"connectors", "farends"}
LIBRARIES = re.compile(r"re|json|html|xml|email|urllib\.parse|ipaddress")


def _takes_text_apart(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=found) if any(LIBRARIES.match(f"{one.name}.") for one in found):
                return True
            case ast.ImportFrom(module=str(module)) if LIBRARIES.match(f"{module}."):
                return True
            case ast.Call(func=ast.Attribute(attr=name)) if name in APART:
                return True
    return False


def _has_expressions(path: Path) -> bool:
    return bool(re.search(r"^import (?:re|difflib|fnmatch)\b", path.read_text(), re.MULTILINE))


def test_no_parser_is_forgotten() -> None:
    files = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    product = [Path(file) for file in files if not file.startswith(("tests/", "benchmarks/"))]
    found = {
        ".".join(path.with_suffix("").parts)
        for path in product
        if (_takes_text_apart if path.parts[0] in FAR_ENDS else _has_expressions)(ROOT / path)
    }
    assert found - PARSERS.keys() - NO_PARSERS.keys() == set()
    for module in (*PARSERS, *NO_PARSERS):
        importlib.import_module(module)
    assert not PARSERS.keys() & NO_PARSERS.keys()
