"""Whole records against whole peers, in turn, on the same tree of the same server."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import peers, stand
from benchmarks.corpora import Corpus, change, fingerprint, plant
from benchmarks.delay import FAR, NEAR, delaying
from benchmarks.peers import Peer, Site

if TYPE_CHECKING:
    from farends.spec import Target

GOALS = {
    "sftp": {"S": 0.5, "L": 0.8, "M": 0.65, "N": 1.0, "D": 0.7},
    "ssh": {"S": 1.2, "L": 0.9, "M": 0.9, "N": 1.2, "D": 1.2},
    "rsync": {"S": 1.6, "L": 1.3, "M": 1.3, "N": 1.3, "D": 1.6},
    "http": {"S": 0.5, "L": 1.3, "M": 1.0, "N": 0.5, "D": 0.9},
    "https": {"S": 0.5, "L": 1.2, "M": 1.0, "N": 0.5, "D": 0.9},
    "ftp": {"S": 0.85, "L": 1.2, "M": 1.0, "N": 1.1, "D": 1.0},
    "ftps": {"S": 0.25, "L": 1.2, "M": 0.5, "N": 1.1, "D": 1.0},
}


PASSIVE_PORTS = (52_000, 53_000)
GOAL_FAR = 0.5  # over a round trip of 20 ms


@dataclass(slots=True)
class Cell:
    """One protocol on one corpus: walls in seconds by name, and what the product took in memory."""

    kind: str
    corpus: Corpus
    walls: dict[str, list[float]] = field(default_factory=dict)
    memory_bytes: int = 0
    delay_ms: int = 0  # the round trip to the server
    faults: list[str] = field(default_factory=list)

    def median(self, name: str) -> float | None:
        walls = self.walls.get(name)
        return statistics.median(walls) if walls else None

    @property
    def goal(self) -> float:
        return GOAL_FAR if self.delay_ms else GOALS[self.kind][self.corpus.letter]

    @property
    def best_peer(self) -> tuple[str, float] | None:
        medians = {name: self.median(name) for name in self.walls if name != OURS}
        return min(
            ((name, wall) for name, wall in medians.items() if wall is not None),
            key=lambda pair: pair[1],
            default=None,
        )

    @property
    def ratio(self) -> float | None:
        best, own = self.best_peer, self.median(OURS)
        return own / best[1] if best and own else None


OURS = "SyncProject"


def measure(kind: str, corpus: Corpus, rounds: int, home: Path, *, delay_ms: int = 0) -> Cell:
    """Product and peers in turn, `rounds` times; every result checked by count and digest.

    Nothing is deleted before the end of the whole run: for seconds after a large removal ext4 passes over
    the inodes that became free, and creating files takes three times as long.
    """
    cell = Cell(kind, corpus, delay_ms=delay_ms)
    with ExitStack() as stack:
        work = Path(tempfile.mkdtemp(prefix=f"{kind}-{corpus.letter}-", dir=home))
        source = work / "source"
        source.mkdir()
        plant(corpus, source)
        site, target = stack.enter_context(serving(kind, source, work))
        if delay_ms:
            stack.enter_context(delaying(delay_ms, [site.port, *site.passive_ports]))
            site, target = replace(site, host=NEAR), replace(target, host=NEAR)
        runners = [peer for peer in peers.available(kind) if peer.is_parallel or not delay_ms]
        if corpus.resync:
            _resync(cell, site, target, runners, rounds, work)
        else:
            _fresh(cell, site, target, runners, rounds, work)
    return cell


def _fresh(
    cell: Cell, site: Site, target: Target, runners: list[Peer], rounds: int, work: Path
) -> None:
    expected = fingerprint(site.folder)
    for round_number in range(rounds):
        job = stand.make_job(cell.kind, target, f"{work.name}-{round_number}")
        run = stand.sync(job)
        cell.walls.setdefault(OURS, []).append(run.wall_s)
        cell.memory_bytes = max(cell.memory_bytes, run.memory_bytes)
        _expect(cell, OURS, stand.fingerprint(job), expected)
        for peer in runners:
            into = work / f"{peer.name.split()[0]}-{round_number}"
            into.mkdir()
            _time_peer(cell, peer, site, into)
            _expect(cell, peer.name, fingerprint(into), expected)


def _resync(
    cell: Cell, site: Site, target: Target, runners: list[Peer], rounds: int, work: Path
) -> None:
    job = stand.make_job(cell.kind, target, work.name)
    stand.sync(job)
    copies = {peer.name: work / f"copy-{number}" for number, peer in enumerate(runners)}
    for peer in runners:
        shutil.copytree(site.folder, copies[peer.name])  # with its times: as an earlier run left it
    for round_number in range(1, rounds + 1):
        if cell.corpus.changed:
            change(cell.corpus, site.folder, round_number)
        expected = fingerprint(site.folder)
        run = stand.sync(job)
        cell.walls.setdefault(OURS, []).append(run.wall_s)
        cell.memory_bytes = max(cell.memory_bytes, run.memory_bytes)
        _expect(cell, OURS, stand.fingerprint(job), expected)
        for peer in runners:
            _time_peer(cell, peer, site, copies[peer.name])
            _expect(cell, peer.name, fingerprint(copies[peer.name]), expected)


def _time_peer(cell: Cell, peer: Peer, site: Site, into: Path) -> None:
    began = time.perf_counter()
    try:
        peers.run(peer, site, into)
    except peers.Failed as exc:
        cell.faults.append(f"{peer.name}: {exc}")
        return
    cell.walls.setdefault(peer.name, []).append(time.perf_counter() - began)


def _expect(cell: Cell, name: str, found: tuple[int, str], expected: tuple[int, str]) -> None:
    if found != expected:
        cell.walls.pop(name, None)
        cell.faults.append(f"{name}: {found[0]} files of {expected[0]}, or other content")


@contextmanager
def serving(kind: str, source: Path, work: Path) -> Iterator[tuple[Site, Target]]:
    """The real server of a protocol on that folder, as a peer and as we need it."""
    home = work / "server"
    home.mkdir()
    with _SERVERS[kind](kind, source, home) as served:
        yield served


@contextmanager
def _ssh(kind: str, source: Path, home: Path) -> Iterator[tuple[Site, Target]]:
    from farends.spec import Target
    from farends.ssh.transport import SshOptions, SshSecret
    from tests.hosts.sshd import running_sshd

    with running_sshd(home) as sshd:
        key = home / "key"
        key.write_text(sshd.private_key)
        key.chmod(0o600)
        known = home / "known_hosts"
        lines = (
            f"[{FAR}]:{sshd.port},[{NEAR}]:{sshd.port} {line}\n" for line in sshd.host_keys.values()
        )
        known.write_text("".join(lines))
        target = sshd.target(source)
        if kind == "ssh":
            options = SshOptions(
                target.options.username, str(source), host_key=target.options.host_key
            )
            secret = SshSecret(private_key=sshd.private_key)
            target = Target(target.host, target.port, options, secret)
        yield Site(kind, sshd.port, source, key, known), target


@contextmanager
def _http(kind: str, source: Path, home: Path) -> Iterator[tuple[Site, Target]]:
    from farends.http.transport import HttpOptions, HttpSecret, HttpsOptions
    from farends.spec import Target
    from tests.hosts.certificates import make_certificates
    from tests.hosts.nginx import running_nginx

    certificates = make_certificates(home, FAR, NEAR) if kind == "https" else None
    certificate = certificates.server if certificates else None
    with running_nginx(home, source, certificate=certificate) as port:
        options = (
            HttpsOptions(ca_certificate=certificates.authority) if certificates else HttpOptions()
        )
        yield Site(kind, port, source), Target("127.0.0.1", port, options, HttpSecret())


@contextmanager
def _ftp(kind: str, source: Path, home: Path) -> Iterator[tuple[Site, Target]]:
    from farends.ftp.transport import FtpOptions, FtpSecret, FtpsOptions
    from farends.spec import Target
    from tests.hosts.certificates import make_certificates
    from tests.hosts.proftpd import PASSWORD, USERNAME, running_proftpd

    certificates = make_certificates(home, FAR, NEAR) if kind == "ftps" else None
    certificate = certificates.server if certificates else None
    passive_ports = range(*PASSIVE_PORTS)
    with running_proftpd(home, certificate=certificate, passive_ports=passive_ports) as port:
        options = (
            FtpsOptions(username=USERNAME, root=str(source), ca_certificate=certificates.authority)
            if certificates
            else FtpOptions(username=USERNAME, root=str(source), allow_plaintext_password=True)
        )
        site = Site(
            kind, port, source, user=USERNAME, password=PASSWORD, passive_ports=passive_ports
        )
        yield site, Target("127.0.0.1", port, options, FtpSecret(password=PASSWORD))


@contextmanager
def _rsync(kind: str, source: Path, home: Path) -> Iterator[tuple[Site, Target]]:
    from tests.hosts.rsyncd import running_rsyncd

    for folder in (source, source.parent):  # its daemon serves as nobody
        folder.chmod(0o755)
    with running_rsyncd(home, source.parent) as rsyncd:
        module = f"open/{source.name}"
        yield Site(kind, rsyncd.port, source, module=module), rsyncd.target(source)


_SERVERS = {
    "sftp": _ssh,
    "ssh": _ssh,
    "rsync": _rsync,
    "http": _http,
    "https": _http,
    "ftp": _ftp,
    "ftps": _ftp,
}
