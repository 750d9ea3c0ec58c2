"""nginx with index pages, as HTML or JSON, plain or over TLS."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from embedded.ports import find_free
from tests.hosts.child import find_binary, serving

_CONFIG = """
daemon off;
master_process off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 512; }}
http {{
  types {{ }}
  default_type application/octet-stream;
  access_log off;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  sendfile on;
  server {{
    listen 127.0.0.1:{port} {tls};
    {certificate}
    {lines}
    root "{folder}";
    location ~ denied {{ return 403; }}
    location / {{ autoindex on; autoindex_format {form}; }}
  }}
}}
"""


@contextlib.contextmanager
def running_nginx(
    home: Path,
    folder: Path,
    *,
    form: str = "html",
    certificate: Path | None = None,
    lines: str = "",
) -> Iterator[int]:
    """Yields the port. `certificate` is a PEM file with certificate and key, `lines` go into the
    server's block."""
    port = find_free()
    tls = ""
    if certificate is not None:
        tls = f"ssl_certificate {certificate}; ssl_certificate_key {certificate};"
    config = home / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    config.write_text(
        user
        + _CONFIG.format(
            home=home,
            port=port,
            folder=folder,
            form=form,
            tls="ssl" if certificate else "",
            certificate=tls,
            lines=lines,
        )
    )
    command = [find_binary("nginx"), "-c", str(config), "-p", str(home), "-e", str(home / "e.log")]
    with serving(command, port, home / "nginx.log"):
        yield port
