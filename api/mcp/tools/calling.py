"""`tools/list` and `tools/call`: who sees a tool, what it is given, and what becomes of its answer or failure."""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from django_mcpz.elicitation import BadStateError, Elicitation, InputRequired
from django_mcpz.server import ElicitationDeclinedError, ElicitationUnavailableError

from api.mcp.call import SERVER_INFO, Call, Result, cache_fields
from api.mcp.eras import client_capabilities
from api.mcp.errors import RpcError, invalid_params
from api.mcp.tools.keyed import run_once
from api.mcp.tools.schemas import describe_tool, encode_result
from api.mcp.tools.table import TOOLS
from api.mcp.tools.tool import Tool, ToolFailed
from api.rest.answers import Refused
from workspaces.models import Role

log = structlog.get_logger(__name__)

_PLACE = re.compile(r"^(?P<words>.*?)(?: - at `\$\.?(?P<field>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(
    r"unknown field `(?P<name>[^`]*)`|missing required field `(?P<lacking>[^`]*)`"
)
_CODES = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.FORBIDDEN: "not_allowed",
    HTTPStatus.CONFLICT: "busy",
    HTTPStatus.TOO_MANY_REQUESTS: "unavailable",
    HTTPStatus.BAD_GATEWAY: "unavailable",
    HTTPStatus.SERVICE_UNAVAILABLE: "unavailable",
}


def list_tools(call: Call) -> Result:
    """All on one page, in the table's order."""
    if call.message.params.get("cursor") is not None:
        raise invalid_params("This list has one page: leave `cursor` out")
    return Result({"tools": _told_to(call.caller.role), **cache_fields(call)})


def call_tool(call: Call) -> Result:
    """Raises RpcError, and Refused for what is wrong with an Idempotency-Key."""
    params = call.message.params
    name, arguments = params.get("name"), params.get("arguments")
    if not isinstance(name, str):
        raise invalid_params("`name` must be the name of a tool")
    tool = TOOLS.get(name)
    if tool is None or not call.caller.role.covers(tool.role):
        raise invalid_params(f"Unknown tool: {name[:100]}")
    if arguments is not None and not isinstance(arguments, dict):
        raise invalid_params("`arguments` must be an object")
    call.caller.mcp_elicitation = _open_elicitation(call, tool, arguments or {})
    given = arguments or {}
    return run_once(call, tool, given, lambda: _run(call, tool, given))


@cache
def _told_to(role: Role) -> list[dict[str, Any]]:
    return [describe_tool(tool) for tool in TOOLS.values() if role.covers(tool.role)]


def _open_elicitation(call: Call, tool: Tool, arguments: dict[str, Any]) -> Elicitation:
    params, request = call.message.params, call.caller
    try:
        return Elicitation.for_call(
            request,  # type: ignore[arg-type]  # it reads `user` alone
            SERVER_INFO["name"],
            tool.name,
            arguments,
            input_responses=params.get("inputResponses"),
            request_state=params.get("requestState"),
            unavailable=_why_not_asked(call),
        )
    except BadStateError as exc:
        raise invalid_params(str(exc)) from None


def _why_not_asked(call: Call) -> str | None:
    if not call.is_modern:
        return "this revision of the protocol has no way to ask"
    given = client_capabilities(call.message).get("elicitation")
    if isinstance(given, dict) and (not given or "form" in given):
        return None
    return "the client does not say that it can ask its user (elicitation)"


def _run(call: Call, tool: Tool, arguments: dict[str, Any]) -> Result:
    try:
        given = msgspec.convert(arguments, tool.arguments)
    except msgspec.ValidationError as exc:
        return _failed(_misfit(exc))
    try:
        told = encode_result(tool.answer, tool.call(call.caller, given))
    except InputRequired as exc:
        return _ask(call, exc)
    except ToolFailed as exc:
        return _failed(exc)
    except Refused as exc:
        return _failed(_failure_of(exc))
    except ElicitationDeclinedError:
        return _failed(ToolFailed("declined", "The user said no: nothing was done."))
    except ElicitationUnavailableError as exc:
        return _failed(ToolFailed("unavailable", f"{exc}"))
    except RpcError:
        raise
    except Exception:  # the one place that turns an error of ours into an answer
        log.exception("mcp.tool_failed", tool=tool.name)
        words = "This is an error of ours; the server's log says more."
        return _failed(ToolFailed("unavailable", words))
    return Result.of_tool(told, untrusted=tool.untrusted)


def _failed(failure: ToolFailed) -> Result:
    error = {
        "code": failure.code,
        "detail": str(failure),
        "errors": failure.errors,
        "retry_after_s": failure.retry_after_s,
    }
    return Result.of_tool(msgspec.json.encode({"error": error}), failed=True)


def _misfit(exc: msgspec.ValidationError) -> ToolFailed:
    """msgspec says: Expected `int`, got `str` - at `$.limit`."""
    found = _PLACE.match(str(exc))
    words, field = (found["words"], found["field"]) if found else (str(exc), None)
    if (named := _UNKNOWN.search(words)) is not None:
        field = ".".join(filter(None, [field, named["name"] or named["lacking"]]))
    errors = {field or "arguments": [f"{words}."]}
    where = f" of {field}" if field else ""
    return ToolFailed(
        "invalid_arguments", f"The arguments do not fit{where}: {words}.", errors=errors
    )


def _failure_of(refused: Refused) -> ToolFailed:
    code = _CODES.get(refused.status, "invalid_arguments")
    errors = {field: list(words) for field, words in refused.errors.items()}
    return ToolFailed(code, str(refused), errors=errors, retry_after_s=refused.retry_after_s)


def _ask(call: Call, required: InputRequired) -> Result:
    elicitation = call.caller.mcp_elicitation
    if elicitation is None:
        raise TypeError("a question outside of a tool's call")
    question = {
        "mode": "form",
        "message": required.message,
        "requestedSchema": required.requested_schema,
    }
    return Result(
        {
            "inputRequests": {required.key: {"method": "elicitation/create", "params": question}},
            "requestState": elicitation.request_state(required.key),
        },
        is_final=False,
    )
