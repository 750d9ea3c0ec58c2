"""WebDAV hosts that write names in odd ways, lie about folders, cut listings, or speak no WebDAV."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from connectors.models import Connector
from farends.contract import Patience, Reason, RemoteEntry, Seen, Skipped, Transport
from farends.errors import (
    AuthRefused,
    ConnectionStage,
    NotAListing,
    PermissionRefused,
    ProtocolViolation,
    RootMissing,
    Throttled,
    TransportError,
    Truncated,
)
from farends.names import decode
from farends.probe import probe
from farends.registry import get_spec
from farends.spec import Target
from farends.stages import StageOutcome
from farends.webdav.transport import WebdavOptions, WebdavSecret
from tests.hosts.apache import running_apache
from tests.hosts.scripted_http import Conversation, Request, ScriptedHttp, scripted_http
from tests.hosts.sinks import DigestSink, digest_of, loopback_context

SPEC = get_spec("webdav")
MOMENT = "Fri, 07 Nov 2025 12:30:40 GMT"
MODIFIED_NS = 1_762_518_640 * 10**9
Page = bytes | Callable[[Conversation], None]


def row(href: str, *, folder: bool = False, more: str = "") -> str:
    kind = "<collection/>" if folder else ""
    size = "" if folder else "<getcontentlength>5</getcontentlength>"
    told = f"<resourcetype>{kind}</resourcetype>{size}<getlastmodified>{MOMENT}</getlastmodified>{more}"
    return (
        f"<response><href>{href}</href><propstat><prop>{told}</prop>"
        "<status>HTTP/1.1 200 OK</status></propstat></response>"
    )


def listing(*rows: str, itself: str = "/dav/") -> bytes:
    body = "".join([row(itself, folder=True) if itself else "", *rows])
    return f'<?xml version="1.0"?>\n<multistatus xmlns="DAV:">{body}</multistatus>'.encode()


def refusing(status: str, *fields: str) -> Page:
    return lambda conversation: conversation.answer(b"", *fields, status=status)


def saying(*parts: bytes) -> Page:
    def say(conversation: Conversation) -> None:
        for part in parts:
            conversation.say(part)
        conversation.hang_up()

    return say


@contextlib.contextmanager
def opened(
    pages: Mapping[str, Page], secret: WebdavSecret | None = None, **options: Any
) -> Iterator[tuple[Transport, ScriptedHttp]]:
    """A folder is asked for with a slash, a file without one holds `hello`."""

    def script(request: Request, conversation: Conversation) -> None:
        page = pages.get(request.target)
        if request.method != "PROPFIND":
            conversation.answer(b"hello", f"Last-Modified: {MOMENT}")
        elif callable(page):
            page(conversation)
        elif page is None:
            conversation.answer(status="404 Not Found")
        else:
            conversation.answer(page, status="207 Multi-Status")

    with scripted_http(script) as host:
        made = WebdavOptions(tls=False, **{"root": "/dav", **options})
        target = Target("127.0.0.1", host.port, made, secret or WebdavSecret())
        transport = SPEC.open(target, loopback_context(idle_s=1.0))
        try:
            yield transport, host
        finally:
            transport.close()


def walked(pages: Mapping[str, Page], **options: Any) -> list[Seen]:
    with opened(pages, **options) as (transport, _):
        return list(transport.walk())


def files(seen: list[Seen]) -> list[str]:
    return sorted(item.path for item in seen if isinstance(item, RemoteEntry))


def skipped(seen: list[Seen]) -> dict[str, tuple[Reason, bool]]:
    return {item.path: (item.reason, item.retryable) for item in seen if isinstance(item, Skipped)}


NAMES = {
    "/dav/a.txt": "a.txt",
    "http://files.example/dav/a.txt": "a.txt",
    "https://other.example:8443/dav/a.txt": "a.txt",
    "//dav//a.txt": "a.txt",
    "/%64av/%61.txt": "a.txt",
    "a.txt": "a.txt",
    "/dav/100%25%20%23%3f;&amp;&lt;'": "100% #?;&<'",
    "/dav/gr%c3%bc%C3%9Fe": "grüße",
    "/dav/grüße": "grüße",
    "/dav/caf%e9-%ff": decode(b"caf\xe9-\xff"),
    "/dav/%2541": "%41",
    "/dav/a:b": "a:b",
    "\n  /dav/a.txt\n": "a.txt",
    "/dav/ends%20": "ends ",
}


@pytest.mark.parametrize("href", NAMES)
def test_names_are_read_in_every_form_that_hosts_write(href: str) -> None:
    name = NAMES[href]
    with opened({"/dav/": listing(row(href))}) as (transport, host):
        (entry,) = transport.walk()
        assert entry == RemoteEntry(name, 5, MODIFIED_NS)
        (answer,) = transport.fetch([entry], DigestSink())
        assert answer.receipt == digest_of(b"hello")
        (asked,) = [request for request in host.requests if request.method == "PROPFIND"]
        assert asked.fields["depth"] == "1"


UNREADABLE = {
    "no name": row(""),
    "another folder": row("/elsewhere/a.txt"),
    "a grandchild": row("/dav/b/a.txt"),
    "a query": row("/dav/a?b"),
    "a fragment": row("/dav/a#b"),
    "a line end": row("/dav/a\nb"),
    "another scheme": row("ftp://host/dav/a"),
    "a user name": row("http://me:word@host/dav/a"),
    "two names": row("/dav/a</href><href>/dav/b"),
    "no kind": "<response><href>/dav/a</href></response>",
    "a kind that is not granted": row("/dav/a").replace("200 OK", "403 No"),
    "a name without an end": row("/dav/" + "a" * 20_000),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_row_that_is_not_understood_makes_the_listing_incomplete(name: str) -> None:
    seen = walked({"/dav/": listing(UNREADABLE[name], row("/dav/good"))})
    assert files(seen) == ["good"]
    assert [reason for reason, _ in skipped(seen).values()] == [Reason.UNREADABLE_ROW]
    assert "word" not in str(seen)


@pytest.mark.parametrize("name", ["..", ".", "%2e%2e", "%2e%2e%2fx", "a%2fb", "a%00b", "x" * 256])
def test_n01_n03_n04_names_that_could_leave_the_folder_are_refused(name: str) -> None:
    seen = walked({"/dav/": listing(row(f"/dav/{name}"), row("/dav/good"))})
    assert files(seen) == ["good"]
    assert [reason for reason, _ in skipped(seen).values()] == [Reason.UNSAFE_NAME]


def test_folders_are_entered_with_and_without_a_slash_and_once_each() -> None:
    pages: dict[str, Page] = {
        "/dav/": listing(row("/dav/one/", folder=True), row("/dav/t%77o", folder=True)),
        "/dav/one/": listing(row("/dav/one/a"), itself="/dav/one"),
        "/dav/two/": listing(row("/dav/two/b"), itself="/dav/two/"),
    }
    with opened(pages) as (transport, host):
        assert files(list(transport.walk())) == ["one/a", "two/b"]
        assert len([request for request in host.requests if request.method == "PROPFIND"]) == 3
        assert len(host.threads) == 2  # one connection for the listing, one for files
        assert files(list(transport.walk_again("one"))) == ["a"]


FACTS = {
    "<getetag>\"a1\"</getetag>": RemoteEntry("a", 5, MODIFIED_NS, '"a1"'),
    "<getetag>W/\"a1\"</getetag>": RemoteEntry("a", 5, MODIFIED_NS),
    "<getetag>a1</getetag>": RemoteEntry("a", 5, MODIFIED_NS),
    "<getcontentlength>-1</getcontentlength>": RemoteEntry("a", None, MODIFIED_NS),
    "<getcontentlength>99999999999999999999</getcontentlength>": RemoteEntry("a", None, MODIFIED_NS),
    "<getlastmodified>yesterday</getlastmodified>": RemoteEntry("a", 5, None),
    "<getlastmodified>2025-11-07T12:30:40Z</getlastmodified>": RemoteEntry("a", 5, MODIFIED_NS),
    '<getcontentlength xmlns="other:">7</getcontentlength>': RemoteEntry("a", 5, MODIFIED_NS),
}  # fmt: skip


@pytest.mark.parametrize("fact", FACTS)
def test_h12_sizes_times_and_strong_etags_are_kept(fact: str) -> None:
    assert walked({"/dav/": listing(row("/dav/a", more=fact))}) == [FACTS[fact]]


def test_properties_that_the_host_does_not_have_say_nothing() -> None:
    """As Apache writes it: prefixes of its own, a second propstat for what is missing."""
    body = b"""<?xml version="1.0" encoding="utf-8"?>
<D:multistatus xmlns:D="DAV:" xmlns:ns0="DAV:">
<D:response xmlns:lp1="DAV:" xmlns:g0="DAV:"><D:href>/dav/</D:href>
<D:propstat><D:prop><lp1:resourcetype><D:collection/></lp1:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>
<D:propstat><D:prop><g0:getcontentlength/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response>
<D:response xmlns:lp1="DAV:"><D:href>/dav/a</D:href>
<D:propstat><D:prop><lp1:resourcetype/><lp1:getcontentlength>3</lp1:getcontentlength></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>
<D:propstat><D:prop><lp1:getcontentlength>9</lp1:getcontentlength></D:prop><D:status>HTTP/1.1 500 No</D:status></D:propstat></D:response>
</D:multistatus>
"""
    assert walked({"/dav/": body}) == [RemoteEntry("a", 3, None)]


WHOLE = listing(row("/dav/sub/a"), row("/dav/sub/b"), itself="/dav/sub/")
HEAD = b"HTTP/1.1 207 Multi-Status\r\n"
CUT: dict[str, Page] = {
    "by the connection": saying(HEAD + b"Content-Length: %d\r\n\r\n" % len(WHOLE), WHOLE[:-90]),
    "between two pieces": saying(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % 400, WHOLE[:400], b"\r\n"
    ),
    "by a host that says that this is all": lambda conversation: conversation.answer(
        WHOLE[:-90], status="207 Multi-Status"
    ),
}


@pytest.mark.parametrize("name", CUT)
def test_n14_a_listing_that_was_cut_never_counts_as_whole(name: str) -> None:
    top = listing(row("/dav/sub/", folder=True), row("/dav/good"))
    seen = walked({"/dav/": top, "/dav/sub/": CUT[name]})
    assert "good" in files(seen)
    assert skipped(seen) == {"sub": (Reason.LISTING_CUT, True)}
    with pytest.raises(Truncated):
        walked({"/dav/sub/": CUT[name]}, root="/dav/sub")


NO_LISTINGS: dict[str, Page] = {
    "a page": lambda conversation: conversation.answer(b"<html>Log in</html>"),
    "a page that says 207": b"<html><body>Log in</body></html>",
    "another page that says 207": b"<!DOCTYPE html><html>Log in</html>",
    "JSON": b'{"files": []}',
    "nothing": b"",
    "other XML": b'<multistatus xmlns="other:"></multistatus>',
    "no row": listing(itself=""),
    "the rows of another folder": listing(row("/other/a"), itself="/other/"),
    "no WebDAV": refusing("405 Method Not Allowed"),
    "no content": refusing("204 No Content"),
    "another place": refusing("302 Found", "Location: /log-in"),
}


@pytest.mark.parametrize("name", NO_LISTINGS)
def test_what_is_no_multistatus_is_no_listing(name: str) -> None:
    top = listing(row("/dav/sub/", folder=True), row("/dav/good"))
    log_in: Page = lambda conversation: conversation.answer(b"Log in")  # noqa: E731
    with pytest.raises(NotAListing):
        walked({"/dav/": NO_LISTINGS[name], "/log-in": log_in})
    seen = walked({"/dav/": top, "/dav/sub/": NO_LISTINGS[name], "/log-in": log_in})
    assert files(seen) == ["good"]
    assert skipped(seen)["sub"] == (Reason.NOT_A_LISTING, False)


def test_how_the_answer_begins_is_shown() -> None:
    with pytest.raises(NotAListing, match="It begins: <html>Log in") as told:
        walked({"/dav/": b"<html>Log in</html>"})
    assert told.value.shown == "<html>Log in</html>"


def test_apache_lists_every_name_and_refuses_one_folder(tmp_path: Path) -> None:
    """Apache serves as another user, who cannot enter the folders that pytest makes."""
    names = {b"a b%41#?;&<'\"", "grüße-日本語".encode(), b"caf\xe9-\xff", b"-rf", b"x" * 200}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        for below in ("one", "one/two", "denied"):
            (folder / below).mkdir()
            for name in names:
                Path(os.fsdecode(os.fsencode(folder / below) + b"/" + name)).write_bytes(b"hello")
        with running_apache(tmp_path, folder, dav=True) as port:
            target = Target("127.0.0.1", port, WebdavOptions(tls=False), WebdavSecret())
            with contextlib.closing(SPEC.open(target, loopback_context())) as transport:
                seen = list(transport.walk())
                entries = [item for item in seen if isinstance(item, RemoteEntry)]
                answers = list(transport.fetch(entries, DigestSink()))
    wanted = [f"{below}/{decode(name)}" for below in ("one", "one/two") for name in names]
    assert files(seen) == sorted(wanted)
    assert skipped(seen) == {"denied": (Reason.UNREADABLE, False)}
    assert {answer.receipt for answer in answers} == {digest_of(b"hello")}


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
HOSTILE = {
    "entities in entities": f'<!DOCTYPE m [<!ENTITY l0 "ha">{LAUGHS}]><multistatus xmlns="DAV:">&l9;',
    "a file of ours": '<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><multistatus xmlns="DAV:">&x;',
    "an address of ours": '<!DOCTYPE m SYSTEM "http://127.0.0.1:1/x.dtd"><multistatus xmlns="DAV:"/>',
    "an unknown entity": '<multistatus xmlns="DAV:"><response><href>&x;</href>',
    "an odd encoding": '<?xml version="1.0" encoding="utf-7"?><multistatus xmlns="DAV:"/>',
    "no encoding": '<?xml version="1.0" encoding="rot13"?><multistatus xmlns="DAV:"/>',
    "tags across": '<multistatus xmlns="DAV:"><response></multistatus></response>',
    "deep": '<multistatus xmlns="DAV:">' + "<a>" * 5_000,
    "many names": '<multistatus xmlns="DAV:">' + "".join(f"<a{n}/>" for n in range(20_000)),
    "a long tag": '<multistatus xmlns="DAV:"><a b="' + "c" * 3_000_000,
    "a long comment": '<multistatus xmlns="DAV:"><!--' + "c" * 3_000_000,
    "two listings": '<multistatus xmlns="DAV:"/><multistatus xmlns="DAV:"/>',
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_p14_xml_that_attacks_its_reader_fails_alone(name: str) -> None:
    with pytest.raises((ProtocolViolation, NotAListing)):
        walked({"/dav/": HOSTILE[name].encode()})


def test_n19_a_listing_without_an_end_is_read_in_bounded_memory() -> None:
    def endless(conversation: Conversation) -> None:
        conversation.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        piece = listing().removesuffix(b"</multistatus>")
        number = 0
        while conversation.wait(0):
            conversation.say(b"%x\r\n%s\r\n" % (len(piece), piece))
            number += 1
            piece = "".join(row(f"/dav/{number}-{n}") for n in range(100)).encode()

    with opened({"/dav/": endless}) as (transport, _):
        walk = iter(transport.walk())
        assert len({next(walk).path for _ in range(20_000)}) == 20_000
        walk.close()  # type: ignore[attr-defined]


FAILING = {
    "403 Forbidden": (Reason.UNREADABLE, False),
    "404 Not Found": (Reason.UNREADABLE, False),
    "401 Unauthorized": (Reason.UNREADABLE, False),
    "423 Locked": (Reason.UNREADABLE, False),
    "500 Error": (Reason.UNREADABLE, True),
    "503 Later": (Reason.UNREADABLE, True),
}


@pytest.mark.parametrize("status", FAILING)
def test_n15_a_folder_that_fails_is_told_and_the_rest_listed(status: str) -> None:
    top = listing(row("/dav/sub/", folder=True), row("/dav/good"))
    by_itself = listing(row("/dav/good")).replace(
        b"</multistatus>",
        f"<response><href>/dav/sub/</href><status>HTTP/1.1 {status}</status></response></multistatus>".encode(),
    )
    for pages in ({"/dav/": top, "/dav/sub/": refusing(status)}, {"/dav/": by_itself}):
        seen = walked(pages)
        assert files(seen) == ["good"]
        assert skipped(seen) == {"sub": FAILING[status]}


@pytest.mark.parametrize("refusal", [
    refusing("503 Later", "Retry-After: 30"), refusing("429 Too many"),
])  # fmt: skip
def test_h18_a_host_that_asks_for_less_stops_the_listing(refusal: Page) -> None:
    top = listing(row("/dav/sub/", folder=True))
    with pytest.raises(Throttled):
        walked({"/dav/": top, "/dav/sub/": refusal})


def test_a_host_that_hangs_up_on_every_folder_has_failed() -> None:
    top = listing(*(row(f"/dav/{n}/", folder=True) for n in range(50)))
    pages: dict[str, Page] = {f"/dav/{n}/": saying() for n in range(50)}
    with opened({"/dav/": top, **pages}) as (transport, host):
        with pytest.raises(TransportError, match="ended"):
            list(transport.walk())
        assert len(host.requests) < 12


ROOTS: dict[str, tuple[Page, type[TransportError]]] = {
    "gone": (refusing("404 Not Found"), RootMissing),
    "a file": (listing(row("/dav"), itself=""), RootMissing),
    "refused": (refusing("403 Forbidden"), PermissionRefused),
    "not logged in": (refusing("401 Unauthorized"), AuthRefused),
}


@pytest.mark.parametrize("name", ROOTS)
def test_a_root_that_cannot_be_listed_is_told(name: str) -> None:
    page, error = ROOTS[name]
    with pytest.raises(error):
        walked({"/dav/": page})


@pytest.mark.parametrize("auth", ["basic", "digest", "bearer"])
def test_p13_the_secret_is_shown_as_the_option_says_and_to_no_other_host(auth: str) -> None:
    strange: list[Request] = []

    def elsewhere(request: Request, conversation: Conversation) -> None:
        strange.append(request)
        conversation.answer(b"")

    def page(conversation: Conversation) -> None:
        request = host.requests[-1]
        if "authorization" not in request.fields:
            challenge = 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'
            conversation.answer(b"", challenge, status="401 Unauthorized")
        else:
            body = listing(row("/dav/sub/", folder=True), row("/dav/a"))
            conversation.answer(body, status="207 Multi-Status")

    secret = WebdavSecret(password="canary", token="canary")
    with scripted_http(elsewhere) as other:
        away = refusing("302 Found", f"Location: http://127.0.0.1:{other.port}/dav/sub/")
        pages = {"/dav/": page, "/dav/sub/": away}
        with opened(pages, secret, username="me", auth=auth) as (transport, host):
            seen = list(transport.walk())
            assert files(seen) == ["a"]
            assert skipped(seen)["sub"][0] in (Reason.UNREADABLE, Reason.NOT_A_LISTING)
            proof = host.requests[-1].fields["authorization"]
            assert proof.lower().startswith(auth)
    assert all("authorization" not in request.fields for request in strange)


def test_p13_a_secret_that_was_stored_for_tls_is_not_sent_without_it() -> None:
    def endpoint(**options: object) -> str:
        return Connector(kind="webdav", host="Host", port=443, options=options).endpoint

    assert endpoint() == endpoint(tls=True) == "webdav://host:443"
    assert endpoint(tls=False) != endpoint(tls=True)


def test_the_connection_test_says_what_the_host_makes_of_the_log_in() -> None:
    def script(request: Request, conversation: Conversation) -> None:
        if "authorization" in request.fields:
            body = listing(row("/dav/a"))
            conversation.answer(body, f"Last-Modified: {MOMENT}", status="207 Multi-Status")
        else:
            conversation.answer(status="401 Unauthorized")

    with scripted_http(script) as host:

        def test(auth: Any) -> dict[ConnectionStage, tuple[StageOutcome, str]]:
            options = WebdavOptions(root="/dav", tls=False, username="me", auth=auth)
            target = Target("127.0.0.1", host.port, options, WebdavSecret(password="x"))
            results = probe(SPEC, target, loopback_context())
            return {result.stage: (result.outcome, result.detail) for result in results}

        told = test("basic")
        assert told[ConnectionStage.LOG_IN] == (
            StageOutcome.PASSED,
            "the host answered 207 to the log-in by basic",
        )
        assert told[ConnectionStage.LIST] == (StageOutcome.PASSED, "1 files")
        assert test("none")[ConnectionStage.LOG_IN][0] is StageOutcome.FAILED


def test_h06_a_host_that_drips_its_listing_is_stalled() -> None:
    def drip(conversation: Conversation) -> None:
        conversation.say(HEAD + b"Content-Length: 100000\r\n\r\n")
        while conversation.wait(0.1):
            conversation.say(b" ")

    assert Patience().idle_s > 1.0
    with pytest.raises(TransportError, match="under 1024 bytes"):
        walked({"/dav/": drip})
