"""The sample hosts, asked by real clients."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import paramiko
import pytest
import requests

from embedded.child import Child
from embedded.ports import find_free
from embedded.samples import hosts, sftp_keys, tree
from embedded.samples.hosts import SampleHosts
from embedded.samples.shop_api import CUSTOMERS


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleHosts]:
    data_dir = tmp_path_factory.mktemp("stack")
    prepared = hosts.prepare_sample_hosts(data_dir)
    (data_dir / "secret.txt").write_text("outside")
    children = [Child(program) for program in prepared.programs(data_dir / "log", {})]
    for child in children:
        child.start()
    for child in children:
        child.wait_until_ready()
    yield prepared
    for child in children:
        child.stop()
    assert [child.ending() for child in children] == ["ended with status 0"] * 4


@pytest.fixture
def sftp(sample: SampleHosts) -> Iterator[paramiko.SFTPClient]:
    with paramiko.Transport(("127.0.0.1", sample.sftp_port)) as transport:
        key = paramiko.Ed25519Key.from_private_key_file(str(sftp_keys.client_key(sample.folder)))
        transport.connect(username=sftp_keys.USER, pkey=key)
        assert transport.get_remote_server_key().fingerprint == sftp_keys.read_fingerprint(
            sample.folder
        )
        with paramiko.SFTPClient.from_transport(transport) as client:  # type: ignore[union-attr]
            yield client


def test_the_trees_are_the_same_whenever_they_are_made(tmp_path: Path) -> None:
    def seen(name: str) -> set[tuple[str, int, float, int]]:
        rows = set()
        for path in (tmp_path / name).rglob("*"):
            if path.is_file():
                stat, relative = path.stat(), str(path.relative_to(tmp_path / name))
                rows.add((relative, stat.st_size, stat.st_mtime, stat.st_ino))
        return rows

    count = tree.make(tmp_path / "first", "sftp")
    before = seen("first")
    tree.make(tmp_path / "first", "sftp")
    tree.make(tmp_path / "second", "sftp")

    assert seen("first") == before  # not even written again
    assert {row[:3] for row in seen("second")} == {row[:3] for row in before}
    assert count == len(before) == 120
    assert 10_000_000 < sum(size for _, size, _, _ in before) < 14_000_000
    assert any(" " in name for name, *_ in before)
    assert any(not name.isascii() for name, *_ in before)


def test_sftp_serves_the_tree_with_sizes_and_times(
    sftp: paramiko.SFTPClient, sample: SampleHosts
) -> None:
    path = "/notes/報告 東京.txt"
    local = sample.folder / "sftp" / path.lstrip("/")
    stat = sftp.stat(path)
    assert (stat.st_size, stat.st_mtime) == (local.stat().st_size, int(local.stat().st_mtime))
    buffer = io.BytesIO()
    sftp.getfo("/archive/measurements.dat", buffer)
    assert buffer.getvalue() == (sample.folder / "sftp/archive/measurements.dat").read_bytes()


def test_sftp_refuses_every_change(sftp: paramiko.SFTPClient, sample: SampleHosts) -> None:
    changes: list[Callable[[], object]] = [
        lambda: sftp.open("/new.txt", "w"),
        lambda: sftp.open("/README.txt", "a"),
        lambda: sftp.remove("/README.txt"),
        lambda: sftp.rename("/README.txt", "/x"),
        lambda: sftp.posix_rename("/README.txt", "/x"),
        lambda: sftp.mkdir("/x"),
        lambda: sftp.rmdir("/notes"),
        lambda: sftp.chmod("/README.txt", 0o777),
        lambda: sftp.truncate("/README.txt", 0),
        lambda: sftp.utime("/README.txt", (0, 0)),
        lambda: sftp.symlink("/etc/passwd", "/x"),
    ]
    for change in changes:
        with pytest.raises(PermissionError):
            change()
    assert (sample.folder / "sftp" / "README.txt").stat().st_size > 0


def test_sftp_ends_at_its_folder(sftp: paramiko.SFTPClient) -> None:
    assert sftp.normalize("/../..") == "/"
    for path in ("/../sftp_host_key", "../../secret.txt", "/etc/passwd"):
        with pytest.raises(FileNotFoundError):
            sftp.stat(path)


def test_sftp_knows_one_user_with_one_key_and_no_shell(sample: SampleHosts) -> None:
    key = paramiko.Ed25519Key.from_private_key_file(str(sftp_keys.client_key(sample.folder)))
    for username, pkey in (("root", key), (sftp_keys.USER, paramiko.ECDSAKey.generate())):
        with (
            paramiko.Transport(("127.0.0.1", sample.sftp_port)) as transport,
            pytest.raises(paramiko.AuthenticationException),
        ):
            transport.connect(username=username, pkey=pkey)
    with paramiko.Transport(("127.0.0.1", sample.sftp_port)) as transport:
        transport.connect(username=sftp_keys.USER, pkey=key)
        with transport.open_session() as channel, pytest.raises(paramiko.SSHException):
            channel.exec_command("id")


def test_http_serves_pages_and_files_with_their_times(sample: SampleHosts) -> None:
    root = f"http://127.0.0.1:{sample.http_port}"
    page = requests.get(f"{root}/notes/", timeout=60)
    assert 'href="na%C3%AFve%20caf%C3%A9.md"' in page.text
    answer = requests.get(f"{root}/archive/measurements.dat", timeout=60)
    local = sample.folder / "http" / "archive" / "measurements.dat"
    assert answer.content == local.read_bytes()
    at = parsedate_to_datetime(answer.headers["Last-Modified"])
    assert at.timestamp() == local.stat().st_mtime


@pytest.mark.parametrize(
    "path",
    ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "//etc/passwd", "/link.txt"],
)
def test_http_ends_at_its_folder(sample: SampleHosts, path: str) -> None:
    link = sample.folder / "http" / "link.txt"
    if not link.is_symlink():
        link.symlink_to(sample.folder.parent / "secret.txt")
    # By hand: requests would tidy the path up before asking.
    with socket.create_connection(("127.0.0.1", sample.http_port), timeout=60) as connection:
        asked = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        connection.sendall(asked.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404")


def test_the_hosts_keys_stay_the_same(sample: SampleHosts) -> None:
    before = sftp_keys.read_fingerprint(sample.folder)
    again = SampleHosts(
        sample.folder,
        sftp_port=find_free(),
        http_port=find_free(),
        client_port=find_free(),
        shop_port=find_free(),
    )
    program = again.programs(sample.folder / "log", {})[0]
    child = Child(program)
    child.start()
    child.wait_until_ready()
    child.stop()
    assert sftp_keys.read_fingerprint(sample.folder) == before
    assert sftp_keys.client_key(sample.folder).stat().st_mode & 0o777 == 0o600


def test_the_shop_shows_its_customers_page_by_page_to_who_has_the_key(sample: SampleHosts) -> None:
    told = sample.environment()
    url = f"http://127.0.0.1:{told['DEMO_SHOP_PORT']}/v1/customers"
    key = Path(told["DEMO_SHOP_KEY_FILE"]).read_text()
    shown = {"Authorization": f"Bearer {key}"}
    assert requests.get(url, timeout=60).status_code == 401
    found: list[str] = []
    more = True
    while more:
        asked = {"limit": "100", "starting_after": found[-1] if found else ""}
        page = requests.get(url, params=asked, headers=shown, timeout=60).json()
        found += [one["id"] for one in page["data"]]
        more = page["has_more"]
    assert len(set(found)) == len(found) == CUSTOMERS
