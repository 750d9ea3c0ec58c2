"""What a stage of the connection test came to, and what to do where it failed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from farends.errors import (
    AuthConfig,
    AuthRefused,
    ConnectionStage,
    HostKeyChanged,
    HostKeyUnknown,
    McpAuthFailed,
    McpDuplicateUri,
    McpLoop,
    McpProtocol,
    McpToolsOnly,
    McpTooMany,
    NameNotResolved,
    NeedsPerson,
    NetworkForbidden,
    NotAListing,
    PermissionRefused,
    ProtocolViolation,
    ProxyRefused,
    RedirectRefused,
    RootMissing,
    Stalled,
    Throttled,
    TlsRefused,
    TransportError,
    Unreachable,
    Vanished,
)

CLOCK_SKEW_MAX_S = 60.0
FILE_STAGES = (
    ConnectionStage.RESOLVE,
    ConnectionStage.CONNECT,
    ConnectionStage.IDENTITY,
    ConnectionStage.LOG_IN,
    ConnectionStage.LIST,
    ConnectionStage.READ,
    ConnectionStage.CLOCK,
    ConnectionStage.FEATURES,
)
MCP_STAGES = tuple(
    ConnectionStage.TLS if stage is ConnectionStage.IDENTITY else stage for stage in FILE_STAGES
)


class StageOutcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class StageResult:
    """`code` is the error's, empty where there is none; `offered` a host key to approve, and `option`
    where it is then kept."""

    stage: ConnectionStage
    outcome: StageOutcome
    detail: str = ""
    advice: str = ""
    code: str = ""
    offered: str = ""
    option: str = ""


_ADVICE: tuple[tuple[type[TransportError], str], ...] = (
    (McpAuthFailed, "Store the server's token as the secret, or the header field that it wants."),
    (McpToolsOnly, "Ask the server's operator for resources: tools cannot be synced."),
    (McpTooMany, "Raise options.max_resources: it counts all that the server lists."),
    (NeedsPerson, "Ask the server's operator to let this user read without a question."),
    (RedirectRefused, "Set host, port and options.path to where the server is."),
    (
        McpProtocol,
        "Check host, port and options.path: an MCP server must answer there by streamable HTTP.",
    ),
    (McpLoop, "Tell the server's operator: its listing must come to an end."),
    (McpDuplicateUri, "Tell the server's operator: a listing names each resource once."),
    (NetworkForbidden, "Ask the operator to add the network to ALLOWED_NETWORKS."),
    (NameNotResolved, "Check the host name, and that this machine's DNS knows it."),
    (ProxyRefused, "Ask the proxy's operator to let this host and port through, and this user in."),
    (Unreachable, "Check host and port, and that a firewall lets this machine through."),
    (
        HostKeyChanged,
        "Ask the host's operator whether its key was replaced. Only then store the new one in"
        " {option}; otherwise somebody may stand between.",
    ),
    (TlsRefused, "Check the certificate's name and dates; for a private CA set ca_certificate."),
    (AuthConfig, "Store the secret again: the message says what cannot be used."),
    (AuthRefused, "Check user name and secret, and that the host allows this way to log in."),
    (RootMissing, "Check options.root: the folder as this user sees it after the log-in."),
    (
        NotAListing,
        "Check that options.root is a folder, that the host shows its content, and that it asks for no"
        " other log-in.",
    ),
    (PermissionRefused, "Give the user the right to read, or choose another folder."),
    (Throttled, "The host asks for fewer requests; wait, or lower the sessions."),
    (Stalled, "Check that the port speaks this protocol, and how loaded the host is."),
    (ProtocolViolation, "Check that kind and port belong together."),
)


def tell_failure(error: TransportError) -> StageResult:
    """The failed stage is the error's own."""
    offered, option = "", ""
    if isinstance(error, HostKeyUnknown | HostKeyChanged):
        offered, option = error.offered, error.option
    advice = next((text for kind, text in _ADVICE if isinstance(error, kind)), "")
    if isinstance(error, HostKeyChanged):
        advice = advice.format(option=f"options.{error.option}")
    elif isinstance(error, HostKeyUnknown) and offered:
        advice = (
            f"Compare {offered} with what the host's operator tells you by another way, then store"
            f" it in options.{error.option}."
        )
    elif isinstance(error, Vanished):
        advice = "The file went away during the test; try again."
    elif not advice and error.retryable:
        advice = "Try again; if it stays so, look at the host's own log."
    return StageResult(
        error.stage, StageOutcome.FAILED, str(error), advice, error.code, offered, option
    )


def judge_clock(skew_s: float | None, advice: str) -> StageResult:
    """`skew_s` is how far the host's clock is ahead of ours; None where it does not tell."""
    stage = ConnectionStage.CLOCK
    if skew_s is None:
        return StageResult(stage, StageOutcome.SKIPPED, "this protocol does not tell the time")
    if abs(skew_s) <= CLOCK_SKEW_MAX_S:
        return StageResult(stage, StageOutcome.PASSED, f"{skew_s:+.1f} s off")
    detail = f"the host's clock is {skew_s:+.0f} s off"
    return StageResult(stage, StageOutcome.FAILED, detail, advice, "clock_skew")
