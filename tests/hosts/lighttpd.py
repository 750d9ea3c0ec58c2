"""lighttpd with index pages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from embedded.ports import find_free
from tests.hosts.child import find_binary, serving

_CONFIG = """
server.modules = ("mod_access", "mod_dirlisting")
server.document-root = "{folder}"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{home}/error.log"
dir-listing.activate = "enable"
dir-listing.hide-dotfiles = "disable"
dir-listing.exclude = ()
mimetype.assign = ("" => "application/octet-stream")
$HTTP["url"] =~ "denied" {{ url.access-deny = ("") }}
"""


@contextlib.contextmanager
def running_lighttpd(home: Path, folder: Path) -> Iterator[int]:
    """Yields the port."""
    port = find_free()
    config = home / "lighttpd.conf"
    config.write_text(_CONFIG.format(home=home, port=port, folder=folder))
    with serving([find_binary("lighttpd"), "-D", "-f", str(config)], port, home / "lighttpd.log"):
        yield port
