"""FTP hosts that lie, drip, break off or refuse (docs/promises.md: F, N05, P13)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import socket
import ssl
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from farends.contract import (
    Context,
    Fetched,
    Patience,
    Reason,
    RemoteEntry,
    Seen,
    Skipped,
    Transport,
)
from farends.dialing import Dialer, Policy
from farends.errors import (
    AuthConfig,
    AuthRefused,
    ConnectionLost,
    ConnectionStage,
    PermissionRefused,
    ProtocolViolation,
    RootMissing,
    Stalled,
    Throttled,
    TlsRefused,
    TooLarge,
    TransportError,
    Truncated,
    Unreachable,
    UnsafeName,
    Unstable,
    Vanished,
)
from farends.ftp.list_rows import ListReader
from farends.ftp.rows import time_ns, zone_s
from farends.ftp.transport import FTP_SPEC, FTPS_SPEC, FtpOptions, FtpSecret
from farends.spec import Target
from tests.holding import nothing_left_held
from tests.hosts.certificates import Certificates, make_certificates
from tests.hosts.scripted_ftp import MODIFY, Conversation, Script, facts_of, scripted_ftp
from tests.hosts.sinks import DigestReceiver, DigestSink, digest_of, loopback_context
from tests.hosts.vsftpd import running_vsftpd

ROOT = PurePosixPath("/")
TEN = b"0123456789"


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


def opened(target: Target, context: Context | None = None) -> Transport:
    return FTP_SPEC.open(target, context or loopback_context())


def fetch_all(
    target: Target,
    entries: list[RemoteEntry],
    sink: DigestSink | None = None,
    context: Context | None = None,
) -> dict[str, Fetched]:
    spec = FTP_SPEC if isinstance(target.options, FtpOptions) else FTPS_SPEC
    transport = spec.open(target, context or loopback_context())
    sink = sink or DigestSink()
    try:
        answers = list(transport.fetch(entries, sink))
    finally:
        transport.close()
        assert not sink.left_open
    assert len(answers) == len(entries)
    return {answer.entry.path: answer for answer in answers}


def fetch_one(size: int | None = 10, context: Context | None = None, **scripts: Any) -> Fetched:
    with scripted_ftp({"file": TEN, "other": b"!"}, **scripts) as host:
        entries = [RemoteEntry("file", size, None)]
        return fetch_all(host.target(), entries, context=context)["file"]


def listing(rows: bytes, *, context: Context | None = None, **scripts: Any) -> list[Seen]:
    def script(conversation: Conversation, argument: str) -> None:
        conversation.send(rows)

    with scripted_ftp(MLSD=script, **scripts) as host:
        transport = opened(host.target(), context)
        try:
            return list(transport.walk())
        finally:
            transport.close()


def saying(*lines: str) -> Script:
    return lambda conversation, argument: conversation.say(*lines)


def sending(data: bytes, *, last: str = "226 done", reset: bool = False) -> Script:
    return lambda conversation, argument: conversation.send(data, last=last, reset=reset)


def test_a_file_is_fetched_and_described() -> None:
    answer = fetch_one()
    assert answer.receipt == digest_of(TEN)
    assert answer.observed == RemoteEntry("file", 10, 1_700_000_001 * 10**9)


@pytest.mark.parametrize("told", [TEN, TEN[:4]])
def test_f01_short_data_and_226_are_truncated(told: bytes) -> None:
    with scripted_ftp({"file": told}, RETR=sending(TEN[:4])) as host:
        answer = fetch_all(host.target(), [RemoteEntry("file", 10, None)])["file"]
    assert isinstance(answer.error, Truncated)
    assert answer.receipt is None
    assert answer.observed is not None
    assert answer.observed.size_bytes == len(told)


def test_more_data_than_listed_is_unstable() -> None:
    answer = fetch_one(size=4)
    assert isinstance(answer.error, Unstable)
    assert answer.observed is not None
    assert answer.observed.size_bytes == 10


def test_endless_data_is_cut_off_and_the_session_given_up() -> None:
    def pour(conversation: Conversation, argument: str) -> None:
        if argument != "/file":
            conversation.send(b"!")
            return
        connected = conversation.accept()
        conversation.say("150 for ever")
        with connected:
            while True:
                connected.sendall(b"x" * 65536)

    entries = [RemoteEntry("file", 10, None), RemoteEntry("other", 1, None)]
    with scripted_ftp({"file": TEN, "other": b"!"}, RETR=pour) as host:
        answers = fetch_all(host.target(sessions=1), entries)
    assert isinstance(answers["file"].error, Unstable)
    assert answers["other"].receipt == digest_of(b"!")


@pytest.mark.parametrize("last", ["426 broken off", "451 disk", "550 gone"])
def test_f02_a_transfer_that_the_host_breaks_off_fails(last: str) -> None:
    answer = fetch_one(RETR=sending(TEN[:4], last=last))
    assert isinstance(answer.error, ConnectionLost | Truncated)


def test_f02_a_reset_fails_the_file_and_the_next_is_fetched() -> None:
    def script(conversation: Conversation, argument: str) -> None:
        first = argument == "/file"
        conversation.send(TEN if first else b"!", reset=first, last="426 ouch" if first else "226")

    entries = [RemoteEntry("file", 20, None), RemoteEntry("other", 1, None)]
    with scripted_ftp({"file": TEN, "other": b"!"}, RETR=script) as host:
        answers = fetch_all(host.target(sessions=1), entries)
    assert isinstance(answers["file"].error, ConnectionLost | Truncated)
    assert answers["other"].receipt == digest_of(b"!")


def test_f02_a_226_that_never_comes_is_waited_for_within_bounds() -> None:
    def script(conversation: Conversation, argument: str) -> None:
        unconfirmed = argument == "/file"
        conversation.send(TEN if unconfirmed else b"!", last="" if unconfirmed else "226 done")

    entries = [RemoteEntry("file", 10, None), RemoteEntry("other", 1, None)]
    with scripted_ftp({"file": TEN, "other": b"!"}, RETR=script) as host:
        answers = fetch_all(host.target(sessions=1), entries, context=loopback_context(idle_s=1))
        assert len(host.asked("USER")) == 2  # the session was not used again
    assert isinstance(answers["file"].error, Stalled)
    assert answers["other"].receipt == digest_of(b"!")


def test_f02_data_that_never_ends_after_226_is_bounded_too() -> None:
    def script(conversation: Conversation, argument: str) -> None:
        connected = conversation.accept()
        connected.sendall(TEN)
        conversation.say("150 so", "226 done")
        conversation.wait(30)

    answer = fetch_one(RETR=script, context=loopback_context(idle_s=1))
    assert isinstance(answer.error, Stalled)


def ignoring_rest(conversation: Conversation, argument: str) -> None:
    conversation.say("350 of course")


@pytest.mark.parametrize("rest", [ignoring_rest, saying("502 no"), None])
def test_f05_what_an_earlier_try_left_is_never_put_before_a_whole_file(rest: Script | None) -> None:
    sink = DigestSink(held={"file": TEN[:4]})
    with scripted_ftp({"file": TEN}, **({} if rest is None else {"REST": rest})) as host:
        answers = fetch_all(host.target(), [RemoteEntry("file", 10, None)], sink)
    assert answers["file"].receipt == digest_of(TEN)
    assert sink.receivers[0].written_bytes == 10


FEATURES = {
    "XSHA256": saying("211-so", " XSHA256", "211 end"),
    "HASH": saying("211-so", " HASH SHA-1;SHA-256*", " RANG STREAM", "211 end"),
}


@pytest.mark.parametrize("here", [TEN[:4], b"XXXX"], ids=["the same file", "another file"])
@pytest.mark.parametrize("verb", FEATURES)
def test_what_an_earlier_try_left_is_proved_by_the_host_s_digest(verb: str, here: bytes) -> None:
    """The host computes it of the range that is asked for; only an equal one joins the two halves."""
    ranges: list[tuple[int, int]] = []

    def rang(conversation: Conversation, argument: str) -> None:
        start, end = map(int, argument.split(" "))
        ranges.append((start, end + 1))
        conversation.say("350 so")

    def hashed(conversation: Conversation, argument: str) -> None:
        start, end = ranges[-1]
        digest = hashlib.sha256(TEN[start:end]).hexdigest()
        conversation.say(f"213 SHA-256 {start}-{end} {digest} file")

    def xhashed(conversation: Conversation, argument: str) -> None:
        _, start, end = argument.split(" ")
        digest = hashlib.sha256(TEN[int(start) : int(end)]).hexdigest().upper()
        conversation.say(f"250 {digest}")

    sink = DigestSink(held={"file": here})
    with scripted_ftp(
        {"file": TEN},
        FEAT=FEATURES[verb],
        OPTS=saying("200 ok"),
        RANG=rang,
        HASH=hashed,
        XSHA256=xhashed,
    ) as host:
        answers = fetch_all(host.target(), [RemoteEntry("file", 10, None)], sink)
        if verb == "HASH":
            assert host.asked("RANG")[-1] == "RANG 1 0"  # the next one is of a whole file
    assert answers["file"].receipt == digest_of(TEN)
    assert sink.receivers[0].written_bytes == (6 if here == TEN[:4] else 10)


def hashing(conversation: Conversation, argument: str) -> None:
    _, start, end = argument.split(" ")
    conversation.say(f"250 {hashlib.sha256(TEN[int(start) : int(end)]).hexdigest()}")


@pytest.mark.parametrize("rest", [ignoring_rest, saying("502 no")])
def test_f05_a_rest_that_is_not_honoured_is_noticed(rest: Script) -> None:
    sink = DigestSink(held={"file": TEN[:4]})
    feat = FEATURES["XSHA256"]
    with scripted_ftp({"file": TEN}, FEAT=feat, XSHA256=hashing, REST=rest) as host:
        transport = opened(host.target())
        (answer,) = transport.fetch([RemoteEntry("file", 10, None)], sink)
        assert answer.receipt == digest_of(TEN)
        assert not transport.capabilities.ranges
        transport.close()


def test_f05_a_host_that_honours_rest_only_once_is_still_noticed() -> None:
    def script(conversation: Conversation, argument: str) -> None:
        tried = len(conversation.host.asked("RETR")) == 1
        conversation.send(TEN[9:] if tried else TEN)

    scripts = {"FEAT": FEATURES["XSHA256"], "XSHA256": hashing, "REST": ignoring_rest}
    sink = DigestSink(held={"file": TEN[:4]})
    with scripted_ftp({"file": TEN}, RETR=script, **scripts) as host:
        answers = fetch_all(host.target(), [RemoteEntry("file", 10, None)], sink)
    assert isinstance(answers["file"].error, Unstable)


def test_f07_data_comes_from_the_host_itself_whatever_address_it_names() -> None:
    with socket.create_server(("127.0.0.2", 0)) as decoy:
        decoy.setblocking(False)

        def passive(conversation: Conversation, argument: str) -> None:
            port = conversation.listen()
            conversation.say(f"227 Entering (127,0,0,2,{port // 256},{port % 256})")

        with scripted_ftp({"file": TEN}, EPSV=saying("500 what?"), PASV=passive) as host:
            entries = [RemoteEntry("file", 10, None)] * 3
            transport = opened(host.target(sessions=1))
            answers = list(transport.fetch(entries, DigestSink()))
            transport.close()
            assert len(host.asked("EPSV")) == 1
        assert [answer.receipt for answer in answers] == [digest_of(TEN)] * 3
        with pytest.raises(BlockingIOError):
            decoy.accept()


@pytest.mark.parametrize("reply", ["229 ok", "229 (|||0|)", "229 (|||65536|)", "227 (1,2,3,4,5)"])
def test_a_passive_reply_without_a_port_is_a_violation(reply: str) -> None:
    answer = fetch_one(EPSV=saying(reply))
    assert isinstance(answer.error, ProtocolViolation)


def test_a_passive_port_where_nobody_answers_is_told_as_such() -> None:
    def script(conversation: Conversation, argument: str) -> None:
        port = conversation.listen()
        conversation.close_listener()
        conversation.say(f"229 (|||{port}|)")

    answer = fetch_one(EPSV=script, RETR=lambda c, a: None, context=loopback_context(idle_s=1))
    assert isinstance(answer.error, Unreachable)
    assert "passive port" in str(answer.error)


@pytest.mark.parametrize("reply", ["500 what?", "534 never", "334 go on", "220 well"])
def test_f09_a_refused_auth_tls_ends_it_before_the_log_in(
    reply: str, certificates: Certificates
) -> None:
    with scripted_ftp(AUTH=saying(reply)) as host:
        with pytest.raises(TlsRefused):
            FTPS_SPEC.open(host.tls_target(certificates.authority), loopback_context())
        assert host.commands == ["AUTH TLS"]


def server_tls(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server)
    return context


def starting_tls(certificates: Certificates, more: str = "") -> Script:
    def script(conversation: Conversation, argument: str) -> None:
        conversation.socket.sendall(f"234 go\r\n{more}".encode())
        conversation.secure(server_tls(certificates))

    return script


@pytest.mark.parametrize("slipped_in", ["230 welcome\r\n", "230 wel"])
def test_f09_plain_text_slipped_in_before_the_handshake_is_refused(
    certificates: Certificates, slipped_in: str
) -> None:
    script = starting_tls(certificates, slipped_in)
    with scripted_ftp(AUTH=script) as host:
        with pytest.raises(TransportError) as caught:
            FTPS_SPEC.open(host.tls_target(certificates.authority), loopback_context())
        assert caught.value.code == "protocol"
        assert not host.asked("PASS")


def test_f09_data_without_tls_is_refused(certificates: Certificates) -> None:
    secure = starting_tls(certificates)
    with scripted_ftp({"file": TEN}, AUTH=secure, PROT=saying("536 no")) as host:
        with pytest.raises(TlsRefused):
            FTPS_SPEC.open(host.tls_target(certificates.authority), loopback_context())
        assert not host.asked("RETR")


def test_a_certificate_of_nobody_known_or_for_another_name_is_refused(
    certificates: Certificates, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = make_certificates(folder, "ftp.example")
    with scripted_ftp(AUTH=starting_tls(other)) as host:
        for authority in (certificates.authority, other.authority, ""):
            with pytest.raises(TlsRefused) as caught:
                FTPS_SPEC.open(host.tls_target(authority), loopback_context())
            assert caught.value.stage is ConnectionStage.IDENTITY
        assert not host.asked("USER")


@pytest.mark.parametrize("proper", [True, False])
def test_data_under_tls_that_is_cut_off_is_truncated(
    certificates: Certificates, *, proper: bool
) -> None:
    tls = server_tls(certificates)

    def send(conversation: Conversation, data: bytes) -> None:
        connected = conversation.accept()
        conversation.say("150 so")
        with tls.wrap_socket(connected, server_side=True) as secured:
            secured.sendall(data)
            if proper:
                secured.unwrap().close()
        conversation.say("226 done")

    row = b"type=file;size=10;modify=20231114221321; file\r\n"
    scripts: dict[str, Any] = {
        "AUTH": starting_tls(certificates),
        "MLSD": lambda c, a: send(c, row),
        "RETR": lambda c, a: send(c, TEN[:4] if a == "/file" else TEN),
    }
    with scripted_ftp({"file": TEN, "whole": TEN, "unlisted": TEN}, **scripts) as host:
        transport = FTPS_SPEC.open(host.tls_target(certificates.authority), loopback_context())
        if proper:
            assert [item.path for item in transport.walk()] == ["file"]
        else:
            with pytest.raises(Truncated):
                list(transport.walk())
        sizes = {"file": 10, "whole": 10, "unlisted": None}
        entries = [RemoteEntry(name, size, None) for name, size in sizes.items()]
        answers = {a.entry.path: a for a in transport.fetch(entries, DigestSink())}
        transport.close()
    assert isinstance(answers["file"].error, Truncated)
    assert answers["whole"].receipt == digest_of(TEN)
    assert (answers["unlisted"].receipt is not None) is proper


@pytest.mark.parametrize("spoiled", [b"", b"no TLS at all, but bytes of somebody else"])
def test_a_data_connection_that_ends_in_its_handshake_is_made_anew(
    certificates: Certificates, spoiled: bytes
) -> None:
    tls = server_tls(certificates)
    asked: list[str] = []

    def send(conversation: Conversation, argument: str, data: bytes) -> None:
        connected = conversation.accept()
        conversation.say("150 so")
        asked.append(argument)
        if argument in ("/sub", "/sub/file") and asked.count(argument) == 1:
            with connected:
                connected.recv(64 * 1024)  # the client's hello, so that the end is no reset
                connected.sendall(spoiled)
            conversation.say("425 the handshake failed")
            return
        with tls.wrap_socket(connected, server_side=True) as secured:
            secured.sendall(data)
            secured.unwrap().close()
        conversation.say("226 done")

    rows = {"/": f"type=dir;modify={MODIFY}; sub\r\n", "/sub": facts_of("file", TEN) + "\r\n"}
    scripts: dict[str, Any] = {
        "AUTH": starting_tls(certificates),
        "MLSD": lambda c, a: send(c, a, rows[a].encode()),
        "RETR": lambda c, a: send(c, a, TEN),
    }
    with scripted_ftp({"sub/file": TEN}, **scripts) as host:
        transport = FTPS_SPEC.open(host.tls_target(certificates.authority), loopback_context())
        found = list(transport.walk())
        assert [item.path for item in found] == ["sub/file"], found
        answers = list(transport.fetch([RemoteEntry("sub/file", 10, None)], DigestSink()))
        transport.close()
    assert [answer.receipt for answer in answers] == [digest_of(TEN)]
    assert (asked.count("/sub"), asked.count("/sub/file")) == (2, 2)


def test_implicit_tls_speaks_nothing_in_plain(certificates: Certificates) -> None:
    def greet(conversation: Conversation, argument: str) -> None:
        conversation.secure(server_tls(certificates))
        conversation.say("220 scripted")

    with scripted_ftp({"file": TEN}, GREETING=greet) as host:
        target = host.tls_target(certificates.authority, implicit_tls=True)
        FTPS_SPEC.open(target, loopback_context()).close()
        assert not host.asked("AUTH")
        assert host.asked("PROT") == ["PROT P"]


@pytest.mark.parametrize(("oldest", "accepted"), [("1.0", True), ("1.2", True), ("1.3", False)])
def test_a_host_with_tls_1_2_alone_is_accepted_by_the_oldest_version_allowed(
    certificates: Certificates, oldest: str, *, accepted: bool
) -> None:
    tls = server_tls(certificates)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2

    def secure(conversation: Conversation, argument: str) -> None:
        conversation.say("234 go")
        conversation.secure(tls)

    with scripted_ftp({}, AUTH=secure) as host:
        target = host.tls_target(certificates.authority, min_tls=oldest)
        if accepted:
            FTPS_SPEC.open(target, loopback_context()).close()
            return
        with pytest.raises(TlsRefused):
            FTPS_SPEC.open(target, loopback_context())


def test_f10_a_password_over_plain_ftp_needs_a_flag() -> None:
    with scripted_ftp({"file": TEN}) as host:
        for options in ({"username": "reader"}, {"username": "reader", "sessions": 2}):
            with pytest.raises(AuthConfig, match="allow_plaintext_password"):
                opened(host.target(password="secret", **options))
        assert not host.commands
        allowed = host.target(password="secret", username="reader", allow_plaintext_password=True)
        opened(allowed).close()
        assert host.asked("PASS") == ["PASS secret"]
        opened(host.target()).close()
        assert host.asked("USER")[-1] == "USER anonymous"


@pytest.mark.parametrize("value", ["a\r\nDELE x", "a\nb", "nul\0"])
def test_n05_a_user_name_or_password_is_never_a_second_command(value: str) -> None:
    with scripted_ftp() as host:
        for target in (
            host.target(username=value, password="x", allow_plaintext_password=True),
            host.target(username="reader", password=value, allow_plaintext_password=True),
        ):
            with pytest.raises(AuthConfig) as caught:
                opened(target)
            assert value not in str(caught.value)
        assert not host.asked("DELE")


@pytest.mark.parametrize("name", ["a\r\nDELE b", "a\nb", "a\rb", "nul\0name"])
def test_n05_a_name_with_a_line_end_is_never_sent(name: str) -> None:
    with scripted_ftp({"good": TEN}) as host:
        entries = [RemoteEntry(name, 10, None), RemoteEntry("good", 10, None)]
        answers = fetch_all(host.target(), entries)
        assert isinstance(answers[name].error, UnsafeName)
        assert answers["good"].receipt == digest_of(TEN)
        target = host.target()
        with pytest.raises(UnsafeName):
            opened(replace(target, options=replace(target.options, root=f"/{name}")))
        assert not host.asked("DELE")


def test_n01_n03_n04_names_that_could_leave_their_folder_are_refused() -> None:
    names = [b"../../x", b"a/../../x", b"/abs", b"", b"nul\0name", b"a/b", b"a\rb", b"x" * 256]
    rows = [b"type=file;size=1;modify=20231114221321; " + name for name in [*names, b"good"]]
    rows += [b"type=cdir;modify=20231114221321; /", b"type=dir;modify=20231114221321; .."]
    rows += [b"no facts at all", b"type=OS.unix=slink:/etc;size=1; link", b"type=OS.unix=fifo; f"]
    items = listing(b"\r\n".join(rows) + b"\r\n")
    assert [item.path for item in items if isinstance(item, RemoteEntry)] == ["good"]
    reasons = [item.reason for item in items if isinstance(item, Skipped)]
    unreadable = {b"", b"nul\0name"}  # and the row without facts
    assert reasons.count(Reason.UNSAFE_NAME) == len(names) - len(unreadable)
    assert reasons.count(Reason.UNREADABLE_ROW) == len(unreadable) + 1
    assert reasons.count(Reason.LINK) == reasons.count(Reason.SPECIAL) == 1
    assert all("\0" not in item.path and "/" not in item.path for item in items)


@pytest.mark.parametrize("bytes_at_once", [0, 1])
def test_f12_a_drip_is_stalled(bytes_at_once: int) -> None:
    def drip(conversation: Conversation, argument: str) -> None:
        connected = conversation.accept()
        conversation.say("150 slowly")
        while conversation.wait(0.05):
            connected.sendall(b"x" * bytes_at_once)

    answer = fetch_one(size=10**6, RETR=drip, context=loopback_context(idle_s=1))
    assert isinstance(answer.error, Stalled)


def test_f12_a_reply_that_drips_is_stalled() -> None:
    def drip(conversation: Conversation, argument: str) -> None:
        while conversation.wait(0.05):
            conversation.socket.sendall(b"2")

    with scripted_ftp(USER=drip) as host, pytest.raises(Stalled) as caught:
        opened(host.target(), loopback_context(log_in_s=1))
    assert caught.value.stage is ConnectionStage.LOG_IN


def test_f12_a_listing_that_drips_is_stalled() -> None:
    def drip(conversation: Conversation, argument: str) -> None:
        connected = conversation.accept()
        conversation.say("150 slowly")
        while conversation.wait(0.05):
            connected.sendall(b"x")

    with scripted_ftp(MLSD=drip) as host:
        transport = opened(host.target(), loopback_context(idle_s=1))
        with pytest.raises(Stalled):
            list(transport.walk())
        transport.close()


def test_f13_a_421_is_throttled() -> None:
    with scripted_ftp(GREETING=saying("421 too many")) as host, pytest.raises(Throttled):
        opened(host.target())
    for verb in ("MLSD", "RETR", "EPSV"):
        scripts: dict[str, Any] = {verb: saying("421 enough for now")}
        with scripted_ftp({"file": TEN}, **scripts) as host, pytest.raises(Throttled):
            fetch_or_walk(host.target(), walk=verb == "MLSD")


def fetch_or_walk(target: Target, *, walk: bool) -> None:
    if not walk:
        fetch_all(target, [RemoteEntry("file", 10, None)])
        return
    transport = opened(target)
    try:
        list(transport.walk())
    finally:
        transport.close()


@pytest.mark.parametrize("reply", ["421 too many connections", "530 maximum number of clients", ""])
def test_f13_where_more_sessions_are_refused_the_work_goes_on_with_fewer(reply: str) -> None:
    def greet(conversation: Conversation, argument: str) -> None:
        if conversation.number < 2:
            conversation.say("220 welcome")
        elif reply.startswith("421"):
            conversation.say(reply)
            conversation.hang_up()
        elif reply:
            conversation.say("220 well")
            conversation.host.opened.append(conversation.socket)
        else:
            conversation.hang_up()

    def user(conversation: Conversation, argument: str) -> None:
        conversation.say("331 password?" if conversation.number < 2 else reply)

    files = {str(number): b"x" * number for number in range(40)}
    with scripted_ftp(files, GREETING=greet, USER=user) as host:
        entries = [RemoteEntry(name, len(content), None) for name, content in files.items()]
        answers = fetch_all(host.target(sessions=8), entries)
        assert len(host.asked("PASS")) <= 2
    assert {name: a.receipt for name, a in answers.items()} == {
        name: digest_of(content) for name, content in files.items()
    }


def test_f13_a_real_host_with_room_for_two_serves_eight(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    for number in range(100):
        (served / str(number)).write_bytes(b"x" * number)
    with running_vsftpd(tmp_path, served, sessions=2) as vsftpd:
        options = FtpOptions(root=vsftpd.root(served), sessions=8)
        transport = opened(Target("127.0.0.1", vsftpd.port, options, FtpSecret()))
        entries = [i for i in transport.walk() if isinstance(i, RemoteEntry)]
        answers = list(transport.fetch(entries, DigestSink()))
        transport.close()
    assert len(answers) == 100
    assert all(answer.error is None for answer in answers)


def test_a_session_that_idled_out_is_replaced() -> None:
    with scripted_ftp({"file": TEN}) as host:
        transport = opened(host.target(sessions=1))
        list(transport.walk())
        host.cut()
        (answer,) = transport.fetch([RemoteEntry("file", 10, None)], DigestSink())
        transport.close()
    assert answer.receipt == digest_of(TEN)


def test_a_host_that_loses_every_session_is_given_up() -> None:
    def hang_up(conversation: Conversation, argument: str) -> None:
        conversation.hang_up()

    with scripted_ftp({"file": TEN}, RETR=hang_up) as host:
        entries = [RemoteEntry("file", 10, None)] * 50
        transport = opened(host.target())
        with pytest.raises(ConnectionLost):
            list(transport.fetch(entries, DigestSink()))
        transport.close()
        assert len(host.asked("RETR")) < 20


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("550 No such file or directory", Vanished),
        ("550 Permission denied", PermissionRefused),
        ("550 Failed to open file.", PermissionRefused),  # for the host still describes it
        ("530 log in first", AuthRefused),
        ("553 bad name", TransportError),
        ("450 busy", TransportError),
    ],
)
def test_a_refused_file_fails_by_what_is_said(text: str, error: type[TransportError]) -> None:
    if error is AuthRefused:
        with pytest.raises(AuthRefused):
            fetch_one(RETR=saying(text))
        return
    assert isinstance(fetch_one(RETR=saying(text)).error, error)


def test_a_bare_550_for_a_file_that_is_gone_means_gone() -> None:
    with scripted_ftp({}, RETR=saying("550 Failed to open file.")) as host:
        answer = fetch_all(host.target(), [RemoteEntry("file", 10, None)])["file"]
    assert isinstance(answer.error, Vanished)


def test_a_folder_that_fails_is_skipped_and_a_root_that_fails_is_told() -> None:
    row = b"type=dir;modify=20231114221321; sub\r\ntype=file;size=1;modify=20231114221321; f\r\n"

    def script(conversation: Conversation, argument: str) -> None:
        if argument == "/sub":
            conversation.say("550 Permission denied")
        else:
            conversation.send(row)

    with scripted_ftp(MLSD=script) as host:
        transport = opened(host.target())
        items = {item.path: item for item in transport.walk()}
        transport.close()
    skipped = items["sub"]
    assert isinstance(skipped, Skipped)
    assert skipped.reason is Reason.UNREADABLE
    assert isinstance(items["f"], RemoteEntry)
    for reply, error in (("550 No such directory", RootMissing), ("550 denied", PermissionRefused)):
        with scripted_ftp(MLSD=saying(reply)) as host:
            transport = opened(host.target())
            with pytest.raises(error) as caught:
                list(transport.walk())
            assert caught.value.stage is ConnectionStage.LIST
            transport.close()


def test_n14_a_listing_that_is_broken_off_never_counts_as_whole() -> None:
    row = b"type=file;size=1;modify=20231114221321; f\r\n"
    for last, reset in (("426 ouch", False), ("451 ouch", False), ("426 ouch", True)):
        with scripted_ftp(MLSD=sending(row, last=last, reset=reset)) as host:
            transport = opened(host.target())
            with pytest.raises(TransportError):
                list(transport.walk())
            transport.close()


def endless(data: bytes) -> Script:
    def script(conversation: Conversation, argument: str) -> None:
        connected = conversation.accept()
        conversation.say("150 for ever")
        with connected:
            while True:
                connected.sendall(data)

    return script


def test_n19_an_endless_listing_is_streamed_in_bounded_memory() -> None:
    rows = b"".join(b"type=file;size=1;modify=20231114221321; f%d\r\n" % n for n in range(1000))
    with scripted_ftp(MLSD=endless(rows)) as host:
        transport = opened(host.target())
        walk = transport.walk()
        tracemalloc.start()
        for _ in range(30_000):
            next(walk)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        walk.close()  # type: ignore[attr-defined]
        transport.close()
    assert peak < 20 * 1024 * 1024


def test_an_endless_row_is_refused_in_bounded_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with scripted_ftp(MLSD=endless(b"x" * 65536)) as host:
        transport = opened(host.target())
        with pytest.raises(ProtocolViolation):
            list(transport.walk())
        transport.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize(
    "said", [b"220-" + b"x" * 65536, b"220-x\r\n" + b"more\r\n" * 8192, b"SSH-2.0\r\n"]
)
def test_an_endless_reply_and_what_is_no_reply_are_violations(said: bytes) -> None:
    def pour(conversation: Conversation, argument: str) -> None:
        while conversation.wait(0):
            conversation.socket.sendall(said)

    with scripted_ftp(GREETING=pour) as host, pytest.raises(ProtocolViolation):
        opened(host.target())


def test_preliminary_replies_without_end_are_a_violation() -> None:
    def pour(conversation: Conversation, argument: str) -> None:
        while conversation.wait(0):
            conversation.say("120 in a minute")

    with scripted_ftp(GREETING=pour) as host, pytest.raises(ProtocolViolation):
        opened(host.target())


def test_list_is_read_where_there_is_no_mlsd() -> None:
    unix = (
        "total 3\r\n"
        "drwxr-xr-x   2 a  b   4096 Nov 14 22:13 .\r\n"
        "-rw-r--r--   1 a  b     10 Nov 14 22:13  leading and trailing \r\n"
        "-rw-r--r--+  1 a  domain users     10 Nov 14  2023 plain 1 Jan 10 12:00 x\r\n"
        "lrwxrwxrwx   1 a  b      1 Nov 14  2023 link -> /etc\r\n"
        "crw-rw-rw-   1 a  b   1, 3 Nov 14  2023 null\r\n"
    )
    iis = "11-14-23  10:13PM       <DIR>          .\r\n11-14-2023  10:13PM        1,010 report 1.txt\r\n"
    feat = saying("211-F", " SIZE", "211 end")
    for told, names in (
        (unix, {" leading and trailing ", "plain 1 Jan 10 12:00 x"}),
        (iis, {"report 1.txt"}),
    ):
        files = dict.fromkeys(names, TEN)
        with scripted_ftp(
            files,
            FEAT=feat,
            LIST=sending(told.encode()),
            SIZE=saying("213 10"),
            MDTM=saying("213 20231114221321.500"),
        ) as host:
            transport = opened(host.target())
            items = list(transport.walk())
            entries = [item for item in items if isinstance(item, RemoteEntry)]
            assert {entry.path for entry in entries} == names
            assert {(e.size_bytes, e.modified_ns) for e in entries} == {
                (10, 1_700_000_001_500_000_000)
            }
            answers = list(transport.fetch(entries, DigestSink()))
            transport.close()
        assert all(answer.receipt == digest_of(TEN) for answer in answers)
        assert all(answer.observed == answer.entry for answer in answers)


def test_a_sink_that_has_enough_ends_its_file_only() -> None:
    def refuse(receiver: DigestReceiver) -> None:
        raise TooLarge

    content = os.urandom(3_000_000)
    with scripted_ftp({"file": content, "other": b""}) as host:
        entries = [RemoteEntry("file", len(content), None), RemoteEntry("other", 0, None)]
        answers = fetch_all(host.target(sessions=1), entries, DigestSink(on_write=refuse))
    assert isinstance(answers["file"].error, TooLarge)
    assert answers["other"].receipt == digest_of(b"")


def test_a_host_outside_the_allowed_networks_is_never_dialled() -> None:
    with scripted_ftp() as host:
        context = Context(Dialer(Policy()), Patience())
        with pytest.raises(TransportError) as caught:
            opened(host.target(), context)
        assert caught.value.code == "network_forbidden"
        assert not host.opened


def test_s10_refused_log_ins_leave_no_descriptor_and_no_thread() -> None:
    with nothing_left_held(), scripted_ftp(PASS=saying("530 wrong")) as host:
        target = host.target(username="u", password="secret", allow_plaintext_password=True)
        for _ in range(200):
            with pytest.raises(AuthRefused):
                opened(target)


def pour_rows(make: Callable[[int], bytes]) -> Script:
    """A listing without end, a thousand rows a time."""

    def script(conversation: Conversation, argument: str) -> None:
        connected = conversation.accept()
        conversation.say("150 for ever")
        turn = 0
        with connected:
            while conversation.wait(0):
                turn += 1
                connected.sendall(b"".join(make(turn * 1000 + n) + b"\r\n" for n in range(1000)))

    return script


@pytest.mark.parametrize(
    "row",
    [
        b"type=dir;modify=20231114221321; %d",
        b"type=OS.unix=chr; ../%d",
        b"type=cdir; .\r\nno facts %d",
    ],
)
def test_n19_no_kind_of_row_without_end_fills_memory(
    monkeypatch: pytest.MonkeyPatch, row: bytes
) -> None:
    monkeypatch.setattr("farends.wire.backlog.BYTES_MAX", 2 * 1024 * 1024)
    with scripted_ftp(MLSD=pour_rows(lambda number: row % number)) as host:
        transport = opened(host.target())
        walk = transport.walk()
        tracemalloc.start()
        if b"type=dir" in row:
            with pytest.raises(ProtocolViolation, match="wait to be listed"):
                list(walk)
        else:
            assert all(isinstance(next(walk), Skipped) for _ in range(30_000))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        walk.close()  # type: ignore[attr-defined]
        transport.close()
    assert peak < 20 * 1024 * 1024


ROWS = {
    "no facts": b"file",
    "facts without a name": b"type=file;size=1;modify=20231114221321;",
    "an empty name": b"type=file;size=1;modify=20231114221321; ",
    "another path": b"type=file;size=1;modify=20231114221321; /etc/passwd",
    "a kind that is none": b"type=nothing;size=1;modify=20231114221321; x",
    "a row of LIST": b"-rw-r--r-- 1 a b 1 Nov 14 2023 x",
    "bytes of nothing": b"\0\0\0\0",
}


@pytest.mark.parametrize("name", ROWS)
def test_n03_a_row_that_is_none_is_told_and_the_next_is_read(name: str) -> None:
    good = b"type=file;size=1;modify=20231114221321; good\r\n"
    items = listing(good + ROWS[name] + b"\r\n" + good.replace(b"good", b"also"))
    assert {item.path for item in items if isinstance(item, RemoteEntry)} == {"good", "also"}
    assert sum(isinstance(item, Skipped) for item in items) == 1


REPLIES: dict[str, Callable[[Conversation], None]] = {
    "a line of 1 MB": lambda c: c.socket.sendall(b"211-" + b"x" * 1_000_000 + b"\r\n211 end\r\n"),
    "100,000 lines": lambda c: c.socket.sendall(
        b"211-x\r\n" + b" y\r\n" * 100_000 + b"211 end\r\n"
    ),
    "no digits": lambda c: c.say("abc hello"),
    "a code out of range": lambda c: c.say("999 hello"),
    "a control code": lambda c: c.say("000 hello"),
    "empty lines without end": lambda c: c.socket.sendall(b"\r\n" * 500_000),
    "bytes of nothing": lambda c: c.socket.sendall(bytes(100_000)),
}


@pytest.mark.parametrize("name", REPLIES)
@pytest.mark.parametrize("verb", ["FEAT", "PWD", "EPSV"])
def test_f02_a_reply_that_is_none_is_a_violation_in_bounded_memory(verb: str, name: str) -> None:
    scripts: dict[str, Any] = {verb: lambda conversation, _: REPLIES[name](conversation)}
    tracemalloc.start()
    with scripted_ftp({"file": TEN}, **scripts) as host:
        try:
            error = fetch_all(host.target(), [RemoteEntry("file", 10, None)])["file"].error
        except TransportError as exc:
            error = exc
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(error, ProtocolViolation)
    assert len(str(error)) < 500
    assert peak < 20 * 1024 * 1024


@pytest.mark.parametrize("told", ["size=11", "size=9", "size=0"])
def test_s05_a_description_that_lies_is_never_agreed_with(told: str) -> None:
    """What MLST says after the transfer is held against what came."""

    def describe(conversation: Conversation, argument: str) -> None:
        conversation.say("250-x", f" type=file;{told};modify=20231114221321; file", "250 end")

    answer = fetch_one(MLST=describe)
    assert answer.error is not None or answer.observed is None or answer.observed.size_bytes != 10


@pytest.mark.parametrize(
    "reply",
    ["227 Entering (10,0,0,1,4,1)", "227 (169,254,169,254,0,80)", "227 (127,0,0,1,0,22)"],
)
def test_f07_p13_no_address_that_a_host_names_is_dialled(reply: str) -> None:
    dialled: list[tuple[str, int]] = []

    class Noting(Dialer):
        def dial(self, host: str, port: int, **more: Any) -> socket.socket:
            dialled.append((host, port))
            return super().dial(host, port, **more)

    context = Context(
        Noting(Policy.parse(["127.0.0.0/8"])), Patience(connect_s=1, log_in_s=2, idle_s=1)
    )
    scripts: dict[str, Any] = {"EPSV": saying("500 what?"), "PASV": saying(reply)}
    with scripted_ftp({"file": TEN}, RETR=saying("425 no"), **scripts) as host:
        transport = opened(host.target(sessions=1), context)
        with contextlib.suppress(TransportError):
            list(transport.fetch([RemoteEntry("file", 10, None)], DigestSink()))
        transport.close()
    assert dialled
    assert {name for name, _ in dialled} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("local", "mdtm", "zone"),
    [
        (b"Nov 14 22:13", b"20231114221321", 0),
        (b"Nov 15 00:13", b"20231114221321", 7200),
        (b"Nov 14 17:43", b"20231114221321", -16_200),
        (b"Nov 15  3:58", b"20231114221321", 20_700),
        (b"Jan  1 01:30", b"20231231233000", 7200),
        (b"Dec 31 20:30", b"20240101013000", -18_000),
        (b"Nov 14 22:14", b"20231114221321", None),
        (b"Nov 17 22:13", b"20231114221321", None),
        (b"Nov 14  2023", b"20231114221321", None),
        (b"lis 14 22:13", b"20231114221321", None),  # a month that languages disagree on
    ],
)
def test_the_zone_of_a_listing_shows_beside_the_time_in_utc(
    local: bytes, mdtm: bytes, zone: int | None
) -> None:
    modified_ns = time_ns(mdtm)
    assert modified_ns is not None
    row = ListReader().read(b"-rw-r--r-- 1 a b 10 " + local + b" file")
    assert row is not None
    assert row.when is not None
    assert zone_s(row.when, modified_ns) == zone


def test_what_ftp_tells_of_times_is_measured() -> None:
    """LIST in the host's zone beside MDTM in UTC; fractions where there are any."""

    def rows(conversation: Conversation, argument: str) -> None:
        conversation.send(b"-rw-r--r--   1 a  b   10 Nov 15 00:13 file\r\n")

    answers = {
        "FEAT": saying("211 none"),
        "LIST": rows,
        "SIZE": saying("213 10"),
        "MDTM": saying("213 20231114221321.250"),
    }
    with scripted_ftp({"file": TEN}, **answers) as host:
        transport = opened(host.target())
        before = transport.capabilities
        (entry,) = transport.walk()
        told = transport.capabilities
        transport.close()
    assert isinstance(entry, RemoteEntry)
    assert entry.modified_ns == 1_700_000_001_250_000_000
    assert (before.list_zone_s, told.list_zone_s) == (None, 7200)
    assert (before.modified_precision_ns, told.modified_precision_ns) == (10**9, 10**7)
