"""Index pages: what they leave out, what they cannot say, and what is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePosixPath

import pytest

from farends.contract import (
    Fetched,
    Reason,
    RemoteEntry,
    RoundListing,
    Seen,
    Skipped,
    Transport,
)
from farends.errors import NotAListing, Stalled, Throttled, Truncated
from farends.http.transport import HTTP_SPEC
from farends.masking import MaskedTransport, make_mask
from farends.probe import probe
from tests.hosts.scripted_http import Conversation, Request, Script, ScriptedHttp, scripted_http
from tests.hosts.sinks import DigestSink, loopback_context

ROOT = PurePosixPath("/")
MOMENT = "Last-Modified: Fri, 07 Nov 2025 12:30:40 GMT"
Answer = Callable[[Request, Conversation], None]
Pages = Mapping[str, bytes | Answer]


def site(pages: Pages) -> Script:
    """These pages; a HEAD of anything else describes a file of five bytes, unless its name has `gone`."""

    def script(request: Request, conversation: Conversation) -> None:
        found = pages.get(request.target)
        if callable(found):
            found(request, conversation)
        elif found is not None:
            conversation.answer(found)
        elif "gone" in request.target or request.target.endswith("/"):
            conversation.say(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
        elif request.method == "HEAD":
            conversation.say(f"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{MOMENT}\r\n\r\n".encode())
        else:
            conversation.answer(b"hello", MOMENT)

    return script


@contextmanager
def opened(pages: Pages, **options: object) -> Iterator[tuple[Transport, ScriptedHttp]]:
    with scripted_http(site(pages)) as host:
        transport = HTTP_SPEC.open(host.target(**options), loopback_context(idle_s=1.0))  # type: ignore[arg-type]
        try:
            yield transport, host
        finally:
            transport.close()


def walked(pages: Pages, root: str = "/") -> list[Seen]:
    with opened(pages, root=root) as (transport, _):
        return list(transport.walk())


def files(seen: list[Seen]) -> list[str]:
    return sorted(item.path for item in seen if isinstance(item, RemoteEntry))


def reasons(seen: list[Seen]) -> dict[str, Reason]:
    return {item.path: item.reason for item in seen if isinstance(item, Skipped)}


def html(*rows: str, title: str = "Index of /") -> bytes:
    body = "\n".join(rows)
    return f"<html><head><title>{title}</title></head><body>{body}</body></html>".encode()


def nginx(*rows: str) -> bytes:
    return html("<pre><a href='../'>../</a>", *rows, "</pre>")


def row(name: str, text: str | None = None) -> str:
    return f'<a href="{name}">{text or name}</a>   07-Nov-2025 12:30      5'


ELSEWHERE = {
    "another host": ('<a href="http://other.example/files/a.csv">a.csv</a>', {"a.csv"}),
    "another folder": ('<a href="/login/a.csv">a.csv</a>', {"a.csv"}),
    "a folder below": ('<a href="new/a.csv">a.csv</a>', {"new/a.csv", "a.csv"}),
    "one page for all": ('<a href="https://other.example/log-in">a.csv</a>', {"a.csv", "log-in"}),
    "a script": ('<a href="javascript:get(1)">a.csv</a>', {"a.csv"}),
    "a page about it": ('<a href="a.csv?view=1">show</a>', {"a.csv", "show"}),
    "a script of the folder": ('<a href="?download=a.csv">a.csv</a>', {"a.csv"}),
    "a script of the page": ('<a href="#" onclick="get(1)">a.csv</a>', {"a.csv"}),
    "nowhere": ('<a href="">a.csv</a>', {"a.csv"}),
    "a folder": ('<a href="//other.example/x/sub/">sub/</a>', {"sub"}),
    "up": ('<a href="/">Parent Directory</a>', set()),
    "itself": ('<a href="">.</a><a href="#top">top</a><a href="/data/">here</a>', set()),
    "its own name": ('<a href="">data</a><a href="#">data</a>', set()),
    "the order of rows": ('<a href="?C=N;O=D">Name</a><a href="/data/?C=M">Modified</a>', set()),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_links_that_lead_elsewhere_are_told(name: str) -> None:
    link, expected = ELSEWHERE[name]
    seen = walked({"/data/": html(link, '<a href="b.csv">b.csv</a>')}, "/data")
    assert files(seen) == ["b.csv"]
    assert reasons(seen) == dict.fromkeys(expected, Reason.LEADS_ELSEWHERE)


def test_a_link_that_climbs_is_unsafe_and_leads_elsewhere() -> None:
    seen = walked(
        {"/data/": html('<a href="../x/a.csv">a.csv</a>', '<a href="b.csv">b.csv</a>')}, "/data"
    )
    told = [(item.path, item.reason) for item in seen if isinstance(item, Skipped)]
    assert sorted(told) == [
        ("..\\x2fx\\x2fa.csv", Reason.UNSAFE_NAME),
        ("a.csv", Reason.LEADS_ELSEWHERE),
    ]


def test_more_links_elsewhere_than_are_told_make_a_listing_incomplete() -> None:
    links = [f'<a href="http://other.example/{n}">{n}</a>' for n in range(1_500)]
    told = reasons(walked({"/": html(*links, '<a href="b.csv">b.csv</a>')}))
    assert told.pop("") is Reason.LISTING_CUT
    assert set(told.values()) == {Reason.LEADS_ELSEWHERE}
    assert len(told) == 1_000


@pytest.mark.parametrize(
    "to", ["http://other.example:1/sub/", "/log-in", "/log-in/", "../other/"], ids=str
)
def test_a_folder_that_is_redirected_leads_elsewhere(to: str) -> None:
    def move(request: Request, conversation: Conversation) -> None:
        conversation.answer(b"", f"Location: {to}", status="302 Found")

    pages: Pages = {"/": html('<a href="sub/">sub/</a>'), "/sub/": move, "/log-in": b"who?"}
    if "example" in to:
        assert reasons(walked(pages)) == {"sub": Reason.UNREADABLE}  # that host is not there
        return
    pages = {**pages, "/log-in/": b"who?", "/other/": html('<a href="x">x</a>')}
    assert reasons(walked(pages)) == {"sub": Reason.LEADS_ELSEWHERE}


def test_a_root_that_is_redirected_is_no_listing() -> None:
    def move(request: Request, conversation: Conversation) -> None:
        conversation.answer(b"", "Location: /log-in?token=canary", status="302 Found")

    with pytest.raises(NotAListing, match="/log-in") as caught:
        walked({"/data/": move, "/log-in?token=canary": b"who?"}, "/data")
    assert "canary" not in str(caught.value)


def test_a_file_that_is_redirected_to_a_folder_elsewhere_leads_elsewhere() -> None:
    def move(request: Request, conversation: Conversation) -> None:
        conversation.answer(b"", "Location: /log-in/", status="302 Found")

    pages: Pages = {"/": html('<a href="a.csv">a.csv</a>'), "/a.csv": move, "/log-in/": b"who?"}
    assert reasons(walked(pages)) == {"a.csv": Reason.LEADS_ELSEWHERE}


JSON_ROW = '{"name": "good", "type": "file", "mtime": "Fri, 07 Nov 2025 12:30:40 GMT", "size": 5}'
HALF = "\\ud800"
MANY = "9" * 40
TOO_MANY = "9" * 5_000
GOOD_XML = '<file mtime="2025-11-07T12:30:40Z" size="5">good</file>'
BAD_ROWS = {
    "html: a tag torn in two": nginx(row("good"), '<a hr<a href="b">b</a>'),
    "html: a link without its beginning": nginx(row("good"), "oo</a>  07-Nov-2025 12:30   5"),
    "html: columns alone": nginx(row("good"), "   07-Nov-2025 12:30      5"),
    "html: columns alone behind a row in pieces": nginx(
        row("good", "<b>good</b>"), "  07-Nov-2025 12:30      5"
    ),
    "html: a reference that never ends": nginx(
        row("good"), '<a href="b>b</a> 07-Nov-2025 12:30 5', row("c")
    ),
    "html: another attribute in its place": nginx(row("good"), '<a hrf="b">b</a>'),
    "html: no size of any file": nginx(row("good"), row("bad").replace(" 5", f" {MANY}")),
    "html: half a character": nginx(row("good"), row("bad&#xD800;")),
    "html: no character": nginx(row("good"), row(f"bad&#{TOO_MANY};")),
    "html: caddy's size": html(f'<a href="bad">b</a><td data-size="{MANY}">', row("good")),
    "json: no name": f"[{JSON_ROW}, {JSON_ROW.replace('name', 'nam')}]".encode(),
    "json: no kind": f"[{JSON_ROW}, {JSON_ROW.replace('type', 'typ')}]".encode(),
    "json: another kind": f"[{JSON_ROW}, {JSON_ROW.replace('file', 'fil')}]".encode(),
    "json: no row": f"[{JSON_ROW}, 7]".encode(),
    "json: no size of any file": f"[{JSON_ROW}, {JSON_ROW.replace('5}', MANY)}}}]".encode(),
    "json: a size without end": f"[{JSON_ROW}, {JSON_ROW.replace('5}', TOO_MANY)}}}]".encode(),
    "json: half a character": f"[{JSON_ROW}, {JSON_ROW.replace('good', HALF)}]".encode(),
    "json: more behind the end": f"[{JSON_ROW}][".encode(),
    "json: caddy's name and address differ": (
        b'[{"name":"good","size":5,"url":"./good","mod_time":"2025-11-07T12:30:40Z","is_dir":false},'
        b'{"name":"bXad","size":5,"url":"./bad","mod_time":"2025-11-07T12:30:40Z","is_dir":false}]'
    ),
    "xml: an element of another name": f"<list>{GOOD_XML}<fil>b</fil></list>".encode(),
    "xml: a row in a row": f"<list>{GOOD_XML}<file><file>b</file></list>".encode(),
    "xml: text between the rows": f"<list>{GOOD_XML} b </list>".encode(),
    "xml: no size of any file": f"<list>{GOOD_XML}<file size='{MANY}'>b</file></list>".encode(),
    "xml: half a character": f"<list>{GOOD_XML}<file>&#xD800;</file></list>".encode(),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_row_that_is_not_understood_is_one_bad_row(name: str) -> None:
    seen = walked({"/": BAD_ROWS[name]})
    assert "good" in files(seen)
    assert "bad" not in files(seen)
    told = reasons(seen)
    assert Reason.UNREADABLE_ROW in told.values()
    assert all(path.isprintable() for path in told)


def test_a_row_that_shows_another_name_than_it_leads_to_is_asked_for() -> None:
    """A torn reference must not stand for a file that is there."""
    with opened({"/": nginx(row("good"), row("gone.csv", "one.csv"))}) as (transport, host):
        seen = list(transport.walk())
    assert files(seen) == ["good"]
    assert reasons(seen) == {"gone.csv": Reason.UNREADABLE}
    asked = sorted(each.target for each in host.requests if each.method == "HEAD")
    assert asked == ["/gone.csv", "/good"]  # over two connections, in no order


def test_rows_are_not_lost_where_files_tell_no_time() -> None:
    def timeless(request: Request, conversation: Conversation) -> None:
        conversation.answer(b"" if request.method == "HEAD" else b"hello")

    names = [f"{number:02}.csv" for number in range(20)]
    pages: Pages = {f"/{name}": timeless for name in names}
    assert files(walked({**pages, "/": nginx(*map(row, names))})) == names


def test_a_name_that_nginx_shows_in_part_is_believed() -> None:
    long = "x" * 80
    rows = (row("good"), row(long, long[:47] + "..&gt;"), row("a%20b", "a b"), row("%3Cb", "&lt;b"))
    with opened({"/": nginx(*rows)}) as (transport, host):
        assert files(list(transport.walk())) == ["<b", "a b", "good", long]
    assert sum(r.method == "HEAD" for r in host.requests) == 1


def test_a_file_that_cannot_be_described_is_asked_for_again() -> None:
    tries: list[str] = []

    def fail(request: Request, conversation: Conversation) -> None:
        tries.append(request.target)
        if len(tries) < 3:
            conversation.say(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        else:
            conversation.say(f"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{MOMENT}\r\n\r\n".encode())

    page = html('<a href="a">a</a>', '<a href="b">b</a>')
    assert files(walked({"/": page, "/a": fail})) == ["a", "b"]
    assert len(tries) == 3

    def never(request: Request, conversation: Conversation) -> None:
        tries.append(request.target)
        conversation.say(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")

    tries.clear()
    seen = walked({"/": page, "/a": never})
    assert files(seen) == ["b"]
    assert reasons(seen) == {"a": Reason.UNREADABLE}
    assert len(tries) == 3


def sending(head: str, body: bytes) -> Answer:
    def answer(request: Request, conversation: Conversation) -> None:
        conversation.say(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body)
        conversation.hang_up()

    return answer


def chunked(body: bytes) -> bytes:
    return b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"


ENDLESS = {
    "nginx": nginx(row("a"), row("b"))[:-7],
    "apache, an error in mid-page": html("<ul><li><a href='a'>a</a></li>")[:-7]
    + b"<html>500</html>",
    "go": b"<pre>\n<a href='a'>a</a>\n",
    "a comment": html("<a href='a'>a</a>")[:-14] + b"<!-- </body></html>",
    "in a tag": html("<a href='a'>a</a>")[:-1],
    "json": f"[{JSON_ROW},".encode(),
    "json, an object": b'{"directory":"x/","files":[{"base":"a","type":"file"}',
    "xml": b"<?xml version='1.0'?>\n<list>" + GOOD_XML.encode(),
    "xml, in a row": b"<?xml version='1.0'?>\n<list>" + GOOD_XML.encode() + b"<file size='5'>b",
    "s3, without its word on more": b"<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
    "s3, another count": (
        b"<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>2</KeyCount>"
        b"<Contents><Key>a</Key></Contents></ListBucketResult>"
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("framed", ["by its length", "by chunks"])
def test_a_page_without_its_end_is_a_cut_listing(name: str, framed: str) -> None:
    body = ENDLESS[name]
    if framed == "by chunks":
        answer = sending("Transfer-Encoding: chunked", chunked(body))
    else:
        answer = sending(f"Content-Length: {len(body)}", body)
    (cut,) = [i for i in walked({"/": answer}) if isinstance(i, Skipped) and i.path == ""]
    assert (cut.reason, cut.retryable) == (Reason.LISTING_CUT, True)
    below = walked({"/": html('<a href="sub/">sub/</a>'), "/sub/": answer})
    (cut,) = [i for i in below if isinstance(i, Skipped) and i.path == "sub"]
    assert (cut.reason, cut.retryable) == (Reason.LISTING_CUT, True)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Content-Length: 9000", html("<a href='a'>a</a>")),
        ("Transfer-Encoding: chunked", chunked(html("<a href='a'>a</a>"))[:-5]),
        ("Content-Length: 9000", f"[{JSON_ROW}]".encode()),
        ("X: y", html("<a href='a'>a</a>")[:-7]),
    ],
    ids=["length", "chunks", "json", "neither"],
)
def test_p5_a_page_that_ends_before_its_length_is_never_whole(head: str, body: bytes) -> None:
    """However whole its text looks."""
    answer = sending(head, body)
    with pytest.raises(Truncated):
        walked({"/": answer})
    seen = walked({"/": html('<a href="sub/">sub/</a>'), "/sub/": answer})
    (cut,) = [item for item in seen if isinstance(item, Skipped)]
    assert (cut.path, cut.reason, cut.retryable) == ("sub", Reason.LISTING_CUT, True)


@pytest.mark.parametrize(
    ("count", "told"), [(998, True), (999, False), (1_000, True), (1_001, False), (2_000, True)]
)
def test_a_round_number_of_rows_is_told(count: int, told: bool) -> None:
    rows = [row(f"f{n}") for n in range(count - 2)]
    page = nginx(*rows, '<a href="%2e%2e%2fx">refused</a>', '<a href="sub/">sub/</a>')
    seen = walked({"/": page, "/sub/": nginx()})
    rounds = [item for item in seen if isinstance(item, RoundListing)]
    assert rounds == ([RoundListing("", count)] if told else [])


def bucket(keys: list[str], *fields: str, truncated: bool = False) -> bytes:
    rows = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2025-11-07T12:30:40.000Z</LastModified>"
        f"<ETag>&quot;{key}&quot;</ETag><Size>5</Size><Owner><ID>x</ID></Owner></Contents>"
        for key in keys
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
        f"<MaxKeys>1000</MaxKeys><IsTruncated>{str(truncated).lower()}</IsTruncated>"
        f"{''.join(fields)}{rows}</ListBucketResult>"
    ).encode()


def test_a_bucket_is_listed_page_by_page() -> None:
    marker = "<NextMarker>b c&amp;d</NextMarker>"
    token = "<NextContinuationToken>1/2=</NextContinuationToken>"
    pages = {
        "/bucket/": bucket(["a", "b c&amp;d"], "<Prefix/>", marker, truncated=True),
        "/bucket/?marker=b%20c%26d": bucket(["sub/e", "sub/"], truncated=True),
        "/bucket/?marker=sub%2Fe": bucket(["sub/x/f"], token, truncated=True),
        "/bucket/?list-type=2&continuation-token=1%2F2%3D": bucket(["z"], "<KeyCount>1</KeyCount>"),
    }
    with opened(pages, root="/bucket") as (transport, host):
        seen = list(transport.walk())
        assert not [item for item in seen if not isinstance(item, RemoteEntry)]
        found = [item for item in seen if isinstance(item, RemoteEntry)]
        (answer,) = transport.fetch([found[2]], DigestSink())
    assert [item.path for item in found] == ["a", "b c&d", "sub/e", "sub/x/f", "z"]
    assert found[0] == RemoteEntry("a", 5, 1_762_518_640 * 10**9, '"a"')
    assert answer.error is None
    assert host.requests[-1].target == "/bucket/sub/e"


NEXT_PAGES: dict[str, Pages] = {
    "is missing": {},
    "fails": {"/?marker=a": lambda request, conversation: conversation.hang_up()},
    "is the same again": {"/?marker=a": bucket(["a"], truncated=True)},
    "is none": {"/?marker=a": b"who?"},
    "is denied": {"/?marker=a": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"},
}


@pytest.mark.parametrize("name", NEXT_PAGES)
def test_a_bucket_whose_next_page_cannot_be_had_is_cut(name: str) -> None:
    seen = walked({"/": bucket(["a"], truncated=True), **NEXT_PAGES[name]})
    assert files(seen) == ["a"]
    assert reasons(seen) == {"": Reason.LISTING_CUT}


def test_a_prefix_of_a_bucket_is_the_folder() -> None:
    """As a proxy lists a folder of a bucket."""
    fields = ("<Prefix>data/</Prefix>", "<Delimiter>/</Delimiter>")
    folder = "<CommonPrefixes><Prefix>data/sub/</Prefix></CommonPrefixes>"
    pages = {
        "/data/": bucket(["data/", "data/a", "other/b"], *fields, folder),
        "/data/sub/": bucket(["data/sub/c"], "<Prefix>data/sub/</Prefix>"),
    }
    seen = walked(pages, "/data")
    assert files(seen) == ["a", "sub/c"]
    assert list(reasons(seen).values()) == [Reason.UNREADABLE_ROW]


NO_LISTINGS = {
    "html without a link": b"<html><body><h1>It works!</h1></body></html>",
    "a page of a site": html('<a href="/">Home</a><a href="/help">Help</a>', title="Welcome"),
    "a log-in page": html('<a href="forgot">Forgot?</a><input TYPE="password">', title="Log in"),
    "text": b"hello",
    "nothing": b"",
    "blanks": b" \r\n",
    "an object of JSON": b'{"error": "who are you?"}',
    "rows of JSON of another form": b'[{"id": 1}, {"id": 2}]',
    "numbers": b"[1, 2, 3]",
    "files of another form": b'{"files": [{"id": 1}]}',
    "XML of another form": b'<?xml version="1.0"?><rss><channel/></rss>',
    "an error of a bucket": b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>',
    "UTF-16 without a mark": html('<a href="a">a</a>').decode().encode("utf-16-le"),
    "zeros": bytes(500),
}


@pytest.mark.parametrize("name", NO_LISTINGS)
def test_a_page_that_is_no_listing_is_told(name: str) -> None:
    body = NO_LISTINGS[name]
    with pytest.raises(NotAListing) as caught:
        walked({"/data/": body}, "/data")
    assert caught.value.shown.isprintable()
    assert len(caught.value.shown) <= 4 * 200 + 1  # each may be told by its code
    seen = walked({"/": html('<a href="sub/">sub/</a>'), "/sub/": body})
    assert reasons(seen)["sub"] is Reason.NOT_A_LISTING


def test_the_connection_test_shows_how_the_page_begins() -> None:
    page = b"<html>who are you?\0</html>" + b"x" * 400
    with scripted_http(site({"/": page})) as host:
        results = {r.stage.value: r for r in probe(HTTP_SPEC, host.target(), loopback_context())}
    assert results["list"].code == "not_a_listing"
    assert "<html>who are you?\\x00</html>xxx" in results["list"].detail
    assert results["list"].advice


def test_how_the_page_begins_tells_no_secret() -> None:
    mask = make_mask(["canary-canary"])
    assert mask is not None
    pages = {"/": b"<html>canary-canary, who are you?</html>"}
    with opened(pages) as (transport, _), pytest.raises(NotAListing) as caught:
        list(MaskedTransport(transport, mask).walk())
    assert "who are you?" in caught.value.shown
    assert "canary" not in caught.value.shown + str(caught.value)


EMPTY = {
    "nginx": (
        b'<html>\r\n<head><title>Index of /data/</title></head>\r\n<body>\r\n<h1>Index of /data/</h1><hr>'
        b'<pre><a href="../">../</a>\r\n</pre><hr></body>\r\n</html>\r\n'
    ),
    "apache": html('<ul><li><a href="/"> Parent Directory</a></li></ul>', title="Index of /data"),
    "python": html("<hr><ul></ul><hr>", title="Directory listing for /data/"),
    "go": b'<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n</pre>\n',
    "caddy": html('<a href="?sort=name&order=asc">Name</a>', title="/data/"),
    "caddy below": html('<a href="..">\n<span class="goup">Go up</span></a>', title="/data/"),
    "iis": html("<H1>host - /data/</H1><pre><A HREF='/'>[To Parent Directory]</A></pre>", title="x"),
    "tomcat": html("<table></table>", title="Directory Listing For [/data/]"),
    "jetty": html("<table></table>", title="Directory: /data/"),
    "serve": b'{"files":[{"type":"directory","base":"..","relative":"/"}],"directory":"data/","paths":[]}',
    "serve-index": b"[]",
    "nginx, json": b"[\r\n]",
    "nginx, xml": b'<?xml version="1.0"?>\r\n<list>\r\n</list>\r\n',
    "artifactory": b'{"repo":"r","path":"/data","children":[],"uri":"http://x/api/storage/r/data"}',
    "a bucket": bucket([]),
}  # fmt: skip


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_folder_is_an_empty_listing(name: str) -> None:
    assert walked({"/data/": EMPTY[name]}, "/data") == []


@pytest.mark.parametrize("coding", ["utf-16", "utf-8-sig"])
def test_a_page_with_a_byte_order_mark_is_read(coding: str) -> None:
    body = html(row("a"), '<a href="%C3%BC">ü</a>').decode().encode(coding)
    assert files(walked({"/": body})) == ["a", "ü"]
    assert files(walked({"/": f"[{JSON_ROW}]".encode(coding)})) == ["good"]


def test_nginx_rows_of_xml_are_read() -> None:
    body = (
        '<?xml version="1.0"?>\n<list>\n<directory mtime="2025-11-07T12:30:40Z">sub</directory>\n'
        '<other mtime="2025-11-07T12:30:40Z">pipe</other>\n'
        '<file mtime="2025-11-07T12:30:40Z" size="5">&lt;ü &amp; b</file>\n</list>\n'
    ).encode()
    with opened({"/": body, "/sub/": b"<list>\n</list>"}) as (transport, host):
        seen = list(transport.walk())
    assert [i for i in seen if isinstance(i, RemoteEntry)] == [
        RemoteEntry("<ü & b", 5, 1_762_518_640 * 10**9)
    ]
    assert reasons(seen) == {"pipe": Reason.SPECIAL}
    assert {request.method for request in host.requests} == {"GET"}


def test_files_of_artifactory_lie_beside_their_descriptions() -> None:
    children = '{"uri":"/a.jar","folder":false},{"uri":"/sub","folder":true}'
    top = '{"repo":"r","path":"/x","created":"2025","children":[%s],"uri":"http://y"}'
    pages = {
        "/art/api/storage/r/x/": (top % children).encode(),
        "/art/api/storage/r/x/sub/": (top % '{"uri":"/b","folder":false}').encode(),
    }
    with opened(pages, root="/art/api/storage/r/x") as (transport, host):
        seen = list(transport.walk())
        answers = list(
            transport.fetch([i for i in seen if isinstance(i, RemoteEntry)], DigestSink())
        )
    assert files(seen) == ["a.jar", "sub/b"]
    assert [answer.error for answer in answers] == [None, None]
    heads = sorted(r.target for r in host.requests if r.method == "HEAD")
    assert heads == ["/art/r/x/a.jar", "/art/r/x/sub/b"]


THREDDS = "http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0"


def catalog(*rows: str, name: str = "data", end: str = "</dataset></catalog>") -> bytes:
    """As THREDDS 5 writes it (`/thredds/catalog/data/catalog.xml`)."""
    services = (
        '<service name="all" serviceType="Compound" base="">'
        '<service name="odap" serviceType="OpenDAP" base="/thredds/dodsC/" />'
        '<service name="http" serviceType="HTTPServer" base="/thredds/fileServer/" /></service>'
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<catalog xmlns="{THREDDS}"'
        f' xmlns:xlink="http://www.w3.org/1999/xlink" name="{name}" version="1.2">{services}'
        f'<dataset name="{name}" ID="{name}"><metadata inherited="true"><serviceName>all</serviceName>'
        f"<documentation>What &lt;we&gt; serve</documentation></metadata>{''.join(rows)}{end}"
    ).encode()


def of_catalog(path: str) -> str:
    name = path.rpartition("/")[2]
    return f"""
        <dataset name="{name}" ID="{path}" urlPath="{path}">
          <dataSize units="Kbytes">1.2</dataSize><date type="modified">2025-11-07T12:30:40Z</date>
        </dataset>"""


def below(name: str, reference: str = "") -> str:
    href = reference or f"{name}/catalog.xml"
    return f'<catalogRef xlink:href="{href}" xlink:title="{name}" ID="x" name=""/>'


CATALOG = "/thredds/catalog/data/catalog.xml"


@pytest.mark.parametrize("root", [CATALOG, CATALOG.replace(".xml", ".html")])
def test_files_of_a_thredds_catalog_lie_below_its_http_service(root: str) -> None:
    pages: Pages = {
        CATALOG: catalog(below("sub"), of_catalog("data/a b &amp; ü.nc"), of_catalog("data/c.nc")),
        "/thredds/catalog/data/sub/catalog.xml": catalog(of_catalog("data/sub/d.nc"), name="sub"),
    }
    with opened(pages, root=root) as (transport, host):
        seen = list(transport.walk())
        found = [item for item in seen if isinstance(item, RemoteEntry)]
        answers = list(transport.fetch(found, DigestSink()))
    assert files(seen) == ["a b & ü.nc", "c.nc", "sub/d.nc"]
    assert reasons(seen) == {}
    assert [answer.error for answer in answers] == [None, None, None]
    fetched = sorted(
        r.target for r in host.requests if r.method == "GET" and "fileServer" in r.target
    )
    assert fetched == [
        "/thredds/fileServer/data/a%20b%20&%20%C3%BC.nc",
        "/thredds/fileServer/data/c.nc",
        "/thredds/fileServer/data/sub/d.nc",
    ]


def test_a_folder_of_a_catalog_that_failed_is_listed_again() -> None:
    sub = "/thredds/catalog/data/sub/catalog.xml"
    pages: dict[str, bytes | Answer] = {
        CATALOG: catalog(below("sub")),
        sub: failing("503 Busy"),
        sub.replace("sub", "sub/e"): catalog(of_catalog("data/sub/e/f.nc")),
    }
    with opened(pages, root=CATALOG) as (transport, _):
        assert reasons(list(transport.walk())) == {"sub": Reason.UNREADABLE}
        pages[sub] = catalog(below("e"), of_catalog("data/sub/d.nc"))
        seen = list(transport.walk_again("sub"))
        assert files(seen) == ["d.nc", "e/f.nc"]
        (answer,) = transport.fetch([RemoteEntry("sub/d.nc", 5, None)], DigestSink())
    assert answer.error is None


def test_what_a_catalog_keeps_elsewhere_is_told() -> None:
    rows = [
        of_catalog("data/a.nc"), of_catalog("other/b.nc"),
        below("c", "/thredds/catalog/far/catalog.xml"), below("d", "https://else.test/catalog.xml"),
    ]  # fmt: skip
    seen = walked({CATALOG: catalog(*rows)}, CATALOG)
    assert files(seen) == ["a.nc"]
    told = reasons(seen)
    assert {told[name] for name in ("b.nc", "c", "d")} == {Reason.LEADS_ELSEWHERE}


TORN = {
    "cut": (catalog(of_catalog("data/a.nc"), end=""), Reason.LISTING_CUT),
    "without a path": (catalog(of_catalog("data/a.nc"), '<dataset name="b.nc"/>'), Reason.UNREADABLE_ROW),
    "a tag without its sign": (catalog(of_catalog("data/a.nc"), of_catalog("data/b.nc").replace("<d", "d", 1)),
                               Reason.UNREADABLE_ROW),
    "another way of access": (catalog(of_catalog("data/a.nc"), '<access urlPath="x"/>'), Reason.UNREADABLE_ROW),
}  # fmt: skip


@pytest.mark.parametrize("name", TORN)
def test_a_torn_catalog_is_told(name: str) -> None:
    body, reason = TORN[name]
    assert reason in reasons(walked({CATALOG: body}, CATALOG)).values()


def test_a_catalog_of_no_files_is_an_empty_listing() -> None:
    assert walked({CATALOG: catalog()}, CATALOG) == []


@pytest.mark.parametrize("first", ["file", "folder"])
def test_a_file_and_a_folder_of_one_name_are_both_told(first: str) -> None:
    rows = [row("both"), '<a href="both/">both/</a>']
    if first == "folder":
        rows.reverse()
    seen = walked({"/": nginx(*rows), "/both/": nginx(row("inner"))})
    assert files(seen) == ["both", "both/inner"]


def failing(status: str, *fields: str) -> Answer:
    return lambda request, conversation: conversation.answer(b"", *fields, status=status)


def hanging(request: Request, conversation: Conversation) -> None:
    conversation.wait(30)


def hanging_in_the_middle(request: Request, conversation: Conversation) -> None:
    conversation.say(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n<html>")
    conversation.wait(30)


TROUBLES: dict[str, tuple[Answer, bool]] = {
    "busy": (failing("503 Busy"), True),
    "an error": (failing("500 No"), True),
    "a gateway": (failing("502 No"), True),
    "too late": (failing("408 No"), True),
    "hung up": (lambda request, conversation: conversation.hang_up(), True),
    "silent": (hanging, True),
    "silent in the middle": (hanging_in_the_middle, True),
    "denied": (failing("403 No"), False),
    "missing": (failing("404 No"), False),
    "no HTTP": (lambda request, conversation: conversation.say(b"SSH-2.0\r\n\r\n"), False),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_folder_that_fails_says_whether_to_ask_again(name: str) -> None:
    trouble, retryable = TROUBLES[name]
    page = html('<a href="sub/">sub/</a>', '<a href="a">a</a>')
    seen = walked({"/": page, "/sub/": trouble})
    assert files(seen) == ["a"]
    (skipped,) = [item for item in seen if isinstance(item, Skipped)]
    assert (skipped.path, skipped.reason) == ("sub", Reason.UNREADABLE)
    assert skipped.retryable is retryable


@pytest.mark.parametrize("status", ["429 Too Many", "503 Busy"])
def test_a_folder_that_says_how_long_to_wait_is_obeyed(status: str) -> None:
    with pytest.raises(Throttled):
        walked({"/": html('<a href="s/">s/</a>'), "/s/": failing(status, "Retry-After: 7")})


def test_a_root_that_never_answers_stalls() -> None:
    with pytest.raises(Stalled):
        walked({"/": hanging})


def test_a_folder_is_listed_again_below_the_first_root() -> None:
    pages = {"/r/": html('<a href="s/">s/</a>'), "/r/s/": html('<a href="a">a</a>')}
    with opened(pages, root="/r") as (transport, host):
        assert files(list(transport.walk())) == ["s/a"]
        again = list(transport.walk_again("s"))
        assert files(again) == ["a"]
        (answer,) = transport.fetch([RemoteEntry("s/a", 5, None)], DigestSink())
    assert answer.error is None
    assert host.requests[-1].target == "/r/s/a"


def fetched(pages: Pages, path: str) -> Fetched:
    with opened(pages) as (transport, _):
        (answer,) = transport.fetch([RemoteEntry(path, None, None)], DigestSink())
    assert answer.error is None
    return answer


def test_where_a_file_came_from_and_what_it_is_are_told() -> None:
    def move(request: Request, conversation: Conversation) -> None:
        conversation.answer(b"", "Location: /log-in?next=canary", status="302 Found")

    def log_in(request: Request, conversation: Conversation) -> None:
        conversation.answer(b"who?", "Content-Type: Text/HTML; charset=utf-8")

    pages: Pages = {"/a.csv": move, "/log-in?next=canary": log_in, "/b.csv": log_in}
    answer = fetched(pages, "a.csv")
    assert answer.landed is not None
    assert answer.landed.startswith("http://127.0.0.1:")
    assert answer.landed.endswith("/log-in")
    assert answer.content_type == "text/html"
    plain = fetched(pages, "b.csv")
    assert (plain.landed, plain.content_type) == (None, "text/html")
    untyped = fetched({}, "c")
    assert (untyped.landed, untyped.content_type) == (None, None)


def test_a_large_file_tells_so_too() -> None:
    def large(request: Request, conversation: Conversation) -> None:
        body = b"" if request.method == "HEAD" else b"x" * 100_000
        lines = "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 100000\r\n\r\n"
        conversation.say(lines.encode() + body)

    def move(request: Request, conversation: Conversation) -> None:
        conversation.answer(b"", "Location: /large", status="307 There")

    answer = fetched({"/a": move, "/large": large}, "a")
    assert answer.landed is not None
    assert answer.landed.endswith("/large")
    assert answer.content_type == "text/csv"
