"""Caddy with index pages, which it gives as JSON to who prefers that."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from embedded.ports import find_free
from tests.hosts.child import find_binary, serving

_CONFIG = """
{{
  admin off
  auto_https off
  storage file_system "{home}"
}}
http://127.0.0.1:{port} {{
  bind 127.0.0.1
  @denied path_regexp denied
  respond @denied 403
  root * "{folder}"
  file_server browse
}}
"""


@contextlib.contextmanager
def running_caddy(home: Path, folder: Path) -> Iterator[int]:
    """Yields the port."""
    port = find_free()
    config = home / "Caddyfile"
    config.write_text(_CONFIG.format(home=home, port=port, folder=folder))
    command = [find_binary("caddy"), "run", "--adapter", "caddyfile", "--config", str(config)]
    with serving(command, port, home / "caddy.log"):
        yield port
