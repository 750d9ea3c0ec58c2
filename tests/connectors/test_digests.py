"""Far ends that compute digests in their own ways, wrongly, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from farends.contract import Capabilities, RemoteEntry, Transport
from farends.errors import Stalled
from farends.ftp.transport import FTP_SPEC
from farends.registry import get_spec
from farends.spec import Target
from farends.ssh.transport import SPEC, SshOptions, SshSecret
from tests.hosts.scripted_ftp import Conversation, Script, scripted_ftp
from tests.hosts.sinks import DigestSink, digest_of, loopback_context
from tests.hosts.sshd import Sshd, running_sshd

TEN = b"0123456789"
RIGHT = hashlib.sha256(TEN).hexdigest()
FEATURES = "211-Features:\r\n MLST type*;size*;modify*;\r\n {}\r\n211 End"
HASH = FEATURES.format("HASH SHA-1;SHA-256*;MD5")
XSHA256 = FEATURES.format("XSHA256 filename;start;end")


def says(text: str) -> Script:
    return lambda conversation, argument: conversation.say(text)


def asked(
    transport: Transport, *names: str, size: int | None = 10
) -> tuple[dict[str, str | None], Capabilities]:
    try:
        answers = list(transport.digests(RemoteEntry(name, size, None) for name in names))
        told = transport.capabilities
    finally:
        transport.close()
    assert sorted(answer.entry.path for answer in answers) == sorted(names)
    return {a.entry.path: a.sha256.hex() if a.sha256 else None for a in answers}, told


def ask_ftp(
    features: str, *names: str, idle_s: float = 20.0, **scripts: Script
) -> dict[str, str | None]:
    with scripted_ftp({"file": TEN}, FEAT=says(features), **scripts) as host:
        transport = FTP_SPEC.open(host.target(), loopback_context(idle_s=idle_s))
        return asked(transport, *names)[0]


@pytest.mark.parametrize(
    ("reply", "digest"),
    [
        (f"213 SHA-256 0-10 {RIGHT} /file", RIGHT),
        (f"213 SHA-256 0-10 {RIGHT.upper()} /file", RIGHT),
        (f"213 SHA-256 0-9 {RIGHT} /file", None),  # of a part
        (f"213 SHA-256 1-10 {RIGHT} /file", None),
        (f"213 SHA-1 0-10 {RIGHT[:40]} /{RIGHT}", None),
        (f"213 SHA-256 0-10 {RIGHT[:60]} /file", None),
        (f"550 SHA-256 0-10 {RIGHT} /file", None),
        ("213 ", None),
    ],
)
def test_hash_is_believed_for_whole_files_only(reply: str, digest: str | None) -> None:
    assert ask_ftp(HASH, "file", HASH=says(reply)) == {"file": digest}


def test_a_host_whose_hash_takes_no_sha_256_is_not_asked() -> None:
    with scripted_ftp({"file": TEN}, FEAT=says(FEATURES.format("HASH SHA-1;MD5*"))) as host:
        transport = FTP_SPEC.open(host.target(), loopback_context())
        answers, told = asked(transport, *map(str, range(100)))
        assert set(answers.values()) == {None}
        assert told.digests == ""
        assert host.asked("HASH") == []


@pytest.mark.parametrize("verb", ["OPTS", "HASH"])
def test_a_host_that_announced_more_than_it_does_is_believed_no_more(verb: str) -> None:
    """Measured, not believed."""

    def refuse(conversation: Conversation, argument: str) -> None:
        conversation.say("502 not here" if argument != "UTF8 ON" else "200 fine")

    with scripted_ftp({"file": TEN}, FEAT=says(HASH), **{verb: refuse}) as host:
        transport = FTP_SPEC.open(host.target(), loopback_context())
        answers, told = asked(transport, *map(str, range(500)))
        assert set(answers.values()) == {None}
        assert told.digests == ""
        assert len(host.asked("HASH")) <= 4 * 32


def test_xsha256_is_asked_for_no_name_that_it_would_take_apart() -> None:
    answers = ask_ftp(XSHA256, "file", "file 1 2", 'quo"te', XSHA256=says(f"250 {RIGHT}"))
    assert answers == {"file": RIGHT, "file 1 2": None, 'quo"te': None}


def test_a_session_lost_in_the_middle_is_made_good() -> None:
    lost: list[str] = []

    def hang_up_once(conversation: Conversation, argument: str) -> None:
        if not lost:
            lost.append(argument)
            conversation.hang_up()
        else:
            conversation.say(f"213 SHA-256 0-10 {RIGHT} {argument}")

    names = [str(number) for number in range(200)]
    assert ask_ftp(HASH, *names, HASH=hang_up_once) == dict.fromkeys(names, RIGHT)


def test_a_host_that_never_answers_is_stalled() -> None:
    def silence(conversation: Conversation, argument: str) -> None:
        while conversation.wait(0.1):
            pass

    with pytest.raises(Stalled):
        ask_ftp(HASH, "file", idle_s=0.5, HASH=silence)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    home = tmp_path / "sshd"
    home.mkdir()
    with running_sshd(home) as server:
        yield server


TOOLS = ("sh", "find", "tar", "head", "tail", "xargs", "date")


def host_with(sshd: Sshd, folder: Path, bin_folder: Path, *programs: str) -> Target:
    """A log-in whose PATH holds these programs and no others."""
    bin_folder.mkdir()
    for name in (*TOOLS, *programs):
        found = shutil.which(name)
        if found is not None:
            (bin_folder / name).symlink_to(found)
    if "sha256" in programs:  # as the BSDs have it
        (bin_folder / "sha256").write_text(
            "#!/bin/sh\nshift\n[ $# = 0 ] && set -- $(/usr/bin/sha256sum) && echo $1 && exit\n"
            'for f; do set -- $(/usr/bin/sha256sum "$f"); echo "$1 $f"; done\n'
        )
        (bin_folder / "sha256").chmod(0o755)
    key = sshd.authorized_keys.read_text()
    command = f'PATH={bin_folder}; export PATH; eval \\"$SSH_ORIGINAL_COMMAND\\"'
    sshd.authorized_keys.write_text(f'command="{command}" {key}')
    options = sshd.target(folder).options
    made = SshOptions(options.username, options.root, host_key=options.host_key)
    return Target("127.0.0.1", sshd.port, made, SshSecret(private_key=sshd.private_key))


PROGRAMS = [
    ("sha256sum", "sha256sum"),
    ("shasum", "shasum -a 256"),
    ("sha256", "sha256 -r"),
    ("openssl", "openssl dgst -sha256 -r"),
    ("cat", ""),
]


@pytest.mark.parametrize(("program", "told"), PROGRAMS)
@pytest.mark.parametrize("kind", ["ssh", "sftp"])
def test_each_program_of_a_host_proves_what_is_here(
    sshd: Sshd, tmp_path: Path, program: str, told: str, kind: str
) -> None:
    folder = tmp_path / "far"
    folder.mkdir()
    content = os.urandom(10_000_000)
    held = {"-rf $(x)": content[:9_000_000], "other": b"x" * 9_000_000}
    for name in held:
        (folder / name).write_bytes(content)
    target = host_with(sshd, folder, tmp_path / "bin", program)
    if kind == "sftp":
        (tmp_path / "bin" / "sftp").symlink_to("/usr/lib/openssh/sftp-server")
        key = sshd.authorized_keys.read_text().replace(
            "eval ", "case $SSH_ORIGINAL_COMMAND in internal-sftp*) exec sftp;; esac; eval "
        )
        sshd.authorized_keys.write_text(key)
        target = sshd.target(folder)
    transport = get_spec(kind).open(target, loopback_context())
    entries = [item for item in transport.walk() if isinstance(item, RemoteEntry)]
    sink = DigestSink(held=held)
    receipts = {answer.entry.path: answer.receipt for answer in transport.fetch(entries, sink)}
    transport.close()
    assert receipts == dict.fromkeys(held, digest_of(content))
    written = {receiver.entry.path: receiver.written_bytes for receiver in sink.receivers}
    assert written == {"-rf $(x)": 1_000_000 if told else 10_000_000, "other": 10_000_000}


@pytest.mark.parametrize(("program", "told"), PROGRAMS)
def test_each_program_of_a_host_is_read(
    sshd: Sshd, tmp_path: Path, program: str, told: str
) -> None:
    folder = tmp_path / "far"
    folder.mkdir()
    names = ["plain", "with blank", "-rf", "*star", "back\\slash", "line\nend"]
    for name in names:
        (folder / name).write_bytes(name.encode())
    transport = SPEC.open(host_with(sshd, folder, tmp_path / "bin", program), loopback_context())
    assert "GNU tar" in transport.capabilities.server_software
    list(transport.walk())
    answers, capabilities = asked(transport, *names, "gone")
    assert capabilities.digests == told
    expected = {name: hashlib.sha256(name.encode()).hexdigest() for name in names if told}
    for name in ("gone", "back\\slash", "line\nend"):  # programs escape some names: read in full
        expected[name] = None  # type: ignore[assignment]
    assert {name: digest for name, digest in answers.items() if told} == (expected if told else {})
    if not told:
        assert set(answers.values()) == {None}


def test_a_host_with_a_shell_and_no_gnu_tools_computes_digests(sshd: Sshd, tmp_path: Path) -> None:
    folder = tmp_path / "far"
    folder.mkdir()
    (folder / "file").write_bytes(TEN)
    target = host_with(sshd, folder, tmp_path / "bin", "sha256sum")
    (tmp_path / "bin" / "tar").unlink()
    (tmp_path / "bin" / "sftp").symlink_to("/usr/lib/openssh/sftp-server")
    key = sshd.authorized_keys.read_text().replace(
        "eval ", "case $SSH_ORIGINAL_COMMAND in internal-sftp*) exec sftp;; esac; eval "
    )
    sshd.authorized_keys.write_text(key)
    transport = SPEC.open(target, loopback_context())
    assert "read by SFTP" in transport.capabilities.server_software
    list(transport.walk())
    assert asked(transport, "file")[0] == {"file": RIGHT}


def test_a_host_that_computes_without_end_is_stalled(sshd: Sshd, tmp_path: Path) -> None:
    folder = tmp_path / "far"
    folder.mkdir()
    target = host_with(sshd, folder, tmp_path / "bin")
    program = tmp_path / "bin" / "sha256sum"
    program.write_text("#!/bin/sh\nexec /bin/sleep 30\n")
    program.chmod(0o755)
    (folder / "file").write_bytes(TEN)
    transport = SPEC.open(target, loopback_context(idle_s=2))
    list(transport.walk())
    with pytest.raises(Stalled):
        asked(transport, "file")
