"""Whole records over listings whose rows are spoilt: the dataset holds every file that the source still has.

The files themselves stay at the source; only what the host lists of them is changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from syncjobs.core.states import State
from syncjobs.models import SyncJob
from syncjobs.records.asking import cancel
from tests.hosts.scripted_ftp import Conversation, Script, scripted_ftp
from tests.hosts.scripted_http import Conversation as HttpConversation
from tests.hosts.scripted_http import Request, scripted_http
from tests.rows import digests_of, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

FILES = {f"report {n:02} of may.csv": b"%d" % n * 3 for n in range(12)}
SIZES = {name: len(content) for name, content in FILES.items()}
LAST_MODIFIED = "Last-Modified: Tue, 14 Nov 2023 22:13:00 GMT"
Row = Callable[[str, int], str]


@dataclass(frozen=True)
class Form:
    """How one kind of host lists: its rows between a head and a tail."""

    row: Row
    head: str = ""
    tail: str = ""
    between: str = "\r\n"

    def page(self, rows: list[str]) -> bytes:
        return (self.head + self.between.join(rows) + self.tail).encode()

    @property
    def rows(self) -> list[str]:
        return [self.row(name, size) for name, size in SIZES.items()]


def _link(name: str) -> str:
    return f'<a href="{name.replace(" ", "%20")}">{name}</a>'


FTP = {
    "mlsd": Form(lambda name, size: f"type=file;size={size};modify=20231114221300; {name}"),
    "unix": Form(lambda name, size: f"-rw-r--r--   1 ftp  ftp  {size:8} Nov 14  2023 {name}"),
    "iso": Form(lambda name, size: f"-rw-r--r-- 1 ftp ftp {size} 2023-11-14 22:13 {name}"),
    "day first": Form(lambda name, size: f"-rw-r--r-- 1 ftp ftp {size} 14 Nov 2023 {name}"),
    "iis": Form(lambda name, size: f"11-14-23  10:13PM {size:20} {name}"),
    "eplf": Form(lambda name, size: f"+i8388621.48594,m1700000000,r,s{size},\t{name}"),
}
HTTP = {
    "nginx": Form(
        lambda name, size: f"{_link(name)}     14-Nov-2023 22:13    {size}",
        "<html><head><title>Index of /</title></head><body><h1>Index of /</h1><hr><pre>",
        "</pre><hr></body></html>",
    ),
    "apache": Form(
        lambda name, size: f"{_link(name)}   2023-11-14 22:13   {size}",
        "<html><head><title>Index of /</title></head><body><h1>Index of /</h1><pre>",
        "<hr></pre></body></html>",
    ),
    "json": Form(
        lambda name, size: json.dumps(
            {"name": name, "type": "file", "mtime": "Tue, 14 Nov 2023 22:13:00 GMT", "size": size}
        ),
        "[",
        "]",
        ",\n",
    ),
    "s3": Form(
        lambda name, size: (
            f"<Contents><Key>{name}</Key><LastModified>2023-11-14T22:13:00.000Z</LastModified>"
            f"<Size>{size}</Size></Contents>"
        ),
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        "<Name>b</Name><IsTruncated>false</IsTruncated>",
        "</ListBucketResult>",
        "",
    ),
}


def _cut(row: str, at: int, junk: str) -> str:
    return row[: 1 + at % len(row)]


def _insert(row: str, at: int, junk: str) -> str:
    place = at % (len(row) + 1)
    return row[:place] + junk + row[place:]


def _lose_column(row: str, at: int, junk: str) -> str:
    columns = row.split(" ")
    del columns[at % len(columns)]
    return " ".join(columns)


def _date_otherwise(row: str, at: int, junk: str) -> str:
    dates = [
        "Nov 14  2023",
        "2023-11-14 22:13",
        "14 Nov 2023",
        "11-14-23  10:13PM",
        "14-Nov-2023 22:13",
    ]
    for date in (*dates, "2023-11-14T22:13:00.000Z", "20231114221300"):
        row = row.replace(date, ["14/11/23", "mardi 14", "2023年11月14日", "-", "0"][at % 5])
    return row


SPOIL = [_cut, _insert, _lose_column, _date_otherwise]
EXAMPLES = 12  # a record each
JUNK = ["\x07", "????", "  ", "\u2028", "<b>", "&#xD800;", '"', "9" * 40, ";", "=", "->", "//"]
MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, len(FILES) - 1),
        st.sampled_from(SPOIL),
        st.integers(0, 200),
        st.sampled_from(JUNK),
    ),
    min_size=1,
    max_size=2,
)


class Listing:
    """What the host lists now."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.rows = form.rows

    @property
    def page(self) -> bytes:
        return self.form.page(self.rows) + (b"" if self.form.tail else b"\r\n")


@contextmanager
def ftp_host(name: str, listing: Listing) -> Iterator[SyncJob]:
    def send(conversation: Conversation, argument: str) -> None:
        if argument not in ("", "/", "-a"):
            conversation.close_listener()
            conversation.say("550 no such folder")
        else:
            conversation.send(listing.page)

    features = "211-F\r\n UTF8\r\n211 end"
    if name == "mlsd":
        features = features.replace(" UTF8", " MLST type*;size*;modify*;\r\n UTF8")
    scripts: dict[str, Script] = {"MLSD": send, "LIST": send}
    scripts["FEAT"] = lambda conversation, _: conversation.say(features)
    with scripted_ftp(FILES, **scripts) as host:
        yield make_job(make_connector(host.target(), kind="ftp"))


@contextmanager
def http_host(name: str, listing: Listing) -> Iterator[SyncJob]:
    kinds = {"json": "application/json", "s3": "application/xml"}
    files = {f"/{name.replace(' ', '%20')}": content for name, content in FILES.items()}

    def script(request: Request, conversation: HttpConversation) -> None:
        path = request.target.partition("?")[0]
        if path == "/":
            say(
                request, conversation, listing.page, f"Content-Type: {kinds.get(name, 'text/html')}"
            )
        elif path in files:
            say(request, conversation, files[path], LAST_MODIFIED)
        else:
            say(request, conversation, b"", status="404 Not Found")

    with scripted_http(script) as host:
        yield make_job(make_connector(host.target(), kind="http"))


def say(
    request: Request,
    conversation: HttpConversation,
    body: bytes,
    *fields: str,
    status: str = "200 OK",
) -> None:
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields)
    head = "".join(f"{line}\r\n" for line in lines) + "\r\n"
    conversation.say(head.encode() + (b"" if request.method == "HEAD" else body))


@pytest.mark.parametrize(
    ("host", "name", "form"),
    [(ftp_host, *item) for item in FTP.items()] + [(http_host, *item) for item in HTTP.items()],
    ids=[*FTP, *HTTP],
)
def test_spoilt_rows_take_no_file_from_a_dataset(
    host: Callable[[str, Listing], AbstractContextManager[SyncJob]], name: str, form: Form
) -> None:
    listing = Listing(form)
    with host(name, listing) as job:
        first = run(job)
        assert (first.state, first.files_added) == (State.SUCCEEDED, len(FILES))
        held = digests_of(job.dataset)

        @settings(
            max_examples=EXAMPLES,
            phases=[Phase.generate],  # a failure names the rows: to make it smaller takes minutes
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(MUTATIONS)
        def spoil(mutations: list[tuple[int, Callable[[str, int, str], str], int, str]]) -> None:
            listing.rows = form.rows
            for row, how, at, junk in mutations:
                listing.rows[row] = how(listing.rows[row], at, junk)
            record = run(job)
            now = digests_of(job.dataset)
            assert held.items() <= now.items(), (record.state, record.verdict, listing.rows)
            if record.state == State.HELD:
                cancel(record.pk, by="tests")

        spoil()
