"""The options of a connector of kind `client`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from farends.reaching import Reach, ReachSecret
from farends.spec import Waypoint, option

TIMEOUT_MAX_S = 600
_UNENCRYPTED = Waypoint("plain http", None, None)


def _check_path(path: str) -> None:
    if path and (not path.startswith("/") or "?" in path or "#" in path or not path.isprintable()):
        raise ValueError("must begin with / and hold neither ? nor #")


def _check_base(path: str) -> None:
    _check_path(path)
    if path.endswith("/"):
        raise ValueError("must not end with /")


def _check_timeout(seconds: float) -> None:
    if not seconds > 0:
        raise ValueError("must be above 0")


def _check_statuses(statuses: tuple[str, ...]) -> None:
    if not statuses or any(not one.isdigit() or not 200 <= int(one) <= 299 for one in statuses):
        raise ValueError("must be a list of numbers from 200 to 299")


@dataclass(frozen=True, slots=True)
class ClientOptions(Reach):
    base: str = option(
        "Base path", "What stands before each path, such as /api.", default="", check=_check_base
    )
    tls: bool = option("TLS", "Speak https. Without it the key travels in the clear.", default=True)
    ca_certificate: str = option(
        "CA certificate",
        "PEM text of a private authority; then no other is trusted.",
        default="",
        has_lines=True,
    )
    auth: Literal["header", "bearer", "login"] = option(
        "Log-in",
        "header: the token stands in a field of its own. bearer: in Authorization. login: the key is shown to"
        " the path of the log-in, which answers with a token for the other requests.",
        default="header",
    )
    header_name: str = option(
        "Header", "For log-in by header and for `login`.", default="X-API-Key"
    )
    path_batch: str = option(
        "Path of batches",
        "Where batches of readings are posted.",
        default="/readings/batch",
        key="paths.batch",
        check=_check_path,
    )
    path_auth: str = option(
        "Path of the log-in",
        "Where the key is shown; with `login` the answer holds the token.",
        default="/auth",
        key="paths.auth",
        check=_check_path,
    )
    path_health: str = option(
        "Path of the health check", "Any answer below 500 means that the client system is reachable.",
        default="/health", key="paths.health", check=_check_path,
    )  # fmt: skip
    path_config: str = option(
        "Path of the configuration",
        "Where the configuration is downloaded.",
        default="/config",
        key="paths.config",
        check=_check_path,
    )
    path_heartbeat: str = option(
        "Path of the heartbeat",
        "Where heartbeats are posted.",
        default="/heartbeat",
        key="paths.heartbeat",
        check=_check_path,
    )
    path_digest: str = option(
        "Path of digests", "Where the client system tells what it holds; empty: it does not.",
        default="", key="paths.digest", check=_check_path,
    )  # fmt: skip
    timeout_s: float = option(
        "Time-out",
        "Seconds that one exchange may take as a whole.",
        default=30.0,
        check=_check_timeout,
        least=0,
        most=TIMEOUT_MAX_S,
    )
    success_status: tuple[str, ...] = option(
        "Statuses of success", "HTTP statuses that may stand for a success.",
        default=("200", "201", "202", "204"), advanced=True, check=_check_statuses,
    )  # fmt: skip
    accept_empty: bool = option(
        "An empty answer is a success", "Else a success is a JSON object, or status 204.",
        default=False, advanced=True,
    )  # fmt: skip
    success_field: str = option(
        "Field of success",
        "A field of the answer that must not be false.",
        default="success",
        advanced=True,
    )
    accepted_field: str = option(
        "Field of the count", "Where it is there, it must be the count that was sent.",
        default="accepted", advanced=True,
    )  # fmt: skip
    rejected_field: str = option(
        "Field of refused readings", "A list of objects with key, code, reason and retry.",
        default="rejected", advanced=True,
    )  # fmt: skip
    echo_field: str = option(
        "Field of the batch's id", "Where it is there, it must be the id that was sent.",
        default="batch_id", advanced=True,
    )  # fmt: skip
    duplicate_code: str = option(
        "Code of a reading that is there already",
        "A reading that is refused with this code counts as delivered.", default="", advanced=True,
    )  # fmt: skip
    max_tries: int = option(
        "Tries", "Of one round; after them the next round begins. 0 is OUTBOX_MAX_RETRIES.",
        default=0, advanced=True, least=0, most=1_000,
    )  # fmt: skip

    def detour(self) -> tuple[Waypoint, ...]:
        """Without TLS everybody on the way sees the key, so it is stored for that alone."""
        way = super(ClientOptions, self).detour()
        return way if self.tls else (*way, _UNENCRYPTED)

    @property
    def root(self) -> str:
        """There is no folder to walk."""
        return ""


@dataclass(frozen=True, slots=True, repr=False)
class ClientSecret(ReachSecret):
    token: str = option("Key", "The API key of the client system.", default="")
