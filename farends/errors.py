"""What can go wrong at a far end.

The leaf says what happened, the branch says whether waiting helps; `stage` names the step of the
connection test that it belongs to. A class's docstring is its default message.

    TransportError
    ├── TransientError            waiting may help
    │   ├── Unreachable           unreachable       no route, refused, no answer in time
    │   ├── NameNotResolved       name_not_resolved
    │   ├── ConnectionLost        connection_lost
    │   ├── Stalled               stalled           too slow or silent for too long
    │   ├── Truncated             truncated         fewer bytes than declared
    │   ├── Unstable              unstable          the file changed while it was read
    │   ├── Vanished              vanished          listed, then gone
    │   └── Throttled             throttled         carries `retry_after_s`
    └── PermanentError            a person must act
        ├── NetworkForbidden      network_forbidden
        ├── ProxyRefused          proxy_refused
        ├── HostKeyUnknown        host_key_unknown  carries `offered` and `option`
        ├── HostKeyChanged        host_key_changed  carries `offered` and `option`
        ├── TlsRefused            tls
        ├── AuthRefused           auth_refused
        │   └── McpAuthFailed     auth_failed
        ├── AuthConfig            auth_config       the stored secret cannot be used as it is
        ├── RootMissing           root_missing
        ├── NotAListing           not_a_listing     carries `shown`, how the answer begins
        ├── PermissionRefused     permission_refused
        ├── AlreadyThere          already_there     a move would replace a file
        ├── ListingTooLong        listing_too_long  more rows than any listing may have
        ├── TooLarge              too_large         more bytes than the limit allows
        ├── UnsafeName            unsafe_name
        ├── SchemaGone            schema            the cursor's or a key's column is gone
        ├── McpToolsOnly          mcp_tools_only    the server offers nothing that can be read
        ├── McpTooMany            mcp_too_many      more resources than the connector's limit
        ├── NeedsPerson           needs_a_person    the server asks a person something before it answers
        ├── RedirectRefused       redirect_refused  the credential is for the host that was asked
        └── ProtocolViolation     protocol
            ├── McpProtocol       mcp_protocol
            ├── McpLoop           mcp_loop          the listing comes back to where it was
            ├── McpDuplicateUri   mcp_duplicate_uri
            ├── McpContents       mcp_contents      an answer that is not one content
            ├── McpOtherUri       mcp_other_uri     contents of what was not asked for
            └── McpWrongId        mcp_wrong_id      the answer to another request
"""

from __future__ import annotations

from enum import StrEnum


class ConnectionStage(StrEnum):
    """Steps of the connection test, in the order in which they are taken. Each kind has some of them."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    IDENTITY = "identity"  # host key or certificate
    TLS = "tls"  # what the identity is called where it can be nothing but a certificate: of MCP servers
    LOG_IN = "log_in"
    UPLOAD = "upload"  # the path that takes readings
    LIST = "list"
    READ = "read"
    CLOCK = "clock"
    FEATURES = "features"


class TransportError(Exception):
    """The far end failed."""

    code = "transport"
    stage = ConnectionStage.READ
    retryable = False
    waits = False  # the host was not reached, or asks to wait: only time helps
    of_way = (
        False  # the proxy or the jump host failed that we connect to, and not the far end behind it
    )
    of_empty_listing = False  # the listing came to its end and names nothing; this says why

    def __init__(self, message: str | None = None, *, stage: ConnectionStage | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        if stage is not None:
            self.stage = stage


class TransientError(TransportError):
    """The far end failed; waiting may help."""

    retryable = True


class PermanentError(TransportError):
    """The far end refused; a person must act."""


class Unreachable(TransientError):
    """The host did not answer."""

    code = "unreachable"
    waits = True
    stage = ConnectionStage.CONNECT


class NameNotResolved(TransientError):
    """The host name has no address."""

    code = "name_not_resolved"
    waits = True
    stage = ConnectionStage.RESOLVE


class ConnectionLost(TransientError):
    """The connection ended before the work did."""

    code = "connection_lost"


class Stalled(TransientError):
    """The far end went silent."""

    code = "stalled"


class Truncated(TransientError):
    """Fewer bytes arrived than were declared."""

    code = "truncated"


class Unstable(TransientError):
    """The file changed while it was read."""

    code = "unstable"


class Vanished(TransientError):
    """The file was listed and is gone."""

    code = "vanished"


class Throttled(TransientError):
    """The far end asks for fewer requests."""

    code = "throttled"
    waits = True

    def __init__(self, message: str | None = None, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NetworkForbidden(PermanentError):
    """The address is outside the networks that this installation may connect to."""

    code = "network_forbidden"
    stage = ConnectionStage.RESOLVE


class ProxyRefused(PermanentError):
    """The proxy refused to connect."""

    code = "proxy_refused"
    stage = ConnectionStage.CONNECT


class HostKeyError(PermanentError):
    """The host's key is not the pinned one. `option` is where the pin of this host is kept."""

    stage = ConnectionStage.IDENTITY

    def __init__(self, message: str | None = None, *, offered: str = "", option: str = "") -> None:
        super().__init__(message)
        self.offered = offered
        self.option = option


class HostKeyUnknown(HostKeyError):
    """No host key is pinned for this connector."""

    code = "host_key_unknown"


class HostKeyChanged(HostKeyError):
    """The host showed another key than the pinned one."""

    code = "host_key_changed"


class TlsRefused(PermanentError):
    """The host's certificate or TLS version is not acceptable."""

    code = "tls"
    stage = ConnectionStage.IDENTITY


class AuthRefused(PermanentError):
    """The host refused the log-in."""

    code = "auth_refused"
    stage = ConnectionStage.LOG_IN


class AuthConfig(PermanentError):
    """The stored secret cannot be used as it is."""

    code = "auth_config"
    stage = ConnectionStage.LOG_IN


class RootMissing(PermanentError):
    """The root folder does not exist on the host."""

    code = "root_missing"
    stage = ConnectionStage.LIST


class NotAListing(PermanentError):
    """What the host answers for the folder is no listing."""

    code = "not_a_listing"
    stage = ConnectionStage.LIST

    def __init__(self, message: str | None = None, *, shown: str = "") -> None:
        """`shown`: the first 200 characters of the answer, fit to be printed."""
        words = message or (type(self).__doc__ or "").strip()
        super().__init__(f"{words} It begins: {shown}" if shown else words)
        self.shown = shown


class PermissionRefused(PermanentError):
    """The host refuses to read this."""

    code = "permission_refused"


class AlreadyThere(PermanentError):
    """There is a file of this name in the folder to move to."""

    code = "already_there"


class ListingTooLong(PermanentError):
    """The listing has more rows than the limit allows."""

    code = "listing_too_long"


class TooLarge(PermanentError):
    """More bytes arrived than the limit allows."""

    code = "too_large"


class UnsafeName(PermanentError):
    """The name could leave its folder."""

    code = "unsafe_name"
    stage = ConnectionStage.LIST


class SchemaGone(PermanentError):
    """The column of the cursor or of the key is not at the source any more."""

    code = "schema"
    stage = ConnectionStage.LIST


class ProtocolViolation(PermanentError):
    """The far end broke its own protocol."""

    code = "protocol"


class McpAuthFailed(AuthRefused):
    """The MCP server refused the token."""

    code = "auth_failed"


class McpToolsOnly(PermanentError):
    """The MCP server offers tools and no resources."""

    code = "mcp_tools_only"
    stage = ConnectionStage.LIST

    def __init__(self, message: str | None = None, *, of_empty_listing: bool = False) -> None:
        super().__init__(message)
        self.of_empty_listing = of_empty_listing


class McpTooMany(PermanentError):
    """The MCP server lists more resources than the connector allows."""

    code = "mcp_too_many"
    stage = ConnectionStage.LIST


class NeedsPerson(PermanentError):
    """The server asks a person something before it answers."""

    code = "needs_a_person"


class RedirectRefused(PermanentError):
    """The server redirects, and the credential is for the address that was asked."""

    code = "redirect_refused"


class McpProtocol(ProtocolViolation):
    """The server's answer is no MCP."""

    code = "mcp_protocol"


class McpLoop(ProtocolViolation):
    """The listing comes back to where it was."""

    code = "mcp_loop"
    stage = ConnectionStage.LIST


class McpDuplicateUri(ProtocolViolation):
    """The listing names one URI twice."""

    code = "mcp_duplicate_uri"
    stage = ConnectionStage.LIST


class McpContents(ProtocolViolation):
    """The server's answer is not the content of one resource."""

    code = "mcp_contents"


class McpOtherUri(ProtocolViolation):
    """The server answered with the content of another resource."""

    code = "mcp_other_uri"


class McpWrongId(ProtocolViolation):
    """The server answered another request than the one that was made."""

    code = "mcp_wrong_id"


def is_transport_code(code: str) -> bool:
    """Whether an error of this code comes from talking to a far end."""
    kinds: list[type[TransportError]] = [TransportError]
    for kind in kinds:
        if kind.code == code:
            return True
        kinds.extend(kind.__subclasses__())
    return False


def needs_person(code: str) -> bool:
    """Whether an error of this code stays until somebody acts."""
    permanent: list[type[TransportError]] = [PermanentError]
    for kind in permanent:
        if kind.code == code:
            return True
        permanent.extend(kind.__subclasses__())
    return False
