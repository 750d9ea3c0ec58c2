"""FTP: a listing that is not whole, or not understood, says so."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from farends.contract import (
    INCOMPLETE,
    Context,
    Reason,
    RemoteEntry,
    RoundListing,
    Seen,
    Skipped,
)
from farends.errors import (
    ConnectionLost,
    NotAListing,
    ProtocolViolation,
    RootMissing,
    TransportError,
    Truncated,
)
from farends.ftp.transport import FTP_SPEC, FtpOptions, FtpSecret
from farends.spec import Target
from tests.hosts.proftpd import PASSWORD, USERNAME
from tests.hosts.pureftpd import running_pureftpd
from tests.hosts.scripted_ftp import MODIFY, Conversation, Script, facts_of, scripted_ftp
from tests.hosts.sinks import DigestSink, loopback_context
from tests.scale.rss import rss_growth

ROOT = PurePosixPath("/")
OLD: dict[str, Any] = {
    "FEAT": lambda c, _: c.say("211-F", " SIZE", " MDTM", "211 end")
}  # knows no MLSD


def saying(*lines: str) -> Script:
    return lambda conversation, argument: conversation.say(*lines)


def sending(data: bytes | str, *, last: str = "226 done") -> Script:
    raw = data if isinstance(data, bytes) else data.encode()
    return lambda conversation, argument: conversation.send(raw, last=last)


def walked(target: Target, context: Context | None = None) -> list[Seen]:
    transport = FTP_SPEC.open(target, context or loopback_context())
    try:
        return list(transport.walk())
    finally:
        transport.close()


def listing(
    files: dict[str, bytes] | None = None, *, context: Context | None = None, **scripts: Any
) -> list[Seen]:
    with scripted_ftp(files, **scripts) as host:
        return walked(host.target(), context)


def names(items: list[Seen]) -> set[str]:
    return {item.path for item in items if isinstance(item, RemoteEntry)}


def reasons(items: list[Seen]) -> list[Reason]:
    return [item.reason for item in items if isinstance(item, Skipped)]


def is_whole(items: list[Seen]) -> bool:
    return not INCOMPLETE.intersection(reasons(items))


GOOD = f"type=file;size=1;modify={MODIFY}; good\r\n"
UNREADABLE = {
    "no facts": "file",
    "a name without facts": "; file",
    "facts without a name": f"type=file;size=1;modify={MODIFY};",
    "an empty name": f"type=file;size=1;modify={MODIFY}; ",
    "a kind that is none": f"type=nothing;size=1;modify={MODIFY}; file",
    "a kind of a system that nobody knows": "type=OS.nt=reparse;size=1; file",
    "a row of LIST": "-rw-r--r-- 1 a b 1 Nov 14 2023 file",
    "a NUL in the name": f"type=file;size=1;modify={MODIFY}; fi\0le",
    "a NUL in the facts": f"type=file;size=\0;modify={MODIFY}; file",
    "a size of 40 digits": f"type=file;size={'9' * 40};modify={MODIFY}; file",
    "a kind that is told nowhere": f"size=1;modify={MODIFY}; file",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_row_of_mlsd_that_is_not_understood_leaves_its_folder_incomplete(
    name: str,
) -> None:
    items = listing(MLSD=sending(GOOD + UNREADABLE[name] + "\r\n" + GOOD.replace("good", "also")))
    assert names(items) == {"good", "also"}
    (skipped,) = [item for item in items if isinstance(item, Skipped)]
    assert skipped.reason is Reason.UNREADABLE_ROW
    assert skipped.message


def test_a_row_without_a_kind_is_what_the_host_says_of_it() -> None:
    rows = f"size=4;modify={MODIFY}; told\r\nsize=4;modify={MODIFY}; sub\r\n"

    def describe(conversation: Conversation, argument: str) -> None:
        kind = "dir" if argument == "/sub" else "file"
        conversation.say("250-x", f" type={kind};size=4;modify={MODIFY}; {argument}", "250 end")

    def list_rows(conversation: Conversation, argument: str) -> None:
        conversation.send((rows if argument == "/" else GOOD).encode())

    items = listing(MLSD=list_rows, MLST=describe)
    assert names(items) == {"told", "sub/good"}
    assert is_whole(items)


def test_a_name_that_is_understood_and_unsafe_stays_unsafe() -> None:
    items = listing(MLSD=sending(GOOD + f"type=file;size=1;modify={MODIFY}; ../x\r\n"))
    assert reasons(items) == [Reason.UNSAFE_NAME]


UNIX = "-rw-r--r--   1 a  b   10 Nov 14 22:13 "


@pytest.mark.parametrize("size", ["550 No such file", "550 what?"])
def test_a_row_of_list_that_names_what_the_host_does_not_know(size: str) -> None:
    """The column before a name was lost, so the name is another."""

    def tell_size(conversation: Conversation, argument: str) -> None:
        conversation.say("213 10" if argument == "/good" else size)

    rows = f"{UNIX}good\r\n{UNIX}cut file\r\n"
    items = listing(**OLD, LIST=sending(rows), SIZE=tell_size, MDTM=tell_size)
    assert names(items) == {"good"}
    assert reasons(items) == [Reason.UNREADABLE_ROW]


@pytest.mark.parametrize("end", ["", "\r", "\r\n"])
@pytest.mark.parametrize("known", [True, False])
def test_a_last_row_without_its_end_is_asked_for(end: str, *, known: bool) -> None:
    files = {"good": b"1", "report-1": b"1"} if known else {"good": b"1", "report-10": b"1"}
    items = listing(files, MLSD=sending(GOOD + facts_of("report-1", b"1") + end))
    assert (names(items) == {"good", "report-1"}) is (known or end == "\r\n")
    assert is_whole(items) is (known or end == "\r\n")


NOT_LISTINGS = {
    "html": "<html><body>Log in first</body></html>\r\n",
    "a complaint": "ls: cannot open directory: Stale file handle\r\n",
    "without an end": "Service restarts",
    "many rows": "what is this?\r\n" * 5_000,
}


@pytest.mark.parametrize("name", NOT_LISTINGS)
@pytest.mark.parametrize("verb", ["MLSD", "LIST"])
def test_a_listing_without_one_row_that_is_understood_is_none(verb: str, name: str) -> None:
    rows, more = NOT_LISTINGS[name], OLD if verb == "LIST" else {}
    scripts: dict[str, Any] = more | {verb: sending(rows)}
    with pytest.raises(NotAListing) as caught:
        listing(**scripts)
    assert caught.value.shown.startswith(rows[:12])
    assert len(caught.value.shown) < 300

    def below(conversation: Conversation, argument: str) -> None:
        conversation.send((rows if argument == "/sub" else SUB + GOOD).encode())

    items = listing(MLSD=below)
    assert names(items) == {"good"}
    assert reasons(items) == [Reason.NOT_A_LISTING]


SUB = f"type=dir;modify={MODIFY}; sub\r\n"
ROWS = "".join(f"type=file;size=1;modify={MODIFY}; f{number}\r\n" for number in range(7))
DOTS = f"type=cdir;modify={MODIFY}; .\r\ntype=pdir;modify={MODIFY}; ..\r\n"
CUT = [
    ("226 Output truncated to 7 matches",),
    ("226-Options: -a -l", "226 Output truncated to 7 matches"),
    ("226-Output truncated to 7 matches", "226 done"),
    ("226 Anzeige auf 7 Einträge beschränkt.",),
    ("226 Sortie tronquee a 7 elements",),
    ("226-Options: -a -l", "226 9 matches total"),
    ("226 6 matches total",),
    ("226 Transfer complete, listing incomplete",),
    ("226 Only 7 of 30 names are shown",),
    ("226 Transfer complete, 30 entries",),
    ("226 Maximum number of files reached",),
    ("226 Transfer aborted",),
]
WHOLE = [
    ("226 7 matches total",),
    ("226-Options: -a -l", "226 9 matches total"),
    ("226 Transfer complete. 1,164 bytes transferred. 1.12 KB/sec.",),
    ("226-Speed is limited to 100 kB/s", "226 Directory send OK."),
    ("250 Listing completed.",),
    ("226 Transfer complete, 7 entries",),
    ("226 7 of 7 names are shown",),
    ("226 Transfer complete at 1 of May 2026",),
]


@pytest.mark.parametrize("last", CUT)
def test_a_last_reply_that_tells_of_a_cut_makes_the_folder_incomplete(
    last: tuple[str, ...],
) -> None:
    def send(conversation: Conversation, argument: str) -> None:
        conversation.send(ROWS.encode(), last="\r\n".join(last))

    items = listing(MLSD=send)
    assert len(names(items)) == 7  # what came is used
    (skipped,) = [item for item in items if isinstance(item, Skipped)]
    assert (skipped.path, skipped.reason) == ("", Reason.LISTING_CUT)


@pytest.mark.parametrize("last", WHOLE)
def test_other_last_replies_end_a_whole_listing(last: tuple[str, ...]) -> None:
    def send(conversation: Conversation, argument: str) -> None:
        dots = DOTS if "9 matches" in last[-1] else ""
        conversation.send((dots + ROWS).encode(), last="\r\n".join(last))

    items = listing(MLSD=send)
    assert len(names(items)) == 7
    assert is_whole(items)


@pytest.mark.parametrize(
    ("rows", "told"), [(998, True), (1_000, True), (10_000, True), (999, False), (1_001, False)]
)
def test_a_round_listing_is_told(rows: int, *, told: bool) -> None:
    text = "".join(f"type=file;size=1;modify={MODIFY}; f{number}\r\n" for number in range(rows))

    def send(conversation: Conversation, argument: str) -> None:
        conversation.send((DOTS + text if argument == "/sub" else SUB).encode())

    items = listing(MLSD=send)
    found = [item for item in items if isinstance(item, RoundListing)]
    assert found == ([RoundListing("sub", rows)] if told else [])


@pytest.mark.parametrize("last", ["226 Failed to open directory.", "226-Sorry, we were unable to read [.]\r\n226 0 matches total"])  # fmt: skip
def test_a_folder_that_was_not_read_is_no_empty_folder(last: str) -> None:
    def send(conversation: Conversation, argument: str) -> None:
        conversation.send((SUB + GOOD).encode() if argument == "/" else b"", last=last if argument != "/" else "226")  # fmt: skip

    items = listing(MLSD=send)
    assert names(items) == {"good"}
    assert reasons(items) == [Reason.UNREADABLE]


BROKEN: dict[str, Callable[[Conversation], None]] = {
    code: (lambda c, code=code: c.send(GOOD.encode(), last=code))  # type: ignore[misc]
    for code in ("425 no", "426 ouch", "450 busy", "451 disk", "550 gone", "552 quota", "421 bye")
}
BROKEN["no reply at all"] = lambda c: c.send(GOOD.encode(), last="")


def end_the_session(conversation: Conversation) -> None:
    conversation.send(GOOD.encode(), last="")
    conversation.hang_up()


BROKEN["the session ends"] = end_the_session


@pytest.mark.parametrize("name", BROKEN)
def test_rows_without_a_good_last_reply_are_a_failed_folder(name: str) -> None:
    def send(conversation: Conversation, argument: str) -> None:
        if argument == "/sub":
            BROKEN[name](conversation)
        else:
            conversation.send((SUB + GOOD).encode())

    items = listing(MLSD=send, context=loopback_context(idle_s=1))
    assert "good" in names(items)
    (skipped,) = [item for item in items if isinstance(item, Skipped)]
    assert (skipped.path, skipped.reason) == ("sub", Reason.UNREADABLE)
    assert skipped.retryable is (name[:2] != "55" or name.startswith("550"))


@pytest.fixture
def cutting_host(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    served = tmp_path / "served"
    served.mkdir()
    with running_pureftpd(tmp_path, served, limit=160) as port:
        yield port, served


@pytest.mark.parametrize("plain", [False, True])
def test_pure_ftpd_cuts_a_listing_and_says_so(
    cutting_host: tuple[int, Path], monkeypatch: pytest.MonkeyPatch, *, plain: bool
) -> None:
    port, served = cutting_host
    if plain:
        monkeypatch.setattr("farends.ftp.login.Features.mlsd", property(lambda _: False, lambda *_: None))  # fmt: skip
    options = FtpOptions(username=USERNAME, root="/", allow_plaintext_password=True)
    target = Target("127.0.0.1", port, options, FtpSecret(password=PASSWORD))
    for number in range(157):
        (served / f"f{number}").write_text("x")
    items = walked(target)
    assert len(names(items)) == 157
    assert is_whole(items)
    for number in range(157, 200):
        (served / f"f{number}").write_text("x")
    items = walked(target)
    assert len(names(items)) == 158
    assert reasons(items) == [Reason.LISTING_CUT]


REFUSALS = ["425 no data connection", "450 busy", "450 No such file, for now", "451 local error"]
REFUSALS += ["452 later", "421 too many"]


class Refusing:
    """Refuses `verb` once where the folder `sub` is asked for; after 421 it ends the session, twice."""

    def __init__(self, verb: str, reply: str) -> None:
        self._verb = verb
        self._refusals = [reply] * (2 if reply.startswith("421") else 1)
        self._inside: set[int] = set()
        self._listening: set[int] = set()

    @property
    def scripts(self) -> dict[str, Any]:
        known: dict[str, Any] = {"SIZE": saying("213 10"), "MDTM": saying(f"213 {MODIFY}")}
        known |= {"MLSD": self.list_facts, "LIST": self.list_rows, "CWD": self.enter}
        return known | {"EPSV": self.listen} | ({} if self._verb == "MLSD" else OLD)

    def _refuses(self, conversation: Conversation, verb: str, *, below: bool) -> bool:
        if verb != self._verb or not below or not self._refusals:
            return False
        reply = self._refusals.pop()
        conversation.say(reply)
        if reply.startswith("421"):
            conversation.hang_up()
        return True

    def enter(self, conversation: Conversation, argument: str) -> None:
        below = argument == "/sub"
        if not self._refuses(conversation, "CWD", below=below):
            (self._inside.add if below else self._inside.discard)(conversation.number)
            conversation.say("250 fine")

    def listen(self, conversation: Conversation, argument: str) -> None:
        below = conversation.number in self._inside
        if not self._refuses(conversation, "EPSV", below=below):
            self._listening.add(conversation.number)
            conversation.say(f"229 Extended (|||{conversation.listen()}|)")

    def list_facts(self, conversation: Conversation, argument: str) -> None:
        below = argument == "/sub"
        if not self._refuses(conversation, "MLSD", below=below):
            conversation.send((GOOD if below else SUB + GOOD).encode())

    def list_rows(self, conversation: Conversation, argument: str) -> None:
        below = conversation.number in self._inside
        if conversation.number not in self._listening:
            conversation.say("425 no data connection")
        elif not self._refuses(conversation, "LIST", below=below):
            self._listening.discard(conversation.number)
            folder = "" if below else "drwxr-xr-x   2 a  b   4096 Nov 14 22:13 sub\r\n"
            conversation.send(f"{folder}{UNIX}good\r\n".encode())


@pytest.mark.parametrize("reply", REFUSALS)
@pytest.mark.parametrize("verb", ["MLSD", "CWD", "LIST", "EPSV"])
def test_a_folder_that_is_refused_once_is_worth_another_look(verb: str, reply: str) -> None:
    with scripted_ftp(**Refusing(verb, reply).scripts) as host:
        transport = FTP_SPEC.open(host.target(sessions=1), loopback_context())
        items = list(transport.walk())
        skipped = [item for item in items if isinstance(item, Skipped)]
        assert [(each.path, each.retryable) for each in skipped] == [("sub", True)]
        assert names(items) == {"good"}
        assert names(list(transport.walk_again("sub"))) == {"good"}
        transport.close()


@pytest.mark.parametrize("reply", ["550 denied", "550 what?", "553 bad name", "501 what?"])
def test_a_folder_that_is_refused_for_good_is_not(reply: str) -> None:
    def send(conversation: Conversation, argument: str) -> None:
        if argument == "/sub":
            conversation.say(reply)
        else:
            conversation.send(SUB.encode())

    (skipped,) = listing(MLSD=send)
    assert isinstance(skipped, Skipped)
    assert (skipped.reason, skipped.retryable) == (Reason.UNREADABLE, False)


def test_a_folder_that_is_silent_is_worth_another_look() -> None:
    def send(conversation: Conversation, argument: str) -> None:
        if argument == "/sub":
            conversation.wait(30)
        else:
            conversation.send(SUB.encode())

    (skipped,) = listing(MLSD=send, context=loopback_context(idle_s=1))
    assert isinstance(skipped, Skipped)
    assert (skipped.reason, skipped.retryable) == (Reason.UNREADABLE, True)


def test_a_root_that_is_refused_for_a_moment_is_not_missing() -> None:
    for reply in ("450 No such file, for now", "425 no"):
        with pytest.raises(TransportError) as caught:
            listing(MLSD=saying(reply))
        assert caught.value.retryable
        assert not isinstance(caught.value, RootMissing)


@pytest.mark.parametrize("verb", ["MLST", "SIZE", "MDTM"])
@pytest.mark.parametrize("reply", ["450 busy", "451 local error"])
def test_a_file_that_is_refused_once_is_asked_about_again(verb: str, reply: str) -> None:
    refused: list[str] = []

    def tell(told: str) -> Script:
        def script(conversation: Conversation, argument: str) -> None:
            if told == verb and not refused:
                refused.append(argument)
                conversation.say(reply)
            elif told == "MLST":
                conversation.say("250-x", " " + facts_of("file", b"0123456789"), "250 end")
            else:
                conversation.say("213 10" if told == "SIZE" else f"213 {MODIFY}")

        return script

    rows: dict[str, Any] = {"MLSD": sending("type=file; file\r\n")}
    rows |= {} if verb == "MLST" else OLD | {"LIST": sending(f"{UNIX}file\r\n")}
    scripts = {told: tell(told) for told in ("MLST", "SIZE", "MDTM")}
    with scripted_ftp({"file": b"0123456789"}, **rows, **scripts) as host:
        transport = FTP_SPEC.open(host.target(), loopback_context())
        (entry,) = transport.walk()
        assert refused
        assert isinstance(entry, RemoteEntry)
        assert (entry.size_bytes, entry.modified_ns) == (10, 1_700_000_001 * 10**9)
        refused.clear()
        (answer,) = transport.fetch([entry], DigestSink())
        assert refused
        assert answer.observed == entry
        transport.close()


ELEVEN = b"hello world"
SIZE_ROW = "-rw-r--r--   1 a  b   11 Nov 14 22:13 "
WAYS: dict[str, dict[str, Script]] = {
    "MLST": {"MLST": saying("250-x", f" type=file;size=11;modify={MODIFY}; /file", "250 end")},
    "SIZE, MLST not known": {"MLST": saying("502 no"), "SIZE": saying("213 11")},
    "SIZE, MLST refused": {"MLST": saying("550 not for you"), "SIZE": saying("213 11")},
    "SIZE, MLST without sizes": {
        "MLST": saying("250-x", f" type=file;modify={MODIFY}; /file", "250 end"),
        "SIZE": saying("213 11"),
    },
    "STAT": {
        "MLST": saying("502 no"),
        "STAT": saying("213-STAT", SIZE_ROW + "/file", SIZE_ROW.replace("11", "99") + "/fil", "213 end"),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", [*WAYS, "none"])
def test_the_size_is_asked_for_in_every_way_that_the_host_has(name: str) -> None:
    """MLSD tells no sizes, and the transfer ends at byte 5 of 11."""
    scripts: dict[str, Any] = dict(WAYS.get(name, {"MLST": saying("502 no")}))
    scripts["MLSD"] = sending(f"type=file;modify={MODIFY}; file\r\n")
    scripts["RETR"] = sending(ELEVEN[:5])
    with scripted_ftp(**scripts) as host:
        transport = FTP_SPEC.open(host.target(sessions=1), loopback_context())
        (entry,) = transport.walk()
        assert isinstance(entry, RemoteEntry)
        assert entry.size_bytes == (None if name == "none" else 11)
        (answer,) = transport.fetch([entry], DigestSink())
        # As if nobody had told the size beforehand.
        (unlisted,) = transport.fetch([RemoteEntry("file", None, None)], DigestSink())
        transport.close()
    if name == "none":
        assert answer.error is None
        assert answer.unproved
        assert unlisted.unproved
        return
    assert isinstance(answer.error, Truncated)
    assert unlisted.observed is not None
    assert (unlisted.unproved, unlisted.observed.size_bytes) == (False, 11)


@pytest.mark.parametrize(("told", "cut"), [("(11 bytes)", True), ("(5 bytes).", False)])
def test_a_size_that_only_the_transfer_tells_shows_that_it_was_cut(told: str, cut: bool) -> None:
    def retrieve(conversation: Conversation, argument: str) -> None:
        connected = conversation.accept()
        conversation.say(f"150 Opening BINARY mode data connection for file {told}")
        with connected:
            connected.sendall(ELEVEN[:5])
        conversation.say("226 done")

    listing = sending(f"type=file;modify={MODIFY}; file\r\n")
    with scripted_ftp(MLST=saying("502 no"), MLSD=listing, RETR=retrieve) as host:
        transport = FTP_SPEC.open(host.target(sessions=1), loopback_context())
        (answer,) = transport.fetch(transport.walk(), DigestSink())  # type: ignore[arg-type]
        transport.close()
    assert isinstance(answer.error, Truncated) is cut
    assert not answer.unproved


def test_what_waits_of_a_listing_stays_within_the_memory_of_a_worker() -> None:
    """Rows without a size, as large as they may be, from a host that never answers what it is asked."""
    row = f"type=file;unique={'u' * 100}; {'x' * 180}%08d\r\n"

    def pour(conversation: Conversation, argument: str) -> None:
        connected = conversation.accept()
        conversation.say("150 for ever")
        number = 0
        with connected:
            while conversation.wait(0):
                connected.sendall("".join(row % (number + more) for more in range(1000)).encode())
                number += 1000

    def never(conversation: Conversation, argument: str) -> None:
        conversation.wait(600)

    with scripted_ftp(MLSD=pour, MLST=never) as host:
        transport = FTP_SPEC.open(host.target(sessions=2), loopback_context(idle_s=300))
        with rss_growth() as growth, pytest.raises(ProtocolViolation, match="wait"):
            list(transport.walk())
        transport.close()
    assert growth.peak_bytes < 384 * 1024 * 1024


@pytest.mark.parametrize("row", [b"x\n", b"\n"])
def test_rows_of_one_byte_do_not_pile_up(row: bytes) -> None:
    def pour(conversation: Conversation, argument: str) -> None:
        connected = conversation.accept()
        conversation.say("150 here it comes")
        with connected:
            connected.sendall(GOOD.encode() + row * 300_000)
        conversation.say("226 done")

    with scripted_ftp(MLSD=pour) as host:
        transport = FTP_SPEC.open(host.target(), loopback_context())
        with rss_growth() as growth:
            count = sum(1 for _ in transport.walk())
        transport.close()
    assert count == (1 if row == b"\n" else 300_001)
    assert growth.peak_bytes < 64 * 1024 * 1024


@pytest.mark.parametrize("verb", ["GREETING", "PASS", "OPTS", "TYPE"])
@pytest.mark.parametrize("sessions", [1, 2])
def test_replies_that_nobody_asked_for_are_a_violation(verb: str, sessions: int) -> None:
    """In one breath with what ends the log-in, of the first session or of the next."""
    good = {"GREETING": "220 hi", "PASS": "230 welcome", "OPTS": "200 fine", "TYPE": "200 fine"}

    def flood(conversation: Conversation, argument: str) -> None:
        if conversation.number < sessions - 1:
            conversation.say(good[verb])
        else:
            conversation.say(*[good[verb]] * 5_000)

    files = {f"f{number}": b"x" for number in range(50)}
    scripts: dict[str, Any] = {verb: flood}
    with scripted_ftp(files, **scripts) as host:
        with contextlib.suppress(ProtocolViolation, ConnectionLost):
            transport = FTP_SPEC.open(host.target(sessions=sessions), loopback_context())
            try:
                entries = [item for item in transport.walk() if isinstance(item, RemoteEntry)]
                list(transport.fetch(entries, DigestSink()))
            finally:
                transport.close()
        assert len(host.asked("USER")) < 10


def test_names_of_lone_surrogates_are_names() -> None:
    row = f"type=file;size=1;modify={MODIFY}; ".encode()
    items = listing(MLSD=sending(row + b"\xed\xa0\x80\r\n" + row + b"\xff\r\n"))
    assert names(items) == {"\udced\udca0\udc80", "\udcff"}
