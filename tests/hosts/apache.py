"""Apache with index pages, plain or with columns in a table as most sites have them, and with WebDAV."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from embedded.ports import find_free
from tests.hosts.child import find_binary, serving

_MODULES = Path("/usr/lib/apache2/modules")
_CONFIG = """
ServerName localhost
ServerRoot "{home}"
PidFile "{home}/apache.pid"
ErrorLog "{home}/error.log"
{user}
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule autoindex_module {modules}/mod_autoindex.so
LoadModule dir_module {modules}/mod_dir.so
{dav}
DocumentRoot "{folder}"
IndexOptions {columns}
<Directory "{folder}">
  Options Indexes FollowSymLinks
  Require all granted
</Directory>
<LocationMatch "denied">
  Require all denied
</LocationMatch>
"""
_DAV = """
LoadModule dav_module {modules}/mod_dav.so
LoadModule dav_fs_module {modules}/mod_dav_fs.so
DavLockDB "{home}/locks"
<Location "/">
  Dav On
</Location>
"""


@contextlib.contextmanager
def running_apache(
    home: Path, folder: Path, *, columns: str = "FancyIndexing HTMLTable", dav: bool = False
) -> Iterator[int]:
    """Yields the port."""
    port = find_free()
    config = home / "apache.conf"
    user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
    config.write_text(
        _CONFIG.format(
            home=home,
            port=port,
            folder=folder,
            user=user,
            modules=_MODULES,
            columns=columns,
            dav=_DAV.format(home=home, modules=_MODULES) if dav else "",
        )
    )
    command = [find_binary("apache2"), "-f", str(config), "-DFOREGROUND"]
    with serving(command, port, home / "apache.log"):
        yield port
