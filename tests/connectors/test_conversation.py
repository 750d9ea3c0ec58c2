"""Conversations over HTTP: with hosts that lie, drip, lead elsewhere or never end."""

from __future__ import annotations

import http.client
import inspect
import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import requests
import urllib3

from farends import conversation_errors
from farends.contract import Context, Patience
from farends.conversation import Conversation, ConversationLimits
from farends.conversation_errors import meaning_of
from farends.dialing import Dialer, Policy
from farends.errors import (
    ConnectionLost,
    NetworkForbidden,
    ProtocolViolation,
    Stalled,
    TlsRefused,
    TooLarge,
    TransportError,
    Truncated,
)
from farends.proxying import Proxy
from farends.web.auth import Credentials
from farends.web.url import Origin
from farends.wire.tls import trusting
from tests.hosts.certificates import make_certificates
from tests.hosts.proxies import ProxyServer, running_proxy
from tests.hosts.scripted_http import Conversation as Said
from tests.hosts.scripted_http import Request, Script, ScriptedHttp, scripted_http
from tests.hosts.sinks import LOOPBACK, loopback_context

MIB = 1024 * 1024
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
NOBODY = Credentials("none", username="", password="", token="", header_name="")
BEARER = Credentials("bearer", username="", password="", token="canary", header_name="")
DIGEST = Credentials("digest", username="walker", password="canary", token="", header_name="")


@contextmanager
def speaking(
    host: ScriptedHttp,
    *,
    credentials: Credentials = NOBODY,
    context: Context | None = None,
    limits: ConversationLimits | None = None,
    name: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> Iterator[Conversation]:
    origin = Origin("http" if tls is None else "https", name, host.port)
    trust = tls or _NO_TLS
    with Conversation(
        origin, credentials, trust, trust, context or loopback_context(), limits
    ) as made:
        yield made


def ask(
    script: Script, *, context: Context | None = None, limits: ConversationLimits | None = None
) -> bytes:
    with (
        scripted_http(script) as host,
        speaking(host, context=context, limits=limits) as conversation,
        conversation.ask("GET", "/") as answer,
    ):
        return answer.read()


def saying(*parts: bytes) -> Script:
    """Says these bytes to every request and hangs up."""

    def script(request: Request, to: Said) -> None:
        for part in parts:
            to.say(part)
        to.hang_up()

    return script


def test_one_connection_serves_many_questions_and_asks_for_identity() -> None:
    def script(request: Request, to: Said) -> None:
        to.answer(request.target.encode())

    with scripted_http(script) as host, speaking(host) as made:
        assert [made.ask("GET", f"/{number}").read() for number in range(3)] == [
            b"/0",
            b"/1",
            b"/2",
        ]
        assert len(host.threads) == 1
    assert {request.fields["accept-encoding"] for request in host.requests} == {"identity"}
    assert {request.fields["host"] for request in host.requests} == {f"127.0.0.1:{host.port}"}


def test_an_answer_that_nobody_reads_does_not_mix_with_the_next() -> None:
    def script(request: Request, to: Said) -> None:
        to.answer(request.target.encode() * 1000)

    with scripted_http(script) as host, speaking(host) as made:
        made.ask("GET", "/first")
        assert made.ask("GET", "/next").read() == b"/next" * 1000


def test_a_kept_connection_that_is_over_costs_no_question() -> None:
    """The host ends it just as the next question comes; what could change something is not sent again."""

    asked: list[str] = []

    def hang_up_on_second(request: Request, to: Said) -> None:
        asked.append(request.target)
        if request.target != "/first" and asked.count(request.target) == 1:
            to.hang_up()
        else:
            to.answer(request.target.encode())

    with scripted_http(hang_up_on_second) as host, speaking(host) as made:
        made.ask("GET", "/first").read()
        assert made.ask("PROPFIND", "/again", body=b"<all/>").read() == b"/again"
        with pytest.raises(ConnectionLost):
            made.ask("POST", "/change", body=b"x").read()
    assert asked == ["/first", "/again", "/again", "/change"]


def test_a_new_connection_that_ends_is_not_tried_again() -> None:
    with scripted_http(lambda request, to: to.hang_up()) as host, speaking(host) as made:
        with pytest.raises(ConnectionLost):
            made.ask("GET", "/")
        assert len(host.requests) == 1


def test_heads_redirects_and_challenges_keep_the_connection() -> None:
    def script(request: Request, to: Said) -> None:
        if request.method == "HEAD":
            to.say(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
        elif request.method == "PUT":
            to.say(b"HTTP/1.1 204 No content\r\n\r\n")
        elif "authorization" not in request.fields:
            challenge = 'WWW-Authenticate: Digest realm="r", nonce="n"'
            to.answer(b"who", challenge, "Content-Encoding: odd", status="401 Who")
        elif request.target == "/":
            to.answer(b"over there", "Location: /there", status="302 Found")
        else:
            to.answer(b"there")

    with scripted_http(script) as host, speaking(host, credentials=DIGEST) as made:
        assert made.ask("HEAD", "/").read() == b""
        assert made.ask("PUT", "/", body=b"x").read() == b""
        assert made.follow("GET", "/").read() == b"there"
        assert len(host.threads) == 1


def test_the_path_is_sent_as_it_is() -> None:
    with scripted_http(lambda request, to: to.answer()) as host, speaking(host) as made:
        for target in ("//twice", "/a%2Fb/%C3%A4", "/q?a=b%20c&d", "/"):
            made.ask("GET", target).read()
            assert host.requests[-1].target == target


# What a host may not do


def test_a_body_that_is_cut_is_told_apart_from_a_whole_one() -> None:
    heads = {
        b"Content-Length: 10": b"12345",
        b"Transfer-Encoding: chunked": b"5\r\n12345\r\n",
        b"Transfer-Encoding: chunked\r\nX: y": b"a\r\n12345",
    }
    for head, body in heads.items():
        with pytest.raises(Truncated):
            ask(saying(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body))


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 1\r\n\r\n1",
        b"HTTP/1.1 200 OK\r\nno field\r\nContent-Length: 1\r\n\r\n1",
        b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n1",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\n1",
        b"HTTP/1.1 200 OK\r\n\r\nwho knows where this ends",
        b"HTTP/1.1 101 Go on\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\n1",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n",
    ],
)  # fmt: skip
def test_an_answer_that_breaks_the_protocol_is_refused(head: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        ask(saying(head))


def test_interim_answers_are_passed_over_and_end() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert ask(saying(interim * 3, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) == b"ok"
    with pytest.raises(Stalled):
        ask(saying(interim * 40))


def test_a_host_that_hangs_up_instead_of_answering_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionLost):
        ask(saying())


def test_a_body_over_the_limit_ends_where_the_limit_is() -> None:
    def endless(request: Request, to: Said) -> None:
        to.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while to.wait(0):
            to.say(b"400\r\n" + b"x" * 1024 + b"\r\n")

    limits = ConversationLimits(body_bytes_max=64 * 1024)
    with pytest.raises(TooLarge):
        ask(endless, limits=limits)
    with pytest.raises(TooLarge):  # told at once
        ask(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n"), limits=limits)
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + b"x" * 65536
    assert len(ask(saying(whole), limits=limits)) == 65536


def drip(every_s: float, data: bytes, head: bytes = b"") -> Script:
    def script(request: Request, to: Said) -> None:
        to.say(head)
        while to.wait(every_s):
            to.say(data)

    return script


_BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nA: ", _BODY])
def test_a_drip_is_a_stall(head: bytes) -> None:
    """Each byte comes in time, and all of them together never would."""
    with pytest.raises(Stalled, match="under 1024 bytes"):
        ask(drip(0.05, b"x", head), context=loopback_context(idle_s=0.5))


def test_the_whole_conversation_has_a_deadline() -> None:
    """Fast enough at each moment, and without end."""
    script = drip(0.05, b"x" * 4096, _BODY)
    with pytest.raises(Stalled, match=r"longer than 0.7 s"):
        ask(script, context=loopback_context(), limits=ConversationLimits(total_s=0.7))


def test_redirects_share_one_deadline() -> None:
    def script(request: Request, to: Said) -> None:
        if to.wait(0.3):
            to.answer(b"", "Location: /again", status="302 Found")

    limits = ConversationLimits(total_s=0.7, redirects_max=100)
    with (
        scripted_http(script) as host,
        speaking(host, limits=limits) as made,
        pytest.raises(Stalled, match="longer than"),
    ):
        made.follow("GET", "/")


class Cancelled(OSError):
    """As a library's own error might look."""


@pytest.mark.parametrize("head", [b"", _BODY])
def test_a_cancelled_conversation_ends_within_a_second(head: bytes) -> None:
    asked = threading.Event()

    def check() -> None:
        if asked.is_set():
            raise Cancelled

    def silent(request: Request, to: Said) -> None:
        to.say(head)
        asked.set()
        to.wait(60)

    with pytest.raises(Cancelled):
        ask(silent, context=loopback_context(check=check))


def test_a_busy_conversation_can_be_cancelled_too() -> None:
    """No wait is needed to notice it."""
    taken = 0

    def check() -> None:
        if taken > 1:
            raise Cancelled

    def endless(request: Request, to: Said) -> None:
        to.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while to.wait(0):
            to.say(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    limits = ConversationLimits(body_bytes_max=1 << 40)
    with (
        scripted_http(endless) as host,
        speaking(host, context=loopback_context(check=check), limits=limits) as made,
        made.ask("GET", "/") as answer,
    ):
        pieces = iter(answer)
        while taken < 2:
            taken += len(next(pieces)) > 0
        with pytest.raises(Cancelled):
            deque(pieces, maxlen=0)


# Where it goes, and with what


def test_only_a_judged_address_is_dialled() -> None:
    context = Context(Dialer(Policy.parse(["10.0.0.0/8"])), Patience())
    with scripted_http(lambda request, to: to.answer()) as host:
        with speaking(host, context=context) as made, pytest.raises(NetworkForbidden):
            made.ask("GET", "/")
        assert not host.threads


def test_a_redirect_is_an_answer_until_somebody_follows_it() -> None:
    def script(request: Request, to: Said) -> None:
        if request.target == "/folder":
            to.answer(b"over there", "Location: folder/", status="301 Moved")
        else:
            to.answer(b"here")

    with scripted_http(script) as host, speaking(host, credentials=BEARER) as made:
        with made.ask("GET", "/folder") as answer:
            assert (answer.status, answer.read()) == (301, b"over there")
        with made.follow("PROPFIND", "/folder", fields={"Depth": "1"}, body=b"<all/>") as answer:
            assert (answer.read(), answer.url.path) == (b"here", "/folder/")
    asked = host.requests[-1]
    assert (asked.method, asked.body, asked.fields["depth"]) == ("PROPFIND", b"<all/>", "1")
    assert asked.fields["authorization"] == "Bearer canary"


def test_another_origin_sees_no_credentials_and_no_content() -> None:
    with scripted_http(lambda request, to: to.answer(b"elsewhere")) as other:

        def script(request: Request, to: Said) -> None:
            to.answer(b"", f"Location: http://127.0.0.1:{other.port}/x", status="307 Over there")

        with scripted_http(script) as host, speaking(host, credentials=BEARER) as made:
            fields = {"X-Session": "canary", "Accept": "text/plain"}
            with made.follow("GET", "/", fields=fields) as answer:
                assert answer.read() == b"elsewhere"
            with pytest.raises(ProtocolViolation, match="another host"):
                made.follow("POST", "/", body=b"canary")
    (asked,) = other.requests
    assert "canary" not in repr(asked)
    assert asked.fields["accept"] == "text/plain"


def test_another_origin_gets_no_answer_to_its_challenge() -> None:
    def challenge(request: Request, to: Said) -> None:
        to.answer(b"", 'WWW-Authenticate: Digest realm="r", nonce="n"', status="401 Who")

    with scripted_http(challenge) as other:

        def script(request: Request, to: Said) -> None:
            to.answer(b"", f"Location: http://127.0.0.1:{other.port}/", status="302 Over there")

        with scripted_http(script) as host, speaking(host, credentials=DIGEST) as made:
            assert made.follow("GET", "/").status == 401
    assert len(other.requests) == 1


def test_a_redirect_leads_into_no_forbidden_network_and_round_no_circle() -> None:
    def script(request: Request, to: Said) -> None:
        place = "/circle" if request.target == "/circle" else "http://169.254.169.254/"
        to.answer(b"", f"Location: {place}", status="302 Found")

    with scripted_http(script) as host, speaking(host) as made:
        with pytest.raises(NetworkForbidden):
            made.follow("GET", "/")
        with pytest.raises(ProtocolViolation, match="more than 5 times"):
            made.follow("GET", "/circle")
    assert len(host.requests) == 1 + 6


def test_the_environment_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login walker password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with scripted_http(lambda request, to: to.answer(b"ok")) as host, speaking(host) as made:
        assert made.ask("GET", "/").read() == b"ok"
    assert "authorization" not in host.requests[0].fields


def test_no_cookie_is_kept() -> None:
    def script(request: Request, to: Said) -> None:
        to.answer(b"", "Set-Cookie: a=b; Path=/")

    with scripted_http(script) as host, speaking(host) as made:
        made.ask("GET", "/").read()
        made.ask("GET", "/").read()
    assert not [request for request in host.requests if "cookie" in request.fields]


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_the_proxy_of_the_connector_carries_it(scheme: str) -> None:
    with (
        running_proxy(ProxyServer(scheme)) as proxy,
        scripted_http(lambda request, to: to.answer(b"ok")) as host,
    ):
        dialer = replace(LOOPBACK, proxy=Proxy(scheme, "127.0.0.1", proxy.port))
        with speaking(host, context=Context(dialer)) as made:
            assert made.ask("GET", "/").read() == b"ok"
        assert proxy.asked == [("127.0.0.1", host.port)]


def test_https_trusts_the_given_authority_alone(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates.server)
    with scripted_http(lambda request, to: to.answer(b"x" * MIB), server) as host:
        with speaking(host, tls=trusting(certificates.authority)) as made:
            assert len(made.ask("GET", "/").read()) == MIB
            assert len(made.ask("GET", "/").read()) == MIB
            assert len(host.threads) == 1
        with speaking(host, tls=trusting("")) as made, pytest.raises(TlsRefused):
            made.ask("GET", "/")
        with (
            speaking(host, tls=trusting(certificates.authority), name="localhost") as made,
            pytest.raises(TlsRefused),
        ):
            made.ask("GET", "/")


def test_a_connection_that_ends_in_the_handshake_refuses_nothing() -> None:
    """A busy host closes so, and a later try may be served."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(64 * 1024)

        peers = threading.Thread(target=hang_up)
        peers.start()
        host = ScriptedHttp(server.getsockname()[1])
        with speaking(host, tls=trusting("")) as made, pytest.raises(ConnectionLost) as caught:
            made.ask("GET", "/")
        peers.join()
    assert caught.value.retryable


def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates.server)

    def script(request: Request, to: Said) -> None:
        to.answer(b"", "Location: http://127.0.0.1/", status="302 Found")

    with (
        scripted_http(script, server) as host,
        speaking(host, tls=trusting(certificates.authority)) as made,
        pytest.raises(TlsRefused),
    ):
        made.follow("GET", "/")


# Log-in and content


def test_a_digest_challenge_is_answered_and_the_content_sent_again() -> None:
    def script(request: Request, to: Said) -> None:
        if "authorization" in request.fields:
            to.answer(request.body)
        else:
            to.answer(b"", 'WWW-Authenticate: Digest realm="r", nonce="n"', status="401 Who")

    with scripted_http(script) as host, speaking(host, credentials=DIGEST) as made:
        assert made.ask("POST", "/%c3%a4", body=b"said").read() == b"said"
    fields = host.requests[-1].fields["authorization"]
    assert f'uri="{host.requests[-1].target}"' in fields


def test_wrong_credentials_are_not_shown_for_ever() -> None:
    def script(request: Request, to: Said) -> None:
        to.answer(b"", 'WWW-Authenticate: Digest realm="r", nonce="n"', status="401 Who")

    with scripted_http(script) as host, speaking(host, credentials=DIGEST) as made:
        assert made.ask("GET", "/").status == 401
    assert len(host.requests) == 3


@pytest.mark.parametrize(
    "name", ["Authorization", "cookie", "Host", "Accept-Encoding", "Content-Length"]
)
def test_a_request_brings_no_credentials_of_its_own(name: str) -> None:
    with (
        scripted_http(lambda request, to: to.answer()) as host,
        speaking(host) as made,
        pytest.raises(ValueError, match=name),
    ):
        made.ask("GET", "/", fields={name: "x"})


def test_content_is_streamed_as_it_is_made() -> None:
    """The host has read the first piece before the second is made."""
    first_came = threading.Event()

    def script(request: Request, to: Said) -> None:
        to.answer(request.body)

    with scripted_http(script) as host, speaking(host) as made:

        def content() -> Iterator[bytes]:
            yield b"one,"
            first_came.set()
            yield b"x" * MIB

        answer = made.ask("POST", "/", body=content())
        assert answer.read() == b"one," + b"x" * MIB
    assert first_came.is_set()
    assert host.requests[0].fields["transfer-encoding"] == "chunked"


def test_what_the_content_raises_leaves_as_it_is_and_the_host_sees_no_whole_request() -> None:
    def content() -> Iterator[bytes]:
        yield b"one"
        raise Cancelled

    with scripted_http(lambda request, to: to.answer()) as host:
        with speaking(host) as made, pytest.raises(Cancelled):
            made.ask("POST", "/", body=content())
        host.join()
        assert not host.requests


@contextmanager
def unwilling(answer: bytes, *, hangs_up: bool = True) -> Iterator[int]:
    """A host that reads the head of a request, answers, and takes nothing more in."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def serve() -> None:
            connected, _ = listener.accept()
            with connected:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connected.recv(1)
                connected.sendall(answer)
                if not hangs_up:
                    over.wait(60)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join()


def test_an_early_refusal_is_read_although_the_content_did_not_pass() -> None:
    """The host answers the head and hangs up."""

    def content() -> Iterator[bytes]:
        while True:
            yield b"x" * MIB

    refusal = b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with unwilling(refusal) as port:
        origin = Origin("http", "127.0.0.1", port)
        with Conversation(origin, NOBODY, _NO_TLS, _NO_TLS, loopback_context()) as made:
            assert made.ask("POST", "/", body=content()).status == 413


def test_a_host_that_takes_nothing_in_is_a_stall() -> None:
    def content() -> Iterator[bytes]:
        while True:
            yield b"x" * MIB

    with unwilling(b"", hangs_up=False) as port:
        origin = Origin("http", "127.0.0.1", port)
        context = loopback_context(idle_s=0.5)
        with (
            Conversation(origin, NOBODY, _NO_TLS, _NO_TLS, context) as made,
            pytest.raises(Stalled),
        ):
            made.ask("POST", "/", body=content())


# Errors of the libraries

MODULES: Iterable[ModuleType] = (requests.exceptions, urllib3.exceptions, http.client)


def test_every_error_of_the_libraries_has_a_meaning_of_its_own() -> None:
    found = {
        kind
        for module in MODULES
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception)
        and not issubclass(kind, Warning)
        and kind.__module__ == module.__name__
    }
    assert len(found) > 50
    meanings: Mapping[type[BaseException], type[TransportError]] = conversation_errors._MEANINGS
    assert found - meanings.keys() == set()
    for kind in found:
        assert issubclass(kind, conversation_errors._FOREIGN)


def test_the_innermost_cause_decides_and_no_secret_is_told() -> None:
    lost = http.client.RemoteDisconnected("canary")
    wrapped = requests.ConnectionError(urllib3.exceptions.ProtocolError("canary", lost))
    cut = urllib3.exceptions.ProtocolError("x", http.client.IncompleteRead(b"canary", 4))
    header = requests.exceptions.InvalidHeader("Invalid header: 'canary'")
    for exc, kind in ((wrapped, ConnectionLost), (cut, Truncated), (header, ProtocolViolation)):
        meaning = meaning_of(exc)
        assert type(meaning) is kind
        assert "canary" not in str(meaning)
