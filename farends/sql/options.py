"""The options of a connector of kind `sql`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from farends.reaching import PATIENCE_MAX_S, Reach, ReachSecret
from farends.spec import Waypoint, option

IDLE_S = 120.0
_UNENCRYPTED = Waypoint("sql without tls", None, None)
_UNVERIFIED = Waypoint("sql with tls that is not verified", None, None)


def is_reserved_schema(schema: str) -> bool:
    """Whether it is the server's own, or the product's."""
    return schema == "information_schema" or schema.startswith(("pg_", "syncproject"))


def _check_schemas(schemas: tuple[str, ...]) -> None:
    for schema in schemas:
        if not schema or "\0" in schema:
            raise ValueError("must be names of schemas")
        if is_reserved_schema(schema):
            raise ValueError(f"must not hold {schema}: it is the server's own, or the product's")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlOptions(Reach):
    engine: Literal["postgresql", "mysql", "mariadb"] = option("Engine", "Which server it is.")
    database: str = option("Database", "The database to log in to.")
    username: str = option("User name", "The role or user to log in as.")
    tls: Literal["verify", "require", "off"] = option(
        "TLS",
        "verify: the server shows a certificate for its host name that an authority vouches for. require:"
        " encrypted, but whoever stands between may pose as the server. off: everybody on the way reads along."
        " If you change it, enter the secret again.",
        default="verify",
    )
    ca_certificate: str = option(
        "CA certificate",
        "PEM text of a private authority; then no other is trusted.",
        default="",
        has_lines=True,
    )
    idle_timeout_s: float = option(
        "Idle time-out",
        "Seconds of silence of the server that end an attempt as `stalled`. A large table without an index on"
        " its key is sorted first, in silence.",
        default=IDLE_S,
        late=True,
        least=1,
        most=PATIENCE_MAX_S,
    )
    writable: bool = option("Writable", "Jobs may fill tables here.", default=False)
    schemas: tuple[str, ...] = option(
        "Schemas",
        "The only schemas that jobs may write; needed where it is writable.",
        default=(),
        check=_check_schemas,
        needed_with="writable",
    )

    def detour(self) -> tuple[Waypoint, ...]:
        """Who is on the way reads along, or poses as the server, unless TLS verifies it."""
        way = super(SqlOptions, self).detour()
        weak = {"off": (_UNENCRYPTED,), "require": (_UNVERIFIED,)}
        return (*way, *weak.get(self.tls, ()))

    @property
    def root(self) -> str:
        """There is no folder to walk."""
        return ""


@dataclass(frozen=True, slots=True, repr=False)
class SqlSecret(ReachSecret):
    password: str = option("Password", "Of that user.", default="", goes_with="username")
