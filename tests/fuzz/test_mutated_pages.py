"""Index pages of which a row was cut, lost a part, or had junk put in: every file that the host still has is
listed under its right name, or the listing says that it is not complete.

Where a form tells a name once, the name itself is left alone: another name there is another file.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farends.contract import INCOMPLETE, RemoteEntry, Seen, Skipped
from farends.errors import TransportError
from farends.http.transport import HTTP_SPEC
from tests.hosts.scripted_http import Conversation, Request, ScriptedHttp, scripted_http
from tests.hosts.sinks import loopback_context

NAMES = [f"file-{number}.csv" for number in range(8)]
MOMENT = "Last-Modified: Fri, 07 Nov 2025 12:30:40 GMT"
JUNK = (
    "x",
    " ",
    '"',
    "'",
    "<",
    ">",
    "&",
    "/",
    "\n",
    "<b>",
    "</a>",
    "<!--",
    "%",
    "{",
    "}",
    "]",
    "12:30",
    "\0",
)


def _nginx(name: str) -> str:
    return f'<a href="{name}">{name}</a>      07-Nov-2025 12:30       5\r\n'


def _apache(name: str) -> str:
    link = f'<td><a href="{name}">{name}</a>  </td><td align="right">2025-11-07 12:30  </td>'
    return (
        f'<tr><td valign="top">&nbsp;</td>{link}<td align="right">  5 </td><td>&nbsp;</td></tr>\n'
    )


def _python(name: str) -> str:
    return f'<li><a href="{name}">{name}</a></li>\n'


def _json(name: str) -> str:
    moment = "Fri, 07 Nov 2025 12:30:40 GMT"
    return f'{{ "name":"{name}", "type":"file", "mtime":"{moment}", "size":5 }},\n'


def _caddy(name: str) -> str:
    moment = "2025-11-07T12:30:40Z"
    told = f'"name":"{name}","size":5,"url":"./{name}","mod_time":"{moment}"'
    return f'{{{told},"mode":420,"is_dir":false,"is_symlink":false}},'


def _xml(name: str) -> str:
    return f'<file mtime="2025-11-07T12:30:40Z" size="5">{name}</file>\n'


def _bucket(name: str) -> str:
    moment = "2025-11-07T12:30:40.000Z"
    return (
        f"<Contents><Key>{name}</Key><LastModified>{moment}</LastModified><Size>5</Size></Contents>"
    )


def _thredds(name: str) -> str:
    return (
        f'<dataset name="{name}" ID="x/{name}" urlPath="x/{name}"><dataSize units="bytes">5</dataSize>'
        '<date type="modified">2025-11-07T12:30:40Z</date></dataset>\n'
    )


FORMS: dict[str, tuple[str, Callable[[str], str], str, bool]] = {
    # before the rows, a row, behind the rows, whether a row tells its name twice
    "nginx": ('<html><body><pre><a href="../">../</a>\r\n', _nginx, "</pre></body></html>", True),
    "apache": ("<html><body><table>", _apache, "</table></body></html>", True),
    "python": ("<html><body><ul>\n", _python, "</ul></body></html>", True),
    "json": ("[\n", _json, "]\n", False),
    "caddy": ("[", _caddy, "]", True),
    "xml": ('<?xml version="1.0"?>\n<list>\n', _xml, "</list>\n", False),
    "bucket": (
        "<ListBucketResult><IsTruncated>false</IsTruncated>", _bucket, "</ListBucketResult>", False
    ),
    "thredds": (
        '<catalog xmlns="http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0">'
        '<service name="http" serviceType="HTTPServer" base="/files/"/><dataset name="x">\n',
        _thredds, "</dataset></catalog>", True,
    ),
}  # fmt: skip


def mutated(row: str, name: str, *, twice: bool, at: float, length: int, junk: str) -> str:
    """A part of the row is lost, and junk stands in its place."""
    start = int(at * len(row))
    end = min(start + length, len(row))
    if not twice:
        first = row.index(name)
        last = first + len(name)
        if start < first <= end:
            end = first - 1
        elif first <= start <= last:
            start, end = last + 1, max(end, last + 1)
    return row[:start] + junk + row[end:]


@pytest.mark.parametrize("form", FORMS)
def test_by_2_a_mutated_row_hides_no_file(form: str) -> None:
    before, row_of, behind, twice = FORMS[form]
    page = b""

    def script(request: Request, conversation: Conversation) -> None:
        if request.target in ("/", "/x/catalog.xml"):
            conversation.answer(page)
        elif request.target.removeprefix("/files/x")[1:] in NAMES:
            conversation.say(f"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{MOMENT}\r\n\r\n".encode())
        else:
            conversation.say(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")

    @settings(
        max_examples=150, deadline=None, derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
    @given(
        number=st.integers(0, len(NAMES) - 1),
        at=st.floats(0, 0.999),
        length=st.integers(0, 200),
        junk=st.one_of(st.just(""), st.sampled_from(JUNK), st.text("ax<>\"'= ", max_size=4)),
    )
    def holds(number: int, at: float, length: int, junk: str) -> None:
        nonlocal page
        rows = [row_of(name) for name in NAMES]
        rows[number] = mutated(
            rows[number], NAMES[number], twice=twice, at=at, length=length, junk=junk
        )
        page = f"{before}{''.join(rows)}{behind}".encode()
        seen = look(host, "/x/catalog.xml" if form == "thredds" else "/")
        if seen is None:
            return
        listed = {item.path: item for item in seen if isinstance(item, RemoteEntry)}
        complete = not any(isinstance(item, Skipped) and item.reason in INCOMPLETE for item in seen)
        gone = NAMES[number][:-4] not in rows[number]  # nothing of the name is left to be told
        # What leads elsewhere stays as it is held.
        elsewhere = {item.path for item in seen if isinstance(item, Skipped)}
        kept = listed.keys() | elsewhere
        assert not complete or gone or kept >= set(NAMES), (rows[number], seen)
        assert all(item.size_bytes in (5, None) for item in listed.values()) or not complete

    with scripted_http(script) as host:
        holds()


def look(host: ScriptedHttp, root: str) -> list[Seen] | None:
    """None where the listing fails as a whole."""
    transport = HTTP_SPEC.open(host.target(root), loopback_context())
    try:
        return list(transport.walk())
    except TransportError:
        return None
    finally:
        transport.close()
