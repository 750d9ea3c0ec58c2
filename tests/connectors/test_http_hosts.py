"""Index pages as real web servers write them: every name of a tree, and empty folders."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from farends.contract import RemoteEntry, Seen
from farends.errors import NotAListing
from farends.http.transport import HTTP_SPEC, HttpOptions, HttpSecret
from farends.spec import Target
from tests.hosts.apache import running_apache
from tests.hosts.caddy import running_caddy
from tests.hosts.lighttpd import running_lighttpd
from tests.hosts.nginx import running_nginx
from tests.hosts.python_http import running_python_http
from tests.hosts.sinks import loopback_context

SERVERS: dict[str, Callable[[Path, Path], AbstractContextManager[int]]] = {
    "apache, in a table": running_apache,
    "apache, in columns": partial(running_apache, columns="FancyIndexing XHTML"),
    "apache, plain": partial(running_apache, columns="-FancyIndexing"),
    "lighttpd": running_lighttpd,
    "caddy": running_caddy,
    "nginx": running_nginx,
    "nginx, xml": partial(running_nginx, form="xml"),
    "nginx, json": partial(running_nginx, form="json"),
    "python": running_python_http,
}
NAMES = (
    "a.csv", "b & c", "<d>", "e'f\"g", "ü", "100%", "h#i?j", "k+l", "x" * 90, "m;n=o", "Parent Directory",
)  # fmt: skip


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Apache serves as another user, who cannot enter the folders that pytest makes."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def walked(port: int, root: str) -> list[Seen]:
    target = Target("127.0.0.1", port, HttpOptions(root=root), HttpSecret())
    transport = HTTP_SPEC.open(target, loopback_context())
    try:
        return list(transport.walk())
    finally:
        transport.close()


@pytest.mark.parametrize("name", SERVERS)
def test_the_index_pages_of_real_servers_are_whole(
    name: str, open_folder: Path, tmp_path: Path
) -> None:
    folder = open_folder
    for below in ("one", "one/two", "one/empty"):
        (folder / below).mkdir()
        for each in NAMES if below != "one/empty" else ():
            (folder / below / each).write_bytes(b"hello")
    (folder / "one/page").mkdir()
    (folder / "one/page/index.html").write_bytes(b"<html>It works!</html>")
    with SERVERS[name](tmp_path, folder) as port:
        seen = walked(port, "/one/two")
        assert sorted(item.path for item in seen) == sorted(NAMES)
        assert all(isinstance(item, RemoteEntry) and item.size_bytes == 5 for item in seen)
        assert walked(port, "/one/empty") == []
        if name == "python":  # the others were told of no page that stands for a folder
            with pytest.raises(NotAListing, match="It works"):
                walked(port, "/one/page")
        assert len([item for item in walked(port, "/one") if item.path.startswith("two/")]) == 11
