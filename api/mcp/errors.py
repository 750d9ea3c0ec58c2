"""What a call is refused with: an error of JSON-RPC. A tool that fails answers in-band: `api.mcp.tools.tool.ToolFailed`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
NO_TOKEN = -32001  # over stdio, where no status says it
LEGACY_NOT_FOUND = -32002  # of a resource, before 2026-07-28
BUSY = -32003
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022


class RpcError(Exception):
    """The message is refused; `status` is that of the HTTP response, `request_id` of the answer where it could be read."""

    def __init__(
        self,
        code: int,
        words: str,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        data: dict[str, Any] | None = None,
        request_id: str | int | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(words)
        self.code = code
        self.status = status
        self.data = data
        self.request_id = request_id
        self.retry_after_s = retry_after_s


def invalid_params(words: str) -> RpcError:
    return RpcError(INVALID_PARAMS, words)
