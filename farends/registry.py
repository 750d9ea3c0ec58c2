"""The kinds of connector that this installation speaks. The only importer of concrete transports."""

from __future__ import annotations

from farends.client import kind as client
from farends.ftp import transport as ftp
from farends.http import transport as http
from farends.mcp import transport as mcp
from farends.rest import kind as rest
from farends.rsync import transport as rsync
from farends.sftp import transport as sftp
from farends.spec import Spec
from farends.sql import kind as sql
from farends.ssh import transport as ssh
from farends.webdav import transport as webdav

SPECS: dict[str, Spec] = {
    spec.kind: spec
    for spec in (
        sftp.SPEC,
        ssh.SPEC,
        ftp.FTP_SPEC,
        ftp.FTPS_SPEC,
        http.HTTP_SPEC,
        http.HTTPS_SPEC,
        rsync.SPEC,
        client.SPEC,
        webdav.SPEC,
        mcp.SPEC,
        sql.SPEC,
        rest.SPEC,
    )
}


class UnknownKind(LookupError):
    """There is no such kind of connector."""


def get_spec(kind: str) -> Spec:
    """Returns the spec of a kind. Raises UnknownKind, which lists the kinds that exist."""
    try:
        return SPECS[kind]
    except KeyError:
        raise UnknownKind(f"no kind {kind!r}; there are {', '.join(sorted(SPECS))}") from None


def can_remove(kind: str) -> bool:
    """Whether far ends of this kind can be asked to delete and move files."""
    return kind in SPECS and SPECS[kind].open_remover is not None


def removing_kinds() -> list[str]:
    return [kind for kind in SPECS if can_remove(kind)]
