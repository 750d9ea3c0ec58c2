"""HTTP hosts that lie, drip, redirect or break the protocol (docs/promises.md: H, P13)."""

from __future__ import annotations

import ssl
import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from embedded.ports import find_free
from farends.contract import (
    Context,
    Fetched,
    Patience,
    Reason,
    RemoteEntry,
    Skipped,
    Transport,
)
from farends.dialing import Dialer, Policy
from farends.errors import (
    AuthConfig,
    AuthRefused,
    ConnectionLost,
    PermissionRefused,
    ProtocolViolation,
    Stalled,
    Throttled,
    TlsRefused,
    TransportError,
    Truncated,
    Unreachable,
    Unstable,
    Vanished,
)
from farends.http.transport import HTTP_SPEC, HTTPS_SPEC, HttpOptions, HttpSecret
from farends.http.validators import proves_content
from farends.spec import Target
from tests.holding import nothing_left_held
from tests.hosts.certificates import make_certificates
from tests.hosts.scripted_http import Conversation, Request, Script, scripted_http
from tests.hosts.sinks import DigestSink, digest_of, loopback_context
from tests.scale.rss import rss_growth

ROOT = PurePosixPath("/")


def opened(target: Target, context: Context | None = None) -> Transport:
    return HTTP_SPEC.open(target, context or loopback_context())


def fetch_one(
    script: Script, size: int | None, context: Context | None = None
) -> tuple[Fetched, DigestSink]:
    sink = DigestSink()
    with scripted_http(script) as host:
        transport = opened(host.target(), context)
        try:
            (answer,) = transport.fetch([RemoteEntry("file", size, None)], sink)
        finally:
            transport.close()
    assert not sink.left_open
    return answer, sink


def saying(*parts: bytes) -> Script:
    """Says these bytes to every request and hangs up."""

    def script(request: Request, conversation: Conversation) -> None:
        for part in parts:
            conversation.say(part)
        conversation.hang_up()

    return script


def answering(*fields: str, body: bytes = b"hello", status: str = "200 OK") -> Script:
    return lambda request, conversation: conversation.answer(body, *fields, status=status)


def test_h01_a_body_shorter_than_its_length_is_truncated() -> None:
    answer, _ = fetch_one(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhello"), 20)
    assert isinstance(answer.error, Truncated)
    assert answer.receipt is None


@pytest.mark.parametrize("body", [b"5\r\nhello\r\n", b"5\r\nhel", b"5\r\nhello\r\n0\r\n"])
@pytest.mark.parametrize("size", [5, None])
def test_h03_chunks_without_an_end_are_truncated(body: bytes, size: int | None) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer, _ = fetch_one(saying(head, body), size)
    assert isinstance(answer.error, Truncated)


def test_chunks_are_put_together() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nLast-Modified: x\r\n\r\n"
    answer, _ = fetch_one(
        saying(head, b"5;x=y\r\nhello\r\n", b"1\r\n!\r\n0\r\nTrailer: z\r\n\r\n"), 6
    )
    assert answer.receipt == digest_of(b"hello!")


@pytest.mark.parametrize(
    "fields",
    [
        "Content-Length: -5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 99999999999999999999",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "Content-Length : 5",
        " folded: 1\r\nContent-Length: 5",
    ],
)
def test_h04_a_length_that_is_no_length_is_a_violation(fields: str) -> None:
    answer, _ = fetch_one(saying(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello".encode()), 5)
    assert isinstance(answer.error, ProtocolViolation)


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"\0" * 70_000]
)
def test_what_is_no_http_is_a_violation(said: bytes) -> None:
    answer, _ = fetch_one(saying(said), 5)
    assert isinstance(answer.error, ProtocolViolation)


def test_a_body_without_length_counts_only_against_the_listing() -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    assert fetch_one(saying(head + b"hello"), 5)[0].receipt == digest_of(b"hello")
    assert isinstance(fetch_one(saying(head + b"hell"), 5)[0].error, Truncated)
    assert isinstance(fetch_one(saying(head + b"hello!"), 5)[0].error, Unstable)
    assert isinstance(fetch_one(saying(head + b"hello"), None)[0].error, ProtocolViolation)


def dripping(*, head: bytes, drop: bytes) -> Script:
    def script(request: Request, conversation: Conversation) -> None:
        conversation.say(head)
        while conversation.wait(0.05):
            conversation.say(drop)

    return script


@pytest.mark.parametrize(
    "script",
    [
        dripping(head=b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n", drop=b"x"),
        dripping(head=b"HTTP/1.1 200 OK\r\nX: ", drop=b"x"),
        dripping(head=b"", drop=b"HTTP/1.1 100 Continue\r\n\r\n"),
        dripping(head=b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n", drop=b""),
    ],
    ids=["body", "head", "continue", "silence"],
)
def test_h06_a_drip_is_stalled_by_the_clock(script: Script) -> None:
    answer, _ = fetch_one(script, 5_000_000, loopback_context(idle_s=1.0))
    assert isinstance(answer.error, Stalled)


def test_a_host_that_never_answers_stalls_the_whole_work() -> None:
    with pytest.raises(Stalled):
        fetch_one(dripping(head=b"", drop=b""), 5, loopback_context(idle_s=1.0))


def test_a_host_that_only_hangs_up_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionLost):
        fetch_one(saying(b""), 5)


def test_one_dripping_file_does_not_hold_up_the_others() -> None:
    def script(request: Request, conversation: Conversation) -> None:
        if request.target == "/7":
            conversation.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nh")
            conversation.wait(30)
        else:
            conversation.answer(b"hello")

    with scripted_http(script) as host:
        transport = opened(host.target(), loopback_context(idle_s=1.0))
        entries = [RemoteEntry(str(n), 5, None) for n in range(200)]
        answers = {a.entry.path: a for a in transport.fetch(entries, DigestSink())}
        transport.close()
    assert isinstance(answers.pop("7").error, Stalled)
    assert all(a.receipt == digest_of(b"hello") for a in answers.values())
    assert len(answers) == 199


def test_h08_only_the_files_own_bytes_are_taken() -> None:
    answer, sink = fetch_one(answering("Content-Encoding: gzip"), 5)
    assert isinstance(answer.error, ProtocolViolation)
    assert [receiver.written_bytes for receiver in sink.receivers] == [0]
    with scripted_http(answering()) as host:
        transport = opened(host.target())
        list(transport.fetch([RemoteEntry("file", 5, None)], DigestSink()))
        transport.close()
    assert host.requests[0].fields["accept-encoding"] == "identity"


RANGES = {
    "the rest": ("206 Partial", "Content-Range: bytes 3-7/8", b"defgh", None),
    "the whole": ("200 OK", "X: y", b"abcdefgh", None),
    "another part": ("206 Partial", "Content-Range: bytes 2-7/8", b"cdefgh", ProtocolViolation),
    "no range": ("206 Partial", "X: y", b"defgh", ProtocolViolation),
    "less than the rest": ("206 Partial", "Content-Range: bytes 3-5/8", b"def", ProtocolViolation),
    "of a longer file": ("206 Partial", "Content-Range: bytes 3-8/9", b"defghi", Unstable),
    "of a shorter file": ("416 No", "Content-Range: bytes */2", b"", Unstable),
}


@pytest.mark.parametrize("name", RANGES)
def test_h10_a_partial_file_goes_on_only_where_the_rest_fits(name: str) -> None:
    status, field, body, error = RANGES[name]
    sink = DigestSink(held={"file": b"abc"})
    with scripted_http(answering(field, body=body, status=status)) as host:
        transport = opened(host.target())
        (answer,) = transport.fetch([RemoteEntry("file", 8, None, '"1"')], sink)
        transport.close()
    assert host.requests[0].fields["range"] == "bytes=3-"
    assert host.requests[0].fields["if-range"] == '"1"'
    if error is None:
        assert answer.receipt == digest_of(b"abcdefgh")
    else:
        assert isinstance(answer.error, error)
    assert not sink.left_open


MODIFIED_S = 1_700_000_001
# As nginx, Apache, Caddy and Go's WebDAV make them, and in plain figures.
OF_SIZE_AND_TIME = [
    '"6553f101-8"',
    f'"8-{MODIFIED_S * 10**6 + 123_456:x}"',
    '"s44we98"',
    f'"{MODIFIED_S * 10**9 + 123_456_789:x}8"',
    '"8"',
    '"1700000001"',
    '"1700000001-8"',
]


@pytest.mark.parametrize("etag", [None, *OF_SIZE_AND_TIME])
def test_a_validator_of_size_and_time_alone_joins_nothing(etag: str | None) -> None:
    """The file was replaced by one of the same size and time, so the host finds its ETag unchanged."""

    def script(request: Request, conversation: Conversation) -> None:
        part = "range" in request.fields
        fields = [f"ETag: {etag}"] * (etag is not None)
        if part:
            fields.append("Content-Range: bytes 3-7/8")
        body = b"new file"[3:] if part else b"new file"
        conversation.answer(body, *fields, status="206 Partial" if part else "200 OK")

    sink = DigestSink(held={"file": b"old"})
    entry = RemoteEntry("file", 8, MODIFIED_S * 10**9, etag)
    with scripted_http(script) as host:
        transport = opened(host.target())
        (answer,) = transport.fetch([entry], sink)
        transport.close()
    assert answer.receipt == digest_of(b"new file")


@pytest.mark.parametrize("etag", ['"1"', '"d41d8cd98f00b204e9800998ecf8427e"', '"2-6553f101-8"'])
def test_a_validator_that_tells_more_is_asked_by(etag: str) -> None:
    assert proves_content(RemoteEntry("file", 8, MODIFIED_S * 10**9, etag))


def test_a_part_of_another_file_than_was_asked_for_is_not_joined() -> None:
    script = answering(
        "Content-Range: bytes 3-7/8", 'ETag: "2"', body=b"defgh", status="206 Partial"
    )
    sink = DigestSink(held={"file": b"abc"})
    with scripted_http(script) as host:
        transport = opened(host.target())
        (answer,) = transport.fetch([RemoteEntry("file", 8, None, '"1"')], sink)
        transport.close()
    assert isinstance(answer.error, Unstable)
    assert sink.receivers[0].offset == 0  # the next try starts again


def test_h12_only_strong_etags_are_kept() -> None:
    assert fetch_one(answering('ETag: W/"1"'), 5)[0].observed == RemoteEntry("file", 5, None)
    strong, _ = fetch_one(answering('ETag: "1"'), 5)
    assert strong.observed == RemoteEntry("file", 5, None, '"1"')


CREDENTIALS = [
    (HttpOptions(auth="basic", username="u"), HttpSecret(password="canary"), "authorization"),
    (HttpOptions(auth="bearer"), HttpSecret(token="canary"), "authorization"),
    (HttpOptions(auth="header", header_name="X-API-Key"), HttpSecret(token="canary"), "x-api-key"),
]


@pytest.mark.parametrize(("options", "secret", "field"), CREDENTIALS)
def test_h14_credentials_stay_with_their_origin(
    options: HttpOptions, secret: HttpSecret, field: str
) -> None:
    with scripted_http(answering()) as other:
        move = answering(f"Location: http://127.0.0.1:{other.port}/x", status="302 Found")
        with scripted_http(move) as host:
            transport = opened(Target("127.0.0.1", host.port, options, secret))
            (answer,) = transport.fetch([RemoteEntry("file", 5, None)], DigestSink())
            transport.close()
    assert answer.receipt == digest_of(b"hello")
    assert field in host.requests[0].fields
    assert field not in other.requests[0].fields
    assert "canary" not in str(other.requests)


def test_h14_a_redirect_on_the_same_origin_keeps_them() -> None:
    def script(request: Request, conversation: Conversation) -> None:
        if request.target == "/file":
            conversation.answer(b"", "Location: moved", status="301 Moved")
        else:
            conversation.answer(b"hello")

    with scripted_http(script) as host:
        transport = opened(host.target(auth="bearer", secret=HttpSecret(token="t")))
        (answer,) = transport.fetch([RemoteEntry("file", 5, None)], DigestSink())
        transport.close()
    assert answer.receipt == digest_of(b"hello")
    assert [r.fields["authorization"] for r in host.requests] == ["Bearer t"] * 2


@pytest.mark.parametrize(
    "location",
    ["/file", "ftp://127.0.0.1/x", "http://user@127.0.0.1/x", "file:///etc/passwd", "http://[::1"],
)
def test_h14_loops_and_strange_schemes_end(location: str) -> None:
    answer, _ = fetch_one(answering(f"Location: {location}", status="302 Found"), 5)
    assert isinstance(answer.error, ProtocolViolation)


@pytest.mark.parametrize("address", ["169.254.169.254", "[::ffff:169.254.169.254]", "10.1.2.3"])
def test_p13_a_redirect_is_dialled_under_the_same_policy(address: str) -> None:
    script = answering(f"Location: http://{address}/latest", status="302 Found")
    answer, _ = fetch_one(script, 5)
    assert answer.error is not None
    assert answer.error.code == "network_forbidden"


def test_h15_netrc_and_proxies_of_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{find_free()}")
    with scripted_http(answering()) as host:
        transport = opened(host.target())
        (answer,) = transport.fetch([RemoteEntry("file", 5, None)], DigestSink())
        transport.close()
    assert answer.receipt == digest_of(b"hello")
    assert "authorization" not in host.requests[0].fields


@pytest.fixture
def server_tls(tmp_path: Path) -> Callable[..., tuple[ssl.SSLContext, str]]:
    def make(name: str = "127.0.0.1") -> tuple[ssl.SSLContext, str]:
        made = make_certificates(tmp_path, name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.server)
        return context, made.authority

    return make


def test_h16_a_private_authority_is_trusted_when_it_is_named(
    server_tls: Callable[..., tuple[ssl.SSLContext, str]],
) -> None:
    tls, authority = server_tls()
    with scripted_http(answering(), tls) as host:
        transport = HTTPS_SPEC.open(host.tls_target(authority), loopback_context())
        (answer,) = transport.fetch([RemoteEntry("file", 5, None)], DigestSink())
        transport.close()
    assert answer.receipt == digest_of(b"hello")


def test_h16_bad_certificates_are_refused(
    server_tls: Callable[..., tuple[ssl.SSLContext, str]],
) -> None:
    tls, authority = server_tls()
    with scripted_http(answering(), tls) as host:
        for target in (host.tls_target(""), host.tls_target(authority, "localhost")):
            with pytest.raises(TlsRefused) as caught:
                HTTPS_SPEC.open(target, loopback_context())
            assert not caught.value.retryable
    with scripted_http(saying(b"no tls")) as plain, pytest.raises(TransportError):
        HTTPS_SPEC.open(plain.tls_target(authority), loopback_context(log_in_s=1.0))
    with pytest.raises(TlsRefused):
        HTTPS_SPEC.open(plain.tls_target("no PEM"), loopback_context())


def test_h16_an_old_tls_version_is_refused(
    server_tls: Callable[..., tuple[ssl.SSLContext, str]],
) -> None:
    tls, authority = server_tls()
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        tls.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with scripted_http(answering(), tls) as host, pytest.raises(TlsRefused):
        HTTPS_SPEC.open(host.tls_target(authority), loopback_context())


def test_h14_https_never_goes_down_to_http(
    server_tls: Callable[..., tuple[ssl.SSLContext, str]],
) -> None:
    tls, authority = server_tls()
    with scripted_http(answering()) as plain:
        move = answering(f"Location: http://127.0.0.1:{plain.port}/", status="302 Found")
        with scripted_http(move, tls) as host:
            transport = HTTPS_SPEC.open(host.tls_target(authority), loopback_context())
            (answer,) = transport.fetch([RemoteEntry("file", 5, None)], DigestSink())
            transport.close()
    assert isinstance(answer.error, TlsRefused)
    assert not plain.requests


@pytest.mark.parametrize("status", ["429 Too Many", "503 Unavailable"])
def test_h18_a_throttling_host_is_obeyed(status: str) -> None:
    with scripted_http(answering("Retry-After: 7", status=status)) as host:
        transport = opened(host.target())
        for work in (
            lambda: list(transport.walk()),
            lambda: list(transport.fetch([RemoteEntry("file", 5, None)], DigestSink())),
        ):
            with pytest.raises(Throttled) as caught:
                work()
            assert caught.value.retry_after_s == 7
        transport.close()


@pytest.mark.parametrize(
    ("status", "error"), [("401 No", AuthRefused), ("403 No", PermissionRefused)]
)
def test_a_root_that_refuses_says_why(status: str, error: type[TransportError]) -> None:
    with scripted_http(answering(status=status)) as host:
        transport = opened(host.target())
        with pytest.raises(error):
            list(transport.walk())
        transport.close()


def test_digest_log_in_answers_the_challenge() -> None:
    def script(request: Request, conversation: Conversation) -> None:
        if "authorization" in request.fields:
            conversation.answer(b"hello")
        else:
            challenge = (
                'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'
            )
            conversation.answer(b"", challenge, status="401 Unauthorized")

    with scripted_http(script) as host:
        secret = HttpSecret(password="canary")
        transport = opened(host.target(auth="digest", username="u", secret=secret))
        entries = [RemoteEntry(str(n), 5, None) for n in range(40)]
        answers = list(transport.fetch(entries, DigestSink()))
        transport.close()
    assert all(a.receipt == digest_of(b"hello") for a in answers)
    assert "canary" not in str(host.requests)


@pytest.mark.parametrize("token", ["", "two\r\nX-Injected: yes", "ü"])
def test_a_token_that_no_header_carries_is_refused_unsaid(token: str) -> None:
    target = Target("127.0.0.1", 9, HttpOptions(auth="bearer"), HttpSecret(token=token))
    with pytest.raises(AuthConfig) as caught:
        opened(target)
    assert "Injected" not in str(caught.value)


def page(*hrefs: str) -> bytes:
    return b"<html>" + "".join(f'<a href="{h}">x</a>\n' for h in hrefs).encode() + b"</html>"


def test_n01_only_direct_children_are_taken() -> None:
    hrefs = [
        "../", "/", "?C=N", "#top", "mailto:a@b", "http://other.example/x", "deep/er", "/folder2/x",
        "%2e%2e%2fx", "../../x", "a/../../x", "%2e%2e", "nul%00name", "", "good", "./also", "/root/abs",
        "%2e",
    ]  # fmt: skip

    def script(request: Request, conversation: Conversation) -> None:
        conversation.answer(page(*hrefs) if request.target == "/root/" else b"12345")

    with scripted_http(script) as host:
        transport = opened(host.target("/root"))
        items = list(transport.walk())
        transport.close()
    assert sorted(i.path for i in items if isinstance(i, RemoteEntry)) == ["abs", "also", "good"]
    refused = [i for i in items if isinstance(i, Skipped) and i.reason is Reason.UNSAFE_NAME]
    assert len(refused) == 6
    assert all("\0" not in i.path and "/" not in i.path for i in refused)
    elsewhere = {i.path for i in items if isinstance(i, Skipped)} - {i.path for i in refused}
    assert elsewhere == {"x", "deep/er", "er"}  # where files of these names would be


def test_n14_a_page_that_is_cut_off_never_counts_as_whole() -> None:
    half = page("a", "b")[:-12]
    with scripted_http(saying(b"HTTP/1.1 200 OK\r\n\r\n" + half)) as host:
        transport = opened(host.target())
        with pytest.raises(Truncated):
            list(transport.walk())
        transport.close()


def test_n19_a_huge_page_is_read_as_it_comes() -> None:
    rows = b"".join(b'<a href="f%06d">f%06d</a>\n' % (n, n) for n in range(1000))

    def script(request: Request, conversation: Conversation) -> None:
        if request.method == "HEAD":
            conversation.say(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
            return
        conversation.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for turn in range(10):
            data = rows.replace(b'"f', b'"g%d' % turn)
            conversation.say(b"%x\r\n" % len(data) + data + b"\r\n")
        conversation.say(b"0\r\n\r\n")

    with scripted_http(script) as host:
        transport = opened(host.target())
        tracemalloc.start()
        count = sum(isinstance(seen, RemoteEntry) for seen in transport.walk())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        transport.close()
    assert count == 10_000
    assert peak < 40 * 1024 * 1024


def test_an_explicit_list_reads_no_index_page() -> None:
    with scripted_http(answering('ETag: "1"')) as host:
        urls = (
            "/a/b.txt",
            f"http://127.0.0.1:{host.port}/c%20d",
            "http://other.example/x",
            "/q?x=1",
        )
        transport = opened(host.target(urls=urls))
        items = list(transport.walk())
        answers = list(
            transport.fetch([i for i in items if isinstance(i, RemoteEntry)], DigestSink())
        )
        transport.close()
    assert {i.path for i in items if isinstance(i, RemoteEntry)} == {"a/b.txt", "c d"}
    assert sum(isinstance(i, Skipped) for i in items) == 2
    assert [a.error for a in answers] == [None, None]
    assert {r.target for r in host.requests} == {"/a/b.txt", "/c%20d"}


def test_a_host_that_closes_after_each_answer_is_asked_again() -> None:
    def script(request: Request, conversation: Conversation) -> None:
        conversation.answer(b"hello")
        conversation.hang_up()

    with scripted_http(script) as host:
        transport = opened(host.target())
        entries = [RemoteEntry(str(n), 5, None) for n in range(100)]
        answers = list(transport.fetch(entries, DigestSink()))
        transport.close()
    assert len(answers) == 100
    assert all(a.receipt == digest_of(b"hello") for a in answers)


def test_nobody_at_the_port_is_unreachable() -> None:
    with pytest.raises(Unreachable):
        opened(Target("127.0.0.1", find_free(), HttpOptions(), HttpSecret()))


def test_a_host_outside_the_allowed_networks_is_never_dialled() -> None:
    with scripted_http(answering()) as host:
        context = Context(Dialer(Policy()), Patience())
        for name in ("127.0.0.1", "localhost", "127.1", "0x7f000001", "::ffff:127.0.0.1"):
            with pytest.raises(TransportError) as caught:
                opened(Target(name, host.port, HttpOptions(), HttpSecret()), context)
            assert caught.value.code == "network_forbidden"
    assert not host.requests


def index_of(rows: int, *, hour: int) -> bytes:
    lines = "".join(
        f'<a href="f{n}">f{n}</a>   07-Nov-2025 {hour:02}:30      5\n' for n in range(rows)
    )
    return f"<html><pre><a href='../'>../</a>\n{lines}</pre></html>".encode()


@pytest.mark.parametrize(
    ("hour", "heads"), [(12, 1), (13, 20)], ids=["rows in UTC", "rows in another zone"]
)
def test_times_of_rows_are_believed_once_a_file_confirms_them(hour: int, heads: int) -> None:
    """A row does not tell its zone: one file's own answer does, else every file is asked."""
    asked: list[str] = []

    def script(request: Request, conversation: Conversation) -> None:
        asked.append(request.method)
        if request.method == "GET":
            conversation.answer(index_of(20, hour=hour), "Content-Type: text/html")
        else:
            conversation.say(
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
                b"Last-Modified: Fri, 07 Nov 2025 12:30:40 GMT\r\n\r\n"
            )

    with scripted_http(script) as host:
        transport = opened(host.target())
        try:
            found = list(transport.walk())
            precision_ns = transport.capabilities.modified_precision_ns
        finally:
            transport.close()
    assert asked.count("HEAD") == heads
    confirmed = 1_762_518_600 * 10**9  # 12:30:00
    times = {item.modified_ns for item in found if isinstance(item, RemoteEntry)}
    assert len(found) == 20
    assert times == ({confirmed} if heads == 1 else {confirmed + 40 * 10**9})
    assert precision_ns == (60 * 10**9 if heads == 1 else 10**9)


HEADS = {
    "one of 1 MB": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "10,000 of them": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    "300 short ones": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    "no head at all, as in HTTP/0.9": b"<html>hello</html>\r\n\r\n",
    "another version": b"HTTP/3.0 200 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a NUL in a field": b'HTTP/1.1 200 OK\r\nETag: "a\0b"\r\nContent-Length: 5\r\n\r\nhello',
    "a bare CR in a field": b'HTTP/1.1 200 OK\r\nETag: "a\rb"\r\nContent-Length: 5\r\n\r\nhello',
    "no name": b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 5\r\n\r\nhello",
    "a length list": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    "an empty length": b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhello",
    "a length in other digits": "HTTP/1.1 200 OK\r\nContent-Length: \u0665\r\n\r\nhello".encode(),
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "switched protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nhello",
}


@pytest.mark.parametrize("name", HEADS)
def test_h04_a_head_that_is_none_is_a_violation_in_bounded_memory(name: str) -> None:
    tracemalloc.start()
    answer, _ = fetch_one(saying(HEADS[name]), 5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(answer.error, ProtocolViolation)
    assert len(str(answer.error)) < 500
    assert peak < 20 * 1024 * 1024


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"F" * 16 + b"\r\nhello\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5;" + b"x" * 5_000 + b"\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n" + b"T: x\r\n" * 100_000,
        b"5\r\nhello\r\n0\r\nT: " + b"x" * 5_000,
        b"\r\n" * 10_000,
    ],
    ids=["letters", "minus", "plus", "hex", "huge", "long", "extension", "trailers", "trailer", "none"],
)  # fmt: skip
def test_h03_chunks_that_are_none_are_a_violation(body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer, _ = fetch_one(saying(head, body), 5)
    assert isinstance(answer.error, ProtocolViolation)


def test_h03_trailers_without_end_are_cut() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
    answer, _ = fetch_one(pouring(head, b"Trailer: x\r\n" * 1_000), 5)
    assert isinstance(answer.error, ProtocolViolation)


def pouring(head: bytes, more: bytes) -> Script:
    """The same again and again until nobody listens."""

    def script(request: Request, conversation: Conversation) -> None:
        conversation.say(head)
        while conversation.wait(0):
            conversation.say(more)

    return script


@pytest.mark.parametrize("size", [5, 100_000])
def test_s07_a_body_without_end_is_cut_at_the_listed_size(size: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer, sink = fetch_one(pouring(head, b"10000\r\n" + b"x" * 65536 + b"\r\n"), size)
    assert isinstance(answer.error, Unstable)
    assert sum(receiver.written_bytes for receiver in sink.receivers) <= size


@pytest.mark.parametrize(
    "status",
    [
        "204 No",
        "205 Reset",
        "206 Partial",
        "300 Which",
        "304 Same",
        "399 What",
        "599 Wild",
        "999 No",
    ],
)
def test_h10_no_status_but_200_is_a_file(status: str) -> None:
    answer, sink = fetch_one(answering("Content-Range: bytes 0-4/5", status=status), 5)
    assert isinstance(answer.error, TransportError)
    assert not sum(receiver.written_bytes for receiver in sink.receivers)


@pytest.mark.parametrize("etag", ['W/"1"', "1", '"', '""', '"' + "x" * 600 + '"', '"a b"', '"a"b"'])
def test_h12_a_validator_that_is_weak_or_none_is_not_kept(etag: str) -> None:
    answer, _ = fetch_one(answering(f"ETag: {etag}"), 5)
    assert answer.observed == RemoteEntry("file", 5, None, None)


def test_h14_redirects_without_end_are_followed_five_times() -> None:
    def script(request: Request, conversation: Conversation) -> None:
        count = len(host.requests)
        conversation.answer(b"x" * 1000, f"Location: /{count}", status="302 Found")

    with scripted_http(script) as host:
        transport = opened(host.target())
        (answer,) = transport.fetch([RemoteEntry("file", 5, None)], DigestSink())
        transport.close()
    assert isinstance(answer.error, ProtocolViolation)
    assert len(host.requests) == 6


def test_h14_a_redirect_whose_body_has_no_end_holds_up_nothing() -> None:
    def script(request: Request, conversation: Conversation) -> None:
        if request.target != "/file":
            conversation.answer(b"hello")
            return
        conversation.say(
            b"HTTP/1.1 302 Found\r\nLocation: /x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        while conversation.wait(0):
            conversation.say(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    entries = [RemoteEntry(name, 5, None) for name in ("file", "other")]
    with scripted_http(script) as host:
        transport = opened(host.target())
        answers = list(transport.fetch(entries, DigestSink()))
        transport.close()
    assert [answer.receipt for answer in answers] == [digest_of(b"hello")] * 2


@pytest.mark.parametrize(
    ("told", "delay_s"),
    [
        ("999999999999", 86_400),
        ("-5", None),
        ("soon", None),
        ("1e3", None),
        ("\u0665", None),
        ("0", 0),
    ],
)
def test_h18_retry_after_is_capped_and_no_number_is_none(told: str, delay_s: float | None) -> None:
    def script(request: Request, conversation: Conversation) -> None:
        said = f"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: {told}\r\n\r\n"
        conversation.say(said.encode())

    with pytest.raises(Throttled) as caught:
        fetch_one(script, 5)
    assert caught.value.retry_after_s == delay_s


def test_n19_a_page_without_end_is_read_in_bounded_memory() -> None:
    def script(request: Request, conversation: Conversation) -> None:
        if request.method == "HEAD":
            conversation.say(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
            return
        conversation.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        turn = 0
        while conversation.wait(0):
            turn += 1
            rows = "".join(f'<a href="{turn}-{n}%2f{"x" * 900}">\n' for n in range(100)).encode()
            conversation.say(b"%x\r\n" % len(rows) + rows + b"\r\n")

    with scripted_http(script) as host:
        transport = opened(host.target())
        walk = transport.walk()
        tracemalloc.start()
        for _ in range(30_000):
            assert isinstance(next(walk), Skipped)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        walk.close()  # type: ignore[attr-defined]
        transport.close()
    assert peak < 12 * 1024 * 1024


def test_n19_folders_without_end_are_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farends.wire.backlog.FOLDERS_MAX", 5_000)

    def script(request: Request, conversation: Conversation) -> None:
        conversation.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        turn = 0
        while conversation.wait(0):
            turn += 1
            rows = "".join(f'<a href="{turn}-{n}/">\n' for n in range(100)).encode()
            conversation.say(b"%x\r\n" % len(rows) + rows + b"\r\n")

    with scripted_http(script) as host:
        transport = opened(host.target())
        with pytest.raises(ProtocolViolation, match="wait to be listed"):
            list(transport.walk())
        transport.close()


def test_s10_refused_log_ins_leave_no_descriptor_and_no_thread() -> None:
    with scripted_http(answering(status="401 No")) as host:
        target = host.target(auth="bearer", secret=HttpSecret(token="canary"))
        with nothing_left_held():
            for _ in range(200):
                transport = opened(target)
                with pytest.raises(AuthRefused) as caught:
                    list(transport.walk())
                transport.close()
                assert "canary" not in str(caught.value)
            host.join()


OLD, NEW = (f"Last-Modified: Fri, 07 Nov 2025 12:{minute}:40 GMT" for minute in (30, 31))
SECOND_LOOKS = {
    "the same": (f"200 OK\r\nContent-Length: 300000\r\n{OLD}", True),
    "the same, without its length": (f"200 OK\r\nContent-Length: 0\r\n{OLD}", True),
    "no more than that it is there": ("200 OK\r\nContent-Length: 0", True),
    "not allowed": ("405 No\r\nContent-Length: 0", True),
    "a later time": (f"200 OK\r\nContent-Length: 300000\r\n{NEW}", False),
    "another length": ("200 OK\r\nContent-Length: 300001", False),
    "later and longer": (f"200 OK\r\nContent-Length: 300001\r\n{NEW}", False),
}


@pytest.mark.parametrize("name", SECOND_LOOKS)
def test_d14_a_large_file_is_looked_at_again(name: str) -> None:
    said, stable = SECOND_LOOKS[name]
    body = bytes(300_000)

    def script(request: Request, conversation: Conversation) -> None:
        if request.method == "HEAD":
            conversation.say(f"HTTP/1.1 {said}\r\n\r\n".encode())
        else:
            conversation.answer(body, OLD)

    answer, _ = fetch_one(script, len(body))
    first = RemoteEntry("file", len(body), 1_762_518_640 * 10**9)
    assert answer.receipt == digest_of(body)
    assert answer.observed is not None
    told = (answer.observed.size_bytes, answer.observed.modified_ns)
    unknown = answer.observed.modified_ns is None and told[0] == first.size_bytes
    assert (told == (first.size_bytes, first.modified_ns) or unknown) is stable


EARLY, LATE = (f"Last-Modified: Tue, 14 Nov 2023 22:13:{second} GMT" for second in (20, 21))
LARGE = b"x" * 100_000


def after_the_body(status: str, *fields: str) -> Fetched:
    """A large file whose second look is answered so."""

    def script(request: Request, conversation: Conversation) -> None:
        if request.method == "HEAD":
            lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(LARGE)}", *fields, "", ""]
            conversation.say("\r\n".join(lines).encode())
        else:
            conversation.answer(LARGE, EARLY)

    answer, _ = fetch_one(script, len(LARGE))
    return answer


def test_a_second_look_that_agrees_or_says_nothing_lets_a_file_pass() -> None:
    for status, *fields in (["200 OK", EARLY], ["200 OK"], ["405 No"], ["403 No"], ["500 No"]):
        answer = after_the_body(status, *fields)
        assert answer.error is None, (status, fields)
        assert answer.receipt == digest_of(LARGE)
        assert answer.observed is not None
        assert answer.observed.modified_ns == 1_700_000_000 * 10**9


def test_a_second_look_that_disagrees_makes_a_file_unstable() -> None:
    answer = after_the_body("200 OK", LATE)
    assert isinstance(answer.error, Unstable)
    assert answer.observed is not None
    assert answer.observed.modified_ns == 1_700_000_001 * 10**9


def test_a_file_that_is_gone_at_the_second_look_has_vanished() -> None:
    assert isinstance(after_the_body("404 Not Found").error, Vanished)


def test_h18_a_host_that_is_throttled_at_the_second_look_is_left_alone() -> None:
    with pytest.raises(Throttled):
        after_the_body("503 Busy", "Retry-After: 5")


def test_h10_a_range_that_is_ignored_is_measured() -> None:
    with scripted_http(answering(EARLY, 'ETag: "1"', body=b"hello")) as host:
        transport = opened(host.target())
        assert not transport.capabilities.ranges_tried
        (answer,) = transport.fetch(
            [RemoteEntry("file", 5, None, '"1"')], DigestSink(held={"file": b"he"})
        )
        assert answer.receipt == digest_of(b"hello")
        told = transport.capabilities
        transport.close()
    assert (told.ranges, told.ranges_tried) == (False, True)


@pytest.mark.parametrize(
    ("field", "sha256"),
    [
        ("Repr-Digest: sha-256=:" + "A" * 43 + "=:", bytes(32)),
        ("Repr-Digest: sha-512=:AA==:, sha-256=:" + "A" * 43 + "=:", bytes(32)),
        ("Digest: MD5=x, SHA-256=" + "A" * 43 + "=", bytes(32)),
        ("Repr-Digest: sha-256=:AAAA:", None),
        ("Repr-Digest: xsha-256=:" + "A" * 43 + "=:", None),
        ("Content-Digest: sha-256=:" + "A" * 43 + "=:", None),
        ("Repr-Digest: sha-256=:" + "A" * 43 + "=:\r\nContent-Encoding: gzip", None),
    ],
)
def test_a_digest_is_read_where_it_is_of_the_files_own_bytes(
    field: str, sha256: bytes | None
) -> None:
    with scripted_http(
        saying(f"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{field}\r\n\r\n".encode())
    ) as host:
        transport = opened(host.target())
        (answer,) = transport.digests([RemoteEntry("file", 5, None)])
        transport.close()
    assert answer.sha256 == sha256


def test_a_host_without_digests_is_asked_a_few_times_only() -> None:
    with scripted_http(answering(EARLY, body=b"")) as host:
        transport = opened(host.target())
        entries = [RemoteEntry(str(n), 0, None) for n in range(500)]
        answers = list(transport.digests(entries))
        transport.close()
        assert sorted(int(a.entry.path) for a in answers) == list(range(500))
        assert {answer.sha256 for answer in answers} == {None}
        assert len(host.requests) < 40


def pouring_rows(row_of: Callable[[int], str], over: threading.Event | None = None) -> Script:
    """A page of a million rows; whoever asks for one of its files is never answered. `over` is set once
    they are taken in, or no more of them is."""

    def script(request: Request, conversation: Conversation) -> None:
        if request.method == "HEAD":
            conversation.wait(60)
            return
        conversation.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for first in range(0, 1_000_000, 5_000):
            rows = "".join(map(row_of, range(first, first + 5_000))).encode()
            if not conversation.tries_to_say(b"%x\r\n" % len(rows) + rows + b"\r\n", 2.0):
                break
        if over is not None:
            over.set()
        conversation.wait(60)

    return script


class Stopped(Exception):
    """What a test's check raises."""


WAITING_ROWS: dict[str, Callable[[int], str]] = {
    "that tell neither size nor time": lambda n: f"<a href=f{n}>f</a>",
    "in a zone that no answer has shown": lambda n: f'<a href="{n}">{n}</a> 07-Nov-2025 12:30 5\n',
}


@pytest.mark.parametrize("name", WAITING_ROWS)
def test_rows_that_wait_for_answers_are_bounded(name: str) -> None:
    """No more of the page is read while its files are asked for."""
    over = threading.Event()

    def check() -> None:
        if over.is_set():
            raise Stopped

    with scripted_http(pouring_rows(WAITING_ROWS[name], over)) as host:
        transport = opened(host.target(), replace(loopback_context(), check=check))
        with rss_growth() as growth, pytest.raises(Stopped):
            list(transport.walk())
        transport.close()
    assert growth.peak_bytes < 64 * 1024 * 1024


def test_rows_that_can_only_wait_for_the_pages_end_have_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("farends.http.tree.HELD_BYTES_SOFT", 1024 * 1024)
    monkeypatch.setattr("farends.http.tree.HELD_BYTES_MAX", 2 * 1024 * 1024)
    with scripted_http(pouring_rows(WAITING_ROWS["that tell neither size nor time"])) as host:
        transport = opened(host.target(sessions=1))
        with pytest.raises(ProtocolViolation, match="more connections"):
            list(transport.walk())
        transport.close()


def test_a_host_of_one_connection_lists_what_waits_for_the_pages_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("farends.http.tree.HELD_BYTES_SOFT", 10_000)
    rows = [f"f{n}" for n in range(1_500)]

    def script(request: Request, conversation: Conversation) -> None:
        if request.method == "GET":
            conversation.answer(page(*rows))
        else:
            conversation.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")

    for sessions in (1, 2, 8):
        with scripted_http(script) as host:
            transport = opened(host.target(sessions=sessions))
            assert sorted(seen.path for seen in transport.walk()) == sorted(rows)
            transport.close()


def test_bodies_in_tiny_chunks_cost_no_more_than_their_bytes() -> None:
    size = 20_000
    body = b"1\r\nx\r\n" * size + b"0\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    together = threading.Barrier(32)

    def script(request: Request, conversation: Conversation) -> None:
        if request.target != "/first":
            together.wait(20)
        conversation.say(answer)

    entries = [RemoteEntry(str(n), size, None) for n in range(32)]
    with scripted_http(script) as host:
        transport = opened(host.target(sessions=32))
        list(transport.fetch([RemoteEntry("first", size, None)], DigestSink()))
        with rss_growth() as growth:
            answers = list(transport.fetch(entries, DigestSink()))
        transport.close()
    assert {answer.receipt for answer in answers} == {digest_of(b"x" * size)}
    assert growth.peak_bytes < 96 * 1024 * 1024
