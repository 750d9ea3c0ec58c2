"""SSH hosts whose shell is odd, poor or hostile (docs/promises.md: N, L, S), behind a real sshd."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko
import pytest

from farends.contract import Fetched, Reason, RemoteEntry, Skipped, Transport
from farends.errors import (
    ConnectionLost,
    ProtocolViolation,
    RootMissing,
    Stalled,
    TransientError,
    TransportError,
    Truncated,
    Unstable,
    Vanished,
)
from farends.registry import get_spec
from farends.secure_shell.commands import NoShell, ShellSession
from farends.secure_shell.end import ssh_end
from farends.secure_shell.scripts import Script
from farends.secure_shell.session import open_ssh_session
from farends.spec import Target
from farends.ssh.files import ShellFiles
from farends.ssh.stream import ShellFile
from farends.ssh.tar_header import Header
from farends.ssh.tar_stream import TarStream
from farends.ssh.transport import SPEC, SshOptions, SshSecret
from tests.hosts.sinks import DigestSink, digest_of, loopback_context
from tests.hosts.sshd import Sshd, running_sshd
from tests.scale.rss import rss_growth

# Stands before the real tar: answers with a prepared stream.
_TAR = """\
#!{python}
import os, sys, time
home = {home!r}
if "--create" not in sys.argv:
    os.execv({tar!r}, sys.argv)
with open(home + "/stream", "rb") as stream:
    while data := stream.read(65536):
        sys.stdout.buffer.write(data)
sys.stdout.buffer.flush()
if os.path.exists(home + "/silent"):
    time.sleep(60)
while os.path.exists(home + "/endless"):
    os.write(1, bytes(65536))
sys.exit({status})
"""
_NOISE = 'printf "Welcome! %09000d\\n" 0; echo "tar: motd: Cannot stat: No such" >&2;'
_RUN = 'exec sh -c "$SSH_ORIGINAL_COMMAND"'


@dataclass(frozen=True)
class ShellHost:
    sshd: Sshd
    home: Path

    def target(self, root: Path | str) -> Target:
        sftp = self.sshd.target(root).options
        options = SshOptions(sftp.username, sftp.root, host_key=sftp.host_key)
        return Target(
            "127.0.0.1", self.sshd.port, options, SshSecret(private_key=self.sshd.private_key)
        )

    def force(self, command: str) -> None:
        """What the host runs for every log-in, whatever was asked for."""
        key = (self.home / "user.pub").read_text()
        quoted = command.replace('"', '\\"')
        self.sshd.authorized_keys.write_text(f'command="{quoted}" {key}')

    def answer_tar_with(self, stream: bytes, *, status: int = 0) -> None:
        (self.home / "stream").write_bytes(stream)
        tar = self.home / "tar"
        tar.write_text(
            _TAR.format(
                python=sys.executable, home=str(self.home), tar=shutil.which("tar"), status=status
            )
        )
        tar.chmod(0o755)
        self.force(f"PATH={self.home}:$PATH {_RUN}")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ShellHost]:
    home = tmp_path / "sshd"
    home.mkdir()
    with running_sshd(home) as sshd:
        yield ShellHost(sshd, home)


def log_in(host: ShellHost, folder: Path) -> paramiko.Transport:
    return open_ssh_session(ssh_end(host.target(folder)), loopback_context())


def listed(transport: Transport) -> list[RemoteEntry]:
    return [i for i in transport.walk() if isinstance(i, RemoteEntry)]


def fetch_all(
    host: ShellHost, folder: Path, *, idle_s: float = 20.0
) -> tuple[dict[str, Fetched], DigestSink]:
    sink = DigestSink()
    transport = SPEC.open(host.target(folder), loopback_context(idle_s=idle_s))
    try:
        entries = listed(transport)
        answers = {answer.entry.path: answer for answer in transport.fetch(entries, sink)}
    finally:
        transport.close()
        assert not sink.left_open
    return answers, sink


def member(name: str, content: bytes = b"", **fields: object) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    padding = bytes(-len(content) % 512)
    return info.tobuf(tarfile.GNU_FORMAT) + content + padding


END = bytes(1024)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (tarfile.LNKTYPE, ProtocolViolation),
        (tarfile.SYMTYPE, Vanished),
        (tarfile.CHRTYPE, Vanished),
        (tarfile.BLKTYPE, Vanished),
        (tarfile.FIFOTYPE, Vanished),
        (tarfile.DIRTYPE, Vanished),
    ],
)
def test_l05_l06_a_member_that_is_no_file_fails_alone(
    host: ShellHost, folder: Path, kind: bytes, error: type[TransportError]
) -> None:
    (folder / "link").write_bytes(b"")
    (folder / "zfile").write_bytes(b"content")
    odd = member("link", type=kind, linkname="/etc/passwd")
    host.answer_tar_with(odd + member("zfile", b"content") + END)
    answers, sink = fetch_all_in_order(host, folder, ["link", "zfile"])
    assert isinstance(answers["link"].error, error)
    assert answers["zfile"].receipt == digest_of(b"content")
    assert len(sink.receivers) == 1


def fetch_all_in_order(
    host: ShellHost, folder: Path, names: list[str]
) -> tuple[dict[str, Fetched], DigestSink]:
    sink = DigestSink()
    transport = SPEC.open(host.target(folder), loopback_context())
    try:
        found = {entry.path: entry for entry in listed(transport)}
        wanted = [found[name] for name in names]
        answers = {answer.entry.path: answer for answer in transport.fetch(wanted, sink)}
    finally:
        transport.close()
        assert not sink.left_open
    return answers, sink


HOSTILE = {
    "a name that leaves the folder": member("../x", b"content"),
    "an absolute name": member("/etc/passwd", b"content"),
    "a name that was not asked for": member("other", b"content"),
    "a name twice": member("file", b"content") + member("file", b"content"),
    "a link with content": member("file", b"content", type=tarfile.SYMTYPE),
    "a wrong checksum": b"x" * 512,
    "a size that is none": member("file", b"content")[:124] + b"9" * 12 + bytes(376),
    "a long name without end": member("././@LongLink", b"x" * 100_000, type=b"L"),
    "a pax record that overruns": member("x", b"99 path=a\n", type=b"x"),
    "bytes after the end": member("file", b"content") + END + b"more\0",
    "a record after the end": member("file", b"content") + END + b"more 1 2 ./file\0",
    "a long name that leaves the folder": (
        member("././@LongLink", b"../../x\0", type=b"L") + member("file", b"content")
    ),
    "a pax name that leaves the folder": (
        member("x", b"16 path=../../x\n", type=b"x") + member("file", b"content")
    ),
    "a pax size that is none": member("x", b"11 size=-5\n", type=b"x") + member("file", b"content"),
    "a sparse file": member("file", b"content", type=b"S"),
    "long names without end": member("././@LongLink", b"file\0", type=b"L") * 5_000,
    "pax records without end": member("x", b"12 key=valu\n", type=b"x") * 5_000,
    "a negative size": member("file")[:124] + b"\xff" * 12 + bytes(376),
    "a directory with content": member("file", b"content", type=tarfile.DIRTYPE),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_l05_a_hostile_tar_stream_is_a_violation(host: ShellHost, folder: Path, name: str) -> None:
    (folder / "file").write_bytes(b"content")
    host.answer_tar_with(HOSTILE[name] + END)
    with pytest.raises(ProtocolViolation):
        fetch_all(host, folder)
    assert [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.parametrize("size", [2**60, 2**62 + 5, 8**11 - 1])
def test_s07_a_pax_size_beyond_the_listing_is_never_received(
    host: ShellHost, folder: Path, size: int
) -> None:
    (folder / "file").write_bytes(b"content")
    record = b" size=%d\n" % size
    record = b"%d" % (len(record) + 2) + record
    host.answer_tar_with(member("x", record, type=b"x") + member("file", b"content"))
    (host.home / "endless").touch()
    answers, sink = fetch_all(host, folder)
    (host.home / "endless").unlink()
    assert isinstance(answers["file"].error, Unstable)
    assert not sink.receivers


@pytest.mark.parametrize("kept", [0, 5, 40, -5])
def test_n14_a_listing_that_is_cut_never_counts_as_whole(
    host: ShellHost, folder: Path, kept: int
) -> None:
    for number in range(5):
        (folder / str(number)).write_bytes(b"x")
    find = host.home / "find"
    find.write_text(
        f"#!{sys.executable}\nimport os, signal, subprocess, sys\n"
        f"words = [{shutil.which('find')!r}, *sys.argv[1:]]\n"
        "if words[1] != '.': os.execv(words[0], words)\n"
        f"os.write(1, subprocess.run(words, stdout=subprocess.PIPE).stdout[:{kept}])\n"
        "os.kill(os.getppid(), signal.SIGKILL)\n"
    )
    find.chmod(0o755)
    host.force(f"PATH={host.home}:$PATH {_RUN}")
    transport = SPEC.open(host.target(folder), loopback_context())
    with pytest.raises(TransientError):
        listed(transport)
    transport.close()


@pytest.mark.parametrize("cut", [0, 100, 512, 515, 1024, 1536])
def test_a_stream_that_is_cut_is_never_a_whole_fetch(
    host: ShellHost, folder: Path, cut: int
) -> None:
    (folder / "file").write_bytes(b"content")
    killed = 128 + 9
    host.answer_tar_with((member("file", b"content") + END)[:cut], status=killed)
    with pytest.raises(ConnectionLost):
        fetch_all(host, folder)
    host.answer_tar_with((member("file", b"content") + END)[:cut])  # and it says that all was well
    if cut > 1024:  # the mark of the end has come
        answers, _ = fetch_all(host, folder)
        assert answers["file"].receipt == digest_of(b"content")
        return
    with pytest.raises((ProtocolViolation, Stalled)):
        fetch_all(host, folder, idle_s=1.0)


def test_another_size_than_the_listed_one_is_never_taken(host: ShellHost, folder: Path) -> None:
    (folder / "file").write_bytes(b"content")
    host.answer_tar_with(member("file", b"cont") + END)
    assert isinstance(fetch_all(host, folder)[0]["file"].error, Truncated)
    host.answer_tar_with(member("file", b"content and more") + END)
    answers, sink = fetch_all(host, folder)
    assert isinstance(answers["file"].error, Unstable)
    assert not sink.receivers


def test_s07_a_member_without_end_is_cut(host: ShellHost, folder: Path) -> None:
    (folder / "file").write_bytes(b"content")
    host.answer_tar_with(member("file", size=2**60)[:512])
    (host.home / "endless").touch()
    answers, sink = fetch_all(host, folder)
    (host.home / "endless").unlink()
    assert isinstance(answers["file"].error, Unstable)
    assert not sink.receivers


def test_zeros_without_end_are_cut(host: ShellHost, folder: Path) -> None:
    (folder / "file").write_bytes(b"content")
    host.answer_tar_with(member("file", b"content") + END)
    (host.home / "endless").touch()
    with pytest.raises(ProtocolViolation):
        fetch_all(host, folder)
    (host.home / "endless").unlink()


def test_a_silent_tar_is_stalled_by_the_clock(host: ShellHost, folder: Path) -> None:
    (folder / "file").write_bytes(b"content")
    host.answer_tar_with(member("file", b"content")[:600])
    (host.home / "silent").touch()
    with pytest.raises(Stalled):
        fetch_all(host, folder, idle_s=1.0)


def test_a_shell_that_prints_at_its_start_corrupts_nothing(host: ShellHost, folder: Path) -> None:
    host.force(_NOISE + _RUN)
    for number in range(200):
        (folder / str(number)).write_bytes(b"%d" % number)
    answers, _ = fetch_all(host, folder)
    assert {p: a.receipt for p, a in answers.items()} == {
        str(n): digest_of(b"%d" % n) for n in range(200)
    }


def test_a_host_without_commands_is_read_by_sftp(host: ShellHost, folder: Path) -> None:
    host.force("internal-sftp")
    (folder / "file").write_bytes(b"content")
    transport = SPEC.open(host.target(folder), loopback_context())
    assert "SFTP" in transport.capabilities.server_software
    transport.close()
    assert fetch_all(host, folder)[0]["file"].receipt == digest_of(b"content")


@pytest.mark.parametrize("command", ["internal-sftp", "/usr/lib/openssh/sftp-server"])
def test_a_log_in_for_sftp_alone_starts_a_cut_file_again(
    host: ShellHost, folder: Path, command: str
) -> None:
    """Asked to run a command, the host starts its SFTP server once more; that proves nothing."""
    host.force(command)
    content = os.urandom(300_000)
    (folder / "file").write_bytes(content)
    (folder / "other").write_bytes(content)
    transport = get_spec("sftp").open(host.sshd.target(folder), loopback_context())
    sink = DigestSink(held={"file": content[:200_000], "other": content[:100_000]})
    answers = list(transport.fetch(listed(transport), sink))
    transport.close()
    assert [answer.receipt for answer in answers] == [digest_of(content)] * 2
    assert [receiver.written_bytes for receiver in sink.receivers] == [300_000] * 2


def test_a_host_with_neither_says_so(host: ShellHost, folder: Path) -> None:
    host.force("/bin/echo this account is closed")
    with pytest.raises(NoShell) as caught:
        SPEC.open(host.target(folder), loopback_context())
    assert "account is closed" in str(caught.value)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("cat", "repeats what it is told"),
        ("tee -a log", "repeats what it is told"),
        ("echo $SSH_ORIGINAL_COMMAND; cat >/dev/null", "ran no command"),
        ("exec sed s/^...//", "ran no command"),
        ("sh -c 'mkdir -p bin; for c in find printf date; do'", "ran no command"),
    ],
)
def test_what_only_takes_input_is_no_shell(
    host: ShellHost, folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, said: str
) -> None:
    monkeypatch.setattr("farends.secure_shell.commands._START_S", 0.2)
    host.force(command)
    with pytest.raises(NoShell, match=said):
        SPEC.open(host.target(folder), loopback_context(idle_s=5.0))


@pytest.mark.parametrize("name", ["bash", "tcsh", "fish", "zsh", "mksh", "busybox sh"])
def test_any_log_in_shell_will_do(host: ShellHost, folder: Path, name: str) -> None:
    """And any `sh`: the same program is given that name."""
    program, *arguments = name.split()
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not here")
    shell = " ".join([path, *arguments])
    host.force(f'{shell} -c "$SSH_ORIGINAL_COMMAND"')
    for number in range(100):
        (folder / f"'{number} $x").write_bytes(b"%d" % number)
    answers, _ = fetch_all(host, folder)
    assert {a.receipt for a in answers.values()} == {digest_of(b"%d" % n) for n in range(100)}
    if program in ("tcsh", "fish"):
        return
    (host.home / "sh").write_text(f'#!/bin/sh\nexec {shell} "$@"\n')
    (host.home / "sh").chmod(0o755)
    host.force(f"PATH={host.home}:$PATH {_RUN}")
    answers, _ = fetch_all(host, folder)
    assert len(answers) == 100
    assert all(answer.error is None for answer in answers.values())


def test_a_head_that_reads_too_far_is_not_used(host: ShellHost, folder: Path) -> None:
    (host.home / "head").write_text("#!/bin/sh\ncat >/dev/null\n")
    (host.home / "head").chmod(0o755)
    host.force(f"PATH={host.home}:$PATH {_RUN}")
    with pytest.raises(NoShell, match="head takes more"):
        SPEC.open(host.target(folder), loopback_context())


def test_what_a_script_left_unread_is_never_run(host: ShellHost, folder: Path) -> None:
    """The shell reads names and scripts from one stream; a name may be a line of its own."""
    (folder / "file").write_bytes(b"")
    connected = log_in(host, folder)
    session = ShellSession(connected, loopback_context())
    channel = session.run(Script('printf "one\\0"'))
    channel.send(b"x\ntouch %b\n" % os.fsencode(folder / "made"))
    assert channel.answer() == b"one"
    channel.begin(Script('printf "two\\0"'))
    assert channel.answer() == b""
    session.close()
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_one_shell_serves_a_whole_sync(host: ShellHost, folder: Path) -> None:
    """Its start-up files may take longer than all the rest."""
    for number in range(300):
        (folder / str(number)).write_bytes(b"x")
    started = host.home / "started"
    host.force(f"echo >> {started}; {_RUN}")
    answers, _ = fetch_all(host, folder)
    assert len(answers) == 300
    assert started.read_text() == "\n"


@pytest.mark.parametrize(
    "name", ["$(touch x)", "-rf", "a'b\"c\\d", "new\nline", "*", "end. ", "~", "\\0101", "é\udcff"]
)
def test_n17_a_folder_s_name_is_data_only(host: ShellHost, tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    root.mkdir()
    (root / "-rf").write_bytes(b"1")
    (root / "new\nline: x").write_bytes(b"2")
    (root / "(").write_bytes(b"3")
    before = sorted(path.name for path in tmp_path.iterdir())
    transport = SPEC.open(host.target(root), loopback_context())
    entries = listed(transport)
    answers = {a.entry.path: a.receipt for a in transport.fetch(entries, DigestSink())}
    assert answers == {
        "-rf": digest_of(b"1"),
        "new\nline: x": digest_of(b"2"),
        "(": digest_of(b"3"),
    }
    transport.close()
    session = ShellSession(log_in(host, root), loopback_context())
    for path in answers:
        with ShellFile(session, os.fsencode(root), os.fsencode(path), 0) as file:
            assert b"".join(file) in (b"1", b"2", b"3")
    session.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_new_keys_may_come_at_any_moment(host: ShellHost, folder: Path) -> None:
    """paramiko asks for them every 512 MiB: here with nearly every packet, so also as channels end."""
    for number in range(50):
        (folder / str(number)).write_bytes(os.urandom(20_000))
    connected = log_in(host, folder)
    connected.packetizer.REKEY_BYTES = 10_000
    session = ShellSession(connected, loopback_context())
    files = ShellFiles(session)
    root = os.fsencode(folder)
    for _ in range(5):
        entries = [i for i in files.walk(root) if isinstance(i, RemoteEntry)]
        assert all(a.error is None for a in files.fetch(root, entries, DigestSink()))
        with ShellFile(session, root, b"7", 10) as file:
            assert len(b"".join(file)) == 19_990
    files.close()


def test_a_root_that_is_a_file_is_no_folder(host: ShellHost, folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    transport = SPEC.open(host.target(folder / "file"), loopback_context())
    with pytest.raises(RootMissing, match="not a folder"):
        listed(transport)
    transport.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed, whom a folder refuses")
def test_n15_what_refuses_is_told_and_the_rest_arrives(host: ShellHost) -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        (folder / "denied").mkdir(mode=0o700)
        (folder / "denied" / "x").write_bytes(b"x")
        (folder / "secret: file").write_bytes(b"x")
        (folder / "secret: file").chmod(0o600)
        (folder / "open").write_bytes(b"x")
        host.force(
            'setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "$SSH_ORIGINAL_COMMAND"'
        )
        transport = SPEC.open(host.target(folder), loopback_context())
        items = list(transport.walk())
        skipped = {i.path: i.reason for i in items if isinstance(i, Skipped)}
        assert skipped == {"denied": Reason.UNREADABLE}
        entries = [i for i in items if isinstance(i, RemoteEntry)]
        answers = {a.entry.path: a for a in transport.fetch(entries, DigestSink())}
        assert answers["open"].receipt == digest_of(b"x")
        error = answers["secret: file"].error
        assert error is not None
        assert error.code == "permission_refused"
        transport.close()
    finally:
        shutil.rmtree(folder)


def test_s08_a_large_partial_file_is_gone_on_with_on_a_channel_of_its_own(
    host: ShellHost, folder: Path
) -> None:
    content = os.urandom(24 * 1024 * 1024)
    for name in ("a", "large", "z"):
        (folder / name).write_bytes(content if name == "large" else b"x")
    transport = SPEC.open(host.target(folder), loopback_context())
    sink = DigestSink(held={"large": content[: 16 * 1024 * 1024]})
    entries = listed(transport)
    answers = {a.entry.path: a.receipt for a in transport.fetch(entries, sink)}
    transport.close()
    assert answers == {"a": digest_of(b"x"), "large": digest_of(content), "z": digest_of(b"x")}
    (large,) = [r for r in sink.receivers if r.entry.path == "large"]
    assert large.written_bytes == 8 * 1024 * 1024


def test_a_file_that_grew_much_costs_the_others_nothing(host: ShellHost, folder: Path) -> None:
    for name in ("a", "log", "z"):
        (folder / name).write_bytes(b"x")
    transport = SPEC.open(host.target(folder), loopback_context())
    entries = listed(transport)
    (folder / "log").write_bytes(bytes(64 * 1024 * 1024))
    answers = {a.entry.path: a for a in transport.fetch(entries, DigestSink())}
    transport.close()
    assert isinstance(answers["log"].error, Unstable)
    assert answers["log"].observed is not None
    assert answers["a"].receipt == answers["z"].receipt == digest_of(b"x")


class Told:
    """Keeps what a TarStream tells."""

    def __init__(self) -> None:
        self.members: list[tuple[bytes, bytes, bytes]] = []
        self._header = Header(b"", b"", 0)
        self._content = b""

    def begin(self, header: Header) -> None:
        self._header, self._content = header, b""

    def data(self, piece: memoryview) -> None:
        self._content += piece

    def end(self) -> None:
        self.members.append((self._header.name, self._header.kind, self._content))


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("piece_bytes", [1, 511, 512, 513, 100_000])
def test_every_form_of_tar_is_read_in_any_pieces(form: int, piece_bytes: int) -> None:
    names = ["a", "x" * 99 + "/" + "y" * 50, "e/" + "é" * 20]
    if form != tarfile.USTAR_FORMAT:
        names += ["z" * 255, "d/" * 200 + "f", "b\udcff"]
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form, errors="surrogateescape") as archive:
        for number, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size = number * 700
            info.mtime = 1_700_000_000.5 if form == tarfile.PAX_FORMAT else 1_700_000_000
            archive.addfile(info, io.BytesIO(b"c" * info.size))
    told = Told()
    stream = TarStream(told)
    for at in range(0, len(made.getvalue()), piece_bytes):
        stream.feed(made.getvalue()[at : at + piece_bytes])
    assert stream.ended
    assert told.members == [
        (os.fsencode(name), b"0", b"c" * (number * 700)) for number, name in enumerate(names)
    ]


def force_find(host: ShellHost, script: str) -> None:
    """What lists the tree, in Python; `real` runs the real one and is what it says."""
    find = host.home / "find"
    find.write_text(
        f"#!{sys.executable}\nimport os, subprocess, sys\n"
        f"words = [{shutil.which('find')!r}, *sys.argv[1:]]\n"
        "if words[1] != '.': os.execv(words[0], words)\n"
        "real = lambda: subprocess.run(words, stdout=subprocess.PIPE).stdout\n" + script
    )
    find.chmod(0o755)
    host.force(f"PATH={host.home}:$PATH {_RUN}")


ODD_ROWS = {
    "cut": b"f 12",
    "of another form": b"2024-01-01 file.csv",
    "of a kind that nobody knows": b"U 5 1.5 folder/odd.csv",
    "with a size of 5,000 figures": b"f " + b"9" * 5_000 + b" 1.5 folder/odd.csv",
    "with a size below nothing": b"f -5 1.5 folder/odd.csv",
    "with words for numbers": b"f many 1.5 folder/odd.csv",
    "of two letters": b"ff 5 1.5 folder/odd.csv",
    "of nothing": b"",
}


@pytest.mark.parametrize("name", ODD_ROWS)
def test_a_row_of_find_s_that_is_not_understood_is_told(
    host: ShellHost, folder: Path, name: str
) -> None:
    (folder / "plain").write_bytes(b"x")
    force_find(host, f"os.write(1, real() + {ODD_ROWS[name] + bytes(1)!r})")
    transport = SPEC.open(host.target(folder), loopback_context())
    items = list(transport.walk())
    transport.close()
    assert [item.path for item in items if isinstance(item, RemoteEntry)] == ["plain"]
    (row,) = (item for item in items if isinstance(item, Skipped))
    assert row.reason is Reason.UNREADABLE_ROW
    if b"folder/odd.csv" in ODD_ROWS[name]:
        assert row.path == "folder/odd.csv"


def test_a_size_of_forty_figures_is_one_file_s_trouble(host: ShellHost, folder: Path) -> None:
    force_find(host, f"os.write(1, real() + b'f {'9' * 40} 1.5 huge' + bytes(1))")
    transport = SPEC.open(host.target(folder), loopback_context())
    assert list(transport.walk()) == [RemoteEntry("huge", None, 1_500_000_000)]
    transport.close()


@pytest.mark.parametrize(
    ("said", "may_help"),
    [
        ("Input/output error", True),
        ("Resource temporarily unavailable", True),
        ("Too many open files in system", True),
        ("Stale file handle", True),
        ("Permission denied", False),
        ("Not a directory", False),
    ],
)
def test_a_folder_that_find_cannot_read_says_whether_another_look_may_help(
    host: ShellHost, folder: Path, said: str, may_help: bool
) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "file").write_bytes(b"x")
    complaint = f"find: './inner': {said}\n".encode()
    force_find(
        host, f"os.write(2, {complaint!r}); os.write(1, real().replace(b' inner/file', b' f'))"
    )
    transport = SPEC.open(host.target(folder), loopback_context())
    items = list(transport.walk())
    (failed,) = (item for item in items if isinstance(item, Skipped))
    assert (failed.path, failed.reason) == ("inner", Reason.UNREADABLE)
    assert failed.retryable is may_help
    (host.home / "find").unlink()
    again = list(transport.walk_again("inner"))
    assert [item.path for item in again if isinstance(item, RemoteEntry)] == ["file"]
    entry = RemoteEntry("inner/file", 1, None)
    (answer,) = transport.fetch([entry], DigestSink())  # the root is the one that was walked
    transport.close()
    assert answer.receipt == digest_of(b"x")


@pytest.mark.parametrize(
    "said",
    [
        b"tar: " + b"a: " * 1_300_000,
        b"tar: " + b"\\" * 3_900_000,
        b"x" * 3_900_000,
        b"a: b\n" * 700_000,
        b"\n" * 3_900_000,
    ],
    ids=["one line of readings", "of escapes", "of nothing", "short lines", "empty lines"],
)
def test_what_tar_complains_of_costs_little(host: ShellHost, folder: Path, said: bytes) -> None:
    """Memory, and time: whoever parses it holds the interpreter."""
    (folder / "file").write_bytes(b"content")
    (host.home / "complaints").write_bytes(said)
    host.answer_tar_with(member("file", b"content") + END)
    tar = host.home / "tar"
    tar.write_text(
        tar.read_text().replace(
            "sys.exit(",
            f"sys.stderr.write(open({str(host.home / 'complaints')!r}).read()); sys.exit(",
        )
    )
    before_s = time.process_time()
    with rss_growth() as growth, contextlib.ExitStack() as expected:
        if b"\n" not in said:
            expected.enter_context(pytest.raises(ProtocolViolation, match="without end"))
        answers, _ = fetch_all(host, folder)
        assert answers["file"].receipt == digest_of(b"content")
    assert growth.peak_bytes < 192 * 1024 * 1024
    assert time.process_time() - before_s < 8.0


@pytest.mark.parametrize(
    "end",
    ["os.kill(os.getpid(), 9)", "sys.exit(1)", "sys.exit(3)"],
    ids=["killed", "failed", "odd"],
)
def test_a_listing_whose_find_did_not_end_well_is_not_whole(
    host: ShellHost, folder: Path, end: str
) -> None:
    """The shell goes on, and says nothing of it."""
    for number in range(5):
        (folder / str(number)).write_bytes(b"x")
    force_find(
        host, f"os.write(1, b''.join(r + bytes(1) for r in real().split(bytes(1))[:3])); {end}"
    )
    transport = SPEC.open(host.target(folder), loopback_context())
    with pytest.raises(TransientError):
        list(transport.walk())
    transport.close()
