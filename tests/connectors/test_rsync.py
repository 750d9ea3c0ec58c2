"""rsync: its daemon, its exit codes, and hosts that stall or hold what is no file (docs/promises.md: R)."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from farends.contract import Context, Fetched, Reason, RemoteEntry, Skipped
from farends.errors import (
    AuthConfig,
    AuthRefused,
    HostKeyChanged,
    HostKeyUnknown,
    PermissionRefused,
    ProtocolViolation,
    RootMissing,
    Stalled,
    Throttled,
    TransientError,
    TransportError,
    Unstable,
)
from farends.rsync import fetch as rsync_fetch
from farends.rsync.batch import RsyncBatch
from farends.rsync.checksums import MD5
from farends.rsync.child import RsyncMissing
from farends.rsync.exits import EXITS, exit_error
from farends.rsync.folders import Folders
from farends.rsync.lines import parse_complaint, parse_listed, unescape_row
from farends.rsync.transport import SPEC, RsyncOptions, RsyncSecret
from farends.spec import Target
from tests.holding import nothing_left_held
from tests.hosts.rsyncd import PASSWORD, Rsyncd, running_rsyncd
from tests.hosts.sinks import DigestReceiver, DigestSink, digest_of, loopback_context
from tests.hosts.speaking import speaking
from tests.hosts.sshd import Sshd, make_key
from tests.scale.rss import rss_growth
from tests.waiting import until

CANARY = "canary-7f3a9c51e2"
GREETING = b"@RSYNCD: 31.0 sha512 md5\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rsyncd]:
    home = tmp_path_factory.mktemp("rsyncd")
    served = home / "served"
    served.mkdir()
    with running_rsyncd(home, served) as running:
        yield running


@pytest.fixture
def root(daemon: Rsyncd) -> Path:
    folder = Path(tempfile.mkdtemp(dir=daemon.served))
    folder.chmod(0o755)  # the daemon serves as another user
    return folder


@pytest.fixture(autouse=True)
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where transports stage; nothing may be left of it."""
    folder = tmp_path / "staging"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []
    assert children() == []


def children() -> list[str]:
    """Clients of rsync and ssh that this process started and that still run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = status.read_text().partition("(")[2].rpartition(")")
            command = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        ours = int(rest.split()[1]) == os.getpid() and name in ("rsync", "ssh")
        if ours and b"--daemon" not in command:
            found.append(name)
    return found


def over_ssh(sshd: Sshd, folder: Path | str, *, host_key: str | None = None) -> Target:
    sftp = sshd.target(folder, host_key=host_key).options
    options = RsyncOptions(sftp.username, sftp.root, True, host_key=sftp.host_key)
    return Target("127.0.0.1", sshd.port, options, RsyncSecret(private_key=sshd.private_key))


def fetch_all(
    target: Target, sink: DigestSink | None = None, *, context: Context | None = None
) -> tuple[dict[str, Fetched], list[Skipped]]:
    sink = sink or DigestSink()
    transport = SPEC.open(target, context or loopback_context())
    try:
        items = list(transport.walk())
        entries = [item for item in items if isinstance(item, RemoteEntry)]
        answers = {answer.entry.path: answer for answer in transport.fetch(entries, sink)}
    finally:
        transport.close()
        assert not sink.left_open
    return answers, [item for item in items if isinstance(item, Skipped)]


def test_a_module_s_password_opens_it_and_a_wrong_one_does_not(daemon: Rsyncd, root: Path) -> None:
    (root / "file").write_bytes(b"x")
    target = daemon.target(root, module="locked", password=PASSWORD)
    assert fetch_all(target)[0]["file"].receipt == digest_of(b"x")
    for password in ("", "wrong"):
        with pytest.raises(AuthRefused):
            SPEC.open(daemon.target(root, module="locked", password=password), loopback_context())


def test_an_unknown_module_and_no_module_are_told(daemon: Rsyncd, root: Path) -> None:
    with pytest.raises(RootMissing, match="Unknown module"):
        SPEC.open(daemon.target(root, module="nothing"), loopback_context())
    target = Target("127.0.0.1", daemon.port, RsyncOptions(), RsyncSecret())
    with pytest.raises(RootMissing, match="module"):
        SPEC.open(target, loopback_context())


def test_a_root_that_is_a_file_is_no_folder(daemon: Rsyncd, root: Path) -> None:
    (root / "file").write_bytes(b"x")
    transport = SPEC.open(daemon.target(root / "file"), loopback_context())
    with pytest.raises(RootMissing):
        list(transport.walk())
    transport.close()


def test_names_are_data_whatever_rsync_makes_of_them(daemon: Rsyncd, root: Path) -> None:
    names = [
        "new\nline",
        "\\#012",
        "a -> b",
        "-rf",
        "$(touch x)",
        "[a]*?",
        "é\udcff",
        "# ; x",
        "\r",
    ]
    folder = root / "fol der*[x]\n"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(os.fsencode(name))
    (folder / "link -> x").symlink_to("y -> z")
    answers, skipped = fetch_all(daemon.target(folder))
    assert {p: a.receipt for p, a in answers.items()} == {
        name: digest_of(os.fsencode(name)) for name in names
    }
    assert [(item.path, item.reason) for item in skipped] == [("link -> x", Reason.LINK)]


def test_r05_only_regular_files_arrive(daemon: Rsyncd, root: Path) -> None:
    for name, mode in (("setuid", 0o4755), ("plain", 0o644)):
        (root / name).write_bytes(b"x")
        (root / name).chmod(mode)
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "folder").symlink_to("/")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
    os.link(root / "plain", root / "hardlink")
    if os.geteuid() == 0:
        os.mknod(root / "device", 0o20644, os.makedev(1, 5))
    answers, skipped = fetch_all(daemon.target(root))
    assert {p: a.receipt for p, a in answers.items()} == dict.fromkeys(
        ("setuid", "plain", "hardlink"), digest_of(b"x")
    )
    reasons = {item.path: item.reason for item in skipped}
    assert reasons.pop("absolute") is reasons.pop("folder") is Reason.LINK
    assert set(reasons.values()) == {Reason.SPECIAL}
    wanted = [RemoteEntry(path, 1, None) for path in ("absolute", "fifo", "folder/etc/passwd")]
    transport = SPEC.open(daemon.target(root), loopback_context())
    list(transport.walk())
    sink = DigestSink()
    assert all(isinstance(a.error, TransportError) for a in transport.fetch(wanted, sink))
    transport.close()
    assert not sink.receivers


def test_a_file_that_refuses_is_its_own_failure(daemon: Rsyncd, root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the daemon serves as the user that runs the tests")
    (root / "denied").write_bytes(b"x")
    (root / "denied").chmod(0o600)
    (root / "open").write_bytes(b"x")
    answers, _ = fetch_all(daemon.target(root))
    assert isinstance(answers["denied"].error, PermissionRefused)
    assert answers["open"].receipt == digest_of(b"x")


def test_r07_no_secret_stands_in_a_process_list(
    daemon: Rsyncd, root: Path, staging: Path, tmp_path: Path
) -> None:
    home = tmp_path / "second"
    home.mkdir()
    (root / "file").write_bytes(b"x")
    seen: list[str] = []
    modes: list[int] = []

    def look(receiver: DigestReceiver) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    text = (process / name).read_bytes()
                except OSError:
                    continue
                if CANARY.encode() in text:
                    seen.append(f"{process}/{name}")
        modes.extend(p.stat().st_mode & 0o777 for p in staging.glob("*/password"))

    secrets_before = CANARY
    with running_rsyncd(home, daemon.served) as second:
        (home / "rsyncd.secrets").write_text(f"reader:{secrets_before}\n")
        sink = DigestSink(on_write=look)
        answers, _ = fetch_all(second.target(root, module="locked", password=CANARY), sink)
    assert answers["file"].receipt == digest_of(b"x")
    assert seen == []
    assert modes == [0o600]


def test_r04_a_daemon_silent_after_its_greeting_is_stalled_and_its_child_killed() -> None:
    options = RsyncOptions(root="module/x")
    with speaking(GREETING) as port:
        with pytest.raises(Stalled):
            SPEC.open(
                Target("127.0.0.1", port, options, RsyncSecret()), loopback_context(idle_s=1.0)
            )
        assert children() == []


@pytest.mark.parametrize(
    ("said", "errors"),
    [
        (GREETING + b"@RSYNCD: OK\n", (Stalled,)),
        (GREETING + b"@RSYNCD: OK\n" + bytes(100_000), (TransportError,)),
        (GREETING + b"@RSYNCD: OK\n" + b"\xff" * 100_000, (TransportError,)),
        (GREETING + b"motd\n" * 10_000 + b"@RSYNCD: OK\n", (Stalled, ProtocolViolation)),
        (GREETING + b"@ERROR: " + b"x" * 900 + b"\n@RSYNCD: EXIT\n", (ProtocolViolation,)),
        (GREETING + b"@RSYNCD: EXIT\n", (TransportError,)),
        (b"@RSYNCD: 99999.0\n@RSYNCD: OK\n", (TransportError,)),
    ],
    ids=["silence", "zeros", "ones", "motd", "error", "exit", "version"],
)
def test_r04_whatever_a_daemon_says_after_its_greeting_ends_and_leaves_no_child(
    said: bytes, errors: tuple[type[TransportError], ...]
) -> None:
    """The staging fixture looks for what is left of child and folder."""
    with speaking(said) as port:
        target = Target("127.0.0.1", port, RsyncOptions(root="m"), RsyncSecret())
        with pytest.raises(errors) as caught:
            fetch_all(target, context=loopback_context(idle_s=1.0))
    assert len(str(caught.value)) < 1_000
    assert str(caught.value).isprintable()


def test_s10_refused_log_ins_leave_no_descriptor_no_thread_and_no_password_file(
    daemon: Rsyncd, root: Path
) -> None:
    target = daemon.target(root, module="locked", password=CANARY)
    with nothing_left_held():
        for _ in range(50):
            with pytest.raises(AuthRefused) as caught:
                SPEC.open(target, loopback_context())
            assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "error"), [(b"SSH-2.0-OpenSSH_9.2\r\n", ProtocolViolation), (b"", Stalled)]
)
def test_what_is_no_daemon_is_told_before_a_child_starts(
    said: bytes, error: type[TransportError]
) -> None:
    with speaking(said) as port:
        target = Target("127.0.0.1", port, RsyncOptions(root="m"), RsyncSecret())
        with pytest.raises(error) as caught:
            SPEC.open(target, loopback_context(log_in_s=1.0))
    assert caught.value.stage.value == "connect"


class Stopped(Exception):
    """What a test's check raises."""


def test_a_check_that_raises_kills_the_children(daemon: Rsyncd, root: Path) -> None:
    for number in range(300):
        (root / str(number)).write_bytes(b"x" * 10_000)
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Stopped

    transport = SPEC.open(daemon.target(root), loopback_context(check=check))
    entries = [i for i in transport.walk() if isinstance(i, RemoteEntry)]

    def wait(receiver: DigestReceiver) -> None:
        stop.set()
        while time.monotonic() < began + 0.6:
            os.sched_yield()

    began = time.monotonic()
    sink = DigestSink(on_write=wait)
    with pytest.raises(Stopped):
        list(transport.fetch(entries, sink))
    assert children() == []
    assert not sink.left_open
    transport.close()


def test_r06_every_exit_code_of_the_manual_is_mapped() -> None:
    manual = {*range(1, 7), *range(10, 17), 20, 21, 22, 23, 24, 25, 30, 35, 124, 125, 126, 127, 255}
    assert manual - set(EXITS) == {23, 24}
    for code in EXITS:
        error = exit_error(code, [b"rsync: something", b"rsync error: (code %d)" % code])
        assert isinstance(error, EXITS[code][0])
        assert str(code) in str(error)
        assert "something" in str(error)
    assert exit_error(0, []) is exit_error(23, []) is exit_error(24, []) is None
    assert exit_error(-9, []) is not None


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"@ERROR: auth failed on module m", AuthRefused),
        (b"@ERROR: access denied to m from x", AuthRefused),
        (b"@ERROR: Unknown module 'm'", RootMissing),
        (b"@ERROR: max connections (4) reached -- try again later", Throttled),
        (b"@ERROR: something else", ProtocolViolation),
    ],
)
def test_a_daemon_s_refusal_is_told_by_its_words(said: bytes, error: type[TransportError]) -> None:
    assert type(exit_error(5, [said])) is error


@pytest.mark.parametrize(
    ("line", "path", "code"),
    [
        (b'rsync: [sender] opendir "/a/b" (in m) failed: Permission denied (13)', b"/a/b", "permission_refused"),
        (b'rsync: [sender] send_files failed to open "/a" (in m): Permission denied (13)', b"/a", "permission_refused"),
        (b'rsync: [sender] link_stat "/a" (in m) failed: No such file or directory (2)', b"/a", "vanished"),
        (b'file has vanished: "/x\\#012y" (in m)', b"/x\ny", "vanished"),
        (b"WARNING: a b failed verification -- update discarded (will try again).", b"a b", "unstable"),
        (b'rsync: [sender] read errors mapping "/a" (in m): Input/output error (5)', b"/a", "transport"),
        (b'rsync: readlink_stat("/a") failed: Input/output error (5)', b"/a", "transport"),
        (b'rsync: opendir "/a"b" failed: Permission denied (13)', b'/a"b', "permission_refused"),
    ],
)  # fmt: skip
def test_a_complaint_names_its_file(line: bytes, path: bytes, code: str) -> None:
    complaint = parse_complaint(line)
    assert complaint is not None
    assert (complaint.path, complaint.error.code) == (path, code)


def test_a_line_of_another_form_is_a_violation() -> None:
    assert unescape_row(b"a\\#134#012b\\#377") == b"a\\#012b\xff"
    for line in (
        b"",
        b"motd",
        b"-rw-r--r-- 1 2020/13/01 00:00:00 x",
        b"-rw 1 2020/01/01 00:00:00 x",
    ):
        assert parse_listed(line) is None


def test_a_machine_without_rsync_says_so(
    daemon: Rsyncd, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RsyncMissing):
        SPEC.open(daemon.target(root), loopback_context())


def test_over_ssh_the_pinned_key_and_no_other_is_met(
    sshd: Sshd, folder: Path, tmp_path: Path
) -> None:
    (folder / "file").write_bytes(b"x")
    answers, _ = fetch_all(over_ssh(sshd, folder, host_key=sshd.host_keys["rsa"]))
    assert answers["file"].receipt == digest_of(b"x")
    with pytest.raises(HostKeyUnknown):
        SPEC.open(over_ssh(sshd, folder, host_key=""), loopback_context())
    make_key(tmp_path / "foreign", "ed25519")
    foreign = (tmp_path / "foreign.pub").read_text()
    with pytest.raises(HostKeyChanged):
        SPEC.open(over_ssh(sshd, folder, host_key=foreign), loopback_context())


def test_over_ssh_a_folder_is_data_only(sshd: Sshd, tmp_path: Path) -> None:
    folder = tmp_path / "a 'b\" $(touch x) *[c]\n"
    folder.mkdir()
    (folder / "-rf").write_bytes(b"x")
    answers, _ = fetch_all(over_ssh(sshd, folder))
    assert answers["-rf"].receipt == digest_of(b"x")


def test_over_ssh_without_a_private_key_is_told(sshd: Sshd) -> None:
    options = RsyncOptions("reader", ".", True, host_key=sshd.host_keys["ed25519"])
    target = Target("127.0.0.1", sshd.port, options, RsyncSecret(password="x"))
    with pytest.raises(AuthConfig, match="private key"):
        SPEC.open(target, loopback_context())


@pytest.mark.parametrize("form", ["RFC4716", "PEM"])
def test_over_ssh_a_key_with_a_passphrase_is_used(
    sshd: Sshd, folder: Path, tmp_path: Path, form: str
) -> None:
    (folder / "file").write_bytes(b"x")
    key = make_key(tmp_path / "own", "rsa", passphrase="open, sesame", form=form)
    before = sshd.authorized_keys.read_text()
    sshd.authorized_keys.write_text(before + (tmp_path / "own.pub").read_text())
    try:
        target = over_ssh(sshd, folder)
        secret = RsyncSecret(private_key=key, passphrase="open, sesame")
        target = Target(target.host, target.port, target.options, secret)
        assert fetch_all(target)[0]["file"].receipt == digest_of(b"x")
    finally:
        sshd.authorized_keys.write_text(before)


def test_r09_a_file_that_changes_during_the_run_fails_alone(daemon: Rsyncd, root: Path) -> None:
    for name in ("a", "b", "c"):
        (root / name).write_bytes(b"x" * 1000)
    os.utime(root / "b", (1_600_000_000, 1_600_000_000))

    def change(receiver: DigestReceiver) -> None:
        (root / "b").write_bytes(b"y" * 1000)

    answers, _ = fetch_all(daemon.target(root), DigestSink(on_write=change))
    observed = answers["b"].observed
    assert observed is not None
    assert observed.modified_ns != answers["b"].entry.modified_ns
    for name in ("a", "c"):
        assert answers[name].observed == answers[name].entry


def test_a_file_cut_while_it_is_sent_is_no_file_of_zeros(daemon: Rsyncd, root: Path) -> None:
    """The sender fills up what it can no longer read; only its digest tells."""
    size_bytes = 64 * 1024 * 1024
    (root / "cut").write_bytes(b"x" * size_bytes)
    (root / "whole").write_bytes(b"x")
    os.utime(root / "cut", (1_600_000_000, 1_600_000_000))

    def cut(receiver: DigestReceiver) -> None:
        if receiver.entry.path == "cut":
            os.truncate(root / "cut", 1024)

    answers, _ = fetch_all(daemon.target(root), DigestSink(on_write=cut))
    assert isinstance(answers["cut"].error, Unstable)
    assert answers["whole"].receipt == digest_of(b"x")


@pytest.mark.parametrize("module", ["open", "old"])
@pytest.mark.parametrize("bytes_max", [0, 1 << 30])
def test_each_checksum_and_a_host_that_refuses_the_choice(
    daemon: Rsyncd, root: Path, monkeypatch: pytest.MonkeyPatch, module: str, bytes_max: int
) -> None:
    monkeypatch.setattr(rsync_fetch, "_MD5_BYTES_MAX", bytes_max)
    content = os.urandom(3_000_000)
    for name in ("a", "b"):
        (root / name).write_bytes(content + name.encode())
    answers, _ = fetch_all(daemon.target(root, module=module))
    assert {path: a.receipt for path, a in answers.items()} == {
        name: digest_of(content + name.encode()) for name in ("a", "b")
    }


def test_every_file_gets_its_own_bytes_however_rsync_sorts_them(daemon: Rsyncd, root: Path) -> None:
    folders = [
        "a",
        "a.b",
        "a-b",
        "a/b",
        "a/b.c",
        "a/b/c",
        "\x01",
        "\x01/\x01",
        "\udcff",
        "é",
        "A",
        "0",
    ]
    files = ["a", "a.b", "a-b", "b", "\x01", "\udcff", "z.", "z", "~", " "]
    for folder in folders:
        (root / "tree" / folder).mkdir(parents=True, exist_ok=True)
        for name in files:
            path = root / "tree" / folder / f"{name}!"
            path.write_bytes(os.fsencode(path))
    for name in files:
        (root / "tree" / f"{name}!").write_bytes(os.fsencode(root / "tree" / f"{name}!"))
    answers, _ = fetch_all(daemon.target(root / "tree"))
    assert len(answers) == (len(folders) + 1) * len(files)
    for name, answer in answers.items():
        assert answer.receipt == digest_of(os.fsencode(root / "tree" / name))


@pytest.mark.parametrize("size_bytes", [10, 20 * 1024 * 1024])
def test_what_nobody_asked_for_goes_nowhere(daemon: Rsyncd, root: Path, size_bytes: int) -> None:
    """A whole folder is named at once; what came into it since the listing may come along."""
    folder = root / "folder"
    folder.mkdir()
    for number in range(20):
        (folder / str(number)).write_bytes(b"%d" % number)
    transport = SPEC.open(daemon.target(root), loopback_context())
    entries = [i for i in transport.walk() if isinstance(i, RemoteEntry)]
    (folder / "unasked").write_bytes(b"x" * size_bytes)
    sink = DigestSink()
    answers = {a.entry.path: a.receipt for a in transport.fetch(entries, sink)}
    transport.close()
    assert answers == {f"folder/{n}": digest_of(b"%d" % n) for n in range(20)}
    assert len(sink.receivers) == 20
    if size_bytes > 10:  # a large one is left where it is
        logged = os.fsencode(folder.relative_to(daemon.served)) + b"/"
        until(lambda: logged + b"19" in daemon.log.read_bytes(), "no word of what was sent")
        assert logged + b"unasked" not in daemon.log.read_bytes()


def test_a_daemon_that_is_gone_by_then_is_told(daemon: Rsyncd, root: Path, tmp_path: Path) -> None:
    (root / "file").write_bytes(b"x")
    home = tmp_path / "second"
    home.mkdir()
    with running_rsyncd(home, daemon.served) as second:
        transport = SPEC.open(second.target(root), loopback_context())
        entries = [i for i in transport.walk() if isinstance(i, RemoteEntry)]
    with pytest.raises(TransportError, match="code 10"):
        list(transport.fetch(entries, DigestSink()))
    transport.close()


@pytest.mark.parametrize(
    "line",
    [
        b"-rw-r--r-- 1 2020/13/01 00:00:00 x",
        b"-rw-r--r-- 5 01.02.2020 00:00:00 folder/x",
        b"-rw-r--r-- -5 2020/01/01 00:00:00 x",
        b"-rw-r--r-- " + b"9" * 5_000 + b" 2020/01/01 00:00:00 x",
        b"?rw-r--r-- 5 2020/01/01 00:00:00 folder/x",
        b"no row at all",
        b"",
    ],
)
def test_a_row_of_rsync_s_that_is_not_understood_is_told(
    daemon: Rsyncd, root: Path, line: bytes
) -> None:
    (root / "plain").write_bytes(b"x")
    transport = SPEC.open(daemon.target(root), loopback_context())
    begun = transport._begun  # type: ignore[attr-defined]
    begun._lines.append(
        line
    )  # behind what the program has said till now, the folder itself at least
    items = list(transport.walk())
    transport.close()
    assert [item.path for item in items if isinstance(item, RemoteEntry)] == ["plain"]
    (row,) = (item for item in items if isinstance(item, Skipped))
    assert row.reason is Reason.UNREADABLE_ROW


def test_numbers_that_are_too_large_are_one_row_s_trouble() -> None:
    listed = parse_listed(b"-rw-r--r-- " + b"9" * 30 + b" 292277026596/12/04 15:30:07 x")
    assert listed is not None
    assert RemoteEntry("x", listed.size_bytes, listed.modified_ns) == RemoteEntry("x", None, None)


class EndlessList:
    """A child whose program has written a head and then a list of files that does not end."""

    running = True

    def __init__(self, entry: bytes) -> None:
        head = struct.pack("<ii", 0, 31) + b"\0" + struct.pack("<i", 0)
        self._said = [head]
        self._entry = entry
        self.taken = 0

    def take(self) -> list[bytes]:
        said, self._said = self._said, [self._entry * (1024 * 1024 // len(self._entry) + 1)]
        self.taken += sum(map(len, said))
        return said

    def poll(self) -> list[bytes]:
        return []


SAME = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 7  # mode, owners and time are those of the entry before


@pytest.mark.parametrize(
    "entry",
    [
        bytes([SAME | 1 << 6]) + struct.pack("<i", 60_000) + b"x" * 60_000 + bytes(3),
        bytes([SAME]) + b"\1x" + bytes(3),
    ],
    ids=["long names", "short names"],
)
def test_a_list_without_end_is_a_violation_in_bounded_memory(entry: bytes) -> None:
    if entry[0] & 1 << 6:
        entry = bytes([entry[0]]) + b"\xc0\x60\xea" + entry[5:]  # 60,000 as rsync writes numbers
    child = EndlessList(entry)
    batch = RsyncBatch(child, MD5, "")  # type: ignore[arg-type]
    with rss_growth() as growth, pytest.raises(ProtocolViolation, match="without end"):
        batch.read_list()
    assert growth.peak_bytes < 256 * 1024 * 1024
    assert child.taken < 128 * 1024 * 1024


def test_folders_without_end_are_not_all_remembered() -> None:
    folders = Folders()
    tracemalloc.start()
    for number in range(40_000):
        for _ in range(8):
            folders.saw(b"%d/" % number + b"x" * 4_000 + b"/file")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 48 * 1024 * 1024


HOSTILE_LINES = {
    "quotes": b'rsync: "' + b'"' * 1_000_000,
    "modules": b'rsync: "a"' + b" (in " * 250_000,
    "ends of modules": b'rsync: "a" (in ' + b")" * 1_000_000,
    "errors": b'rsync: "a" failed: ' + b" (1)" * 250_000,
    "figures": b'rsync: "a" failed: x (' + b"1" * 1_000_000 + b")",
    "failed verifications": b"WARNING: " + b" failed verification" * 60_000,
    "blanks": b"-rw-r--r--" + b" " * 1_000_000,
    "a size": b"-rw-r--r-- " + b"1" * 1_000_000 + b" 2020",
    "a year": b"-rw-r--r-- 1 " + b"1" * 1_000_000 + b"/01/01",
    "escapes": b"-rw-r--r-- 1 2020/01/01 00:00:00 " + b"\\#00" * 250_000,
}


@pytest.mark.parametrize("name", HOSTILE_LINES)
def test_a_line_of_a_megabyte_takes_no_longer_than_reading_it(name: str) -> None:
    before_s = time.process_time()
    parse_complaint(HOSTILE_LINES[name])
    parse_listed(HOSTILE_LINES[name])
    assert time.process_time() - before_s < 2.0


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("rsync: [sender] something that nobody has seen before", True),
        ('rsync: [sender] opendir \\"/x\\" (in m) failed: Permission denied', True),
        ("IO error encountered -- skipping file deletion", False),
        ("rsync error: some files/attrs were not transferred (code 23)", False),
    ],
)
def test_a_complaint_that_is_not_understood_makes_the_listing_doubtful(
    daemon: Rsyncd,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    told: bool,
) -> None:
    """The program lists, complains, and ends with code 23; one other complaint of its is understood."""
    (root / "plain").write_bytes(b"x")
    understood = 'rsync: [sender] link_stat \\"/gone\\" failed: No such file or directory (2)'
    real = shutil.which("rsync")
    program = tmp_path / "rsync"
    program.write_text(
        f'#!/bin/sh\n{real} "$@" || exit\n[ "$1" = --version ] && exit\n'
        f'echo "{understood}" >&2\necho "{line}" >&2\nexit 23\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    transport = SPEC.open(daemon.target(root), loopback_context())
    walk = transport.walk()
    if "opendir" in line:
        with pytest.raises(TransientError):  # of a path that is not below the root
            list(walk)
    else:
        skipped = [item for item in walk if isinstance(item, Skipped)]
        assert [(i.path, i.reason) for i in skipped] == [("", Reason.UNREADABLE)] * told
    transport.close()


@pytest.mark.parametrize(("errno", "may_help"), [(5, True), (11, True), (23, True), (13, False)])
def test_a_folder_that_rsync_cannot_read_says_whether_another_look_may_help(
    daemon: Rsyncd, root: Path, errno: int, may_help: bool
) -> None:
    (root / "inner").mkdir()
    (root / "inner" / "file").write_bytes(b"x")
    (root / "plain").write_bytes(b"x")
    transport = SPEC.open(daemon.target(root), loopback_context())
    begun = transport._begun  # type: ignore[attr-defined]
    told = f'rsync: [sender] opendir "/{root.name}/inner" (in open) failed: x ({errno})\n'
    begun._child._errors += told.encode()
    items = list(transport.walk())
    (failed,) = (item for item in items if isinstance(item, Skipped))
    assert (failed.path, failed.reason) == ("inner", Reason.UNREADABLE)
    assert failed.retryable is may_help
    again = list(transport.walk_again("inner"))
    assert [item.path for item in again if isinstance(item, RemoteEntry)] == ["file"]
    entries = [item for item in items if isinstance(item, RemoteEntry)]
    receipts = {a.entry.path: a.receipt for a in transport.fetch(entries, DigestSink())}
    transport.close()
    assert receipts == dict.fromkeys(("inner/file", "plain"), digest_of(b"x"))
