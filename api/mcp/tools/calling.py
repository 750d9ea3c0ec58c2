"""`tools/list` and `tools/call`: who sees a tool, what it is given, and what becomes of its answer or failure."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from django.db import DatabaseError

from api.mcp.call import Call, Result, cache_fields
from api.mcp.errors import invalid_params
from api.mcp.tools.encoding import encode_planned, encode_told
from api.mcp.tools.keyed import run_once
from api.mcp.tools.misfits import explain_misfit
from api.mcp.tools.planning import UserQuestion, run_planned
from api.mcp.tools.schemas import PlannedOut, describe_tool
from api.mcp.tools.table import TOOLS
from api.mcp.tools.tool import Planned, Tool, ToolFailed
from api.rest.answers import Refused
from database.away import RETRY_AFTER_S, WORDS, is_away
from workspaces.models import Role
from workspaces.races import (
    BUSY,
    BUSY_FOR_S,
    STILL_TAKEN,
    is_busy,
    is_taken,
    work_again_after_races,
)

log = structlog.get_logger(__name__)

_CODES = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.FORBIDDEN: "not_allowed",
    HTTPStatus.CONFLICT: "not_allowed",
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
    given = arguments or {}
    try:
        return work_again_after_races(
            lambda: run_once(call, tool, given, lambda: _run(call, tool, given))
        )
    except DatabaseError as exc:
        if is_taken(exc):
            return _failed(ToolFailed("not_allowed", STILL_TAKEN))
        if is_busy(exc):
            return _failed(ToolFailed("unavailable", BUSY, retry_after_s=BUSY_FOR_S))
        raise


@cache
def _told_to(role: Role) -> list[dict[str, Any]]:
    return [describe_tool(tool) for tool in TOOLS.values() if role.covers(tool.role)]


def _run(call: Call, tool: Tool, arguments: dict[str, Any]) -> Result:
    try:
        return _answer(call, tool, msgspec.convert(arguments, tool.arguments))
    except msgspec.ValidationError as exc:
        return _failed(explain_misfit(exc, tool.arguments))
    except ToolFailed as exc:
        return _failed(exc)
    except Refused as exc:
        return _failed(_failure_of(exc))
    except Exception as exc:  # the one place that turns an error of ours into an answer
        if isinstance(exc, DatabaseError) and (is_taken(exc) or is_busy(exc)):
            raise  # the whole call is worked at again, with its key
        if is_away(exc):
            return _failed(ToolFailed("unavailable", WORDS, retry_after_s=RETRY_AFTER_S))
        log.exception("mcp.tool_failed", tool=tool.name)
        words = "This is an error of ours; the server's log says more."
        return _failed(ToolFailed("unavailable", words))


def _answer(call: Call, tool: Tool, given: Any) -> Result:
    if isinstance(given, Planned):
        planned = run_planned(call, tool, given)
        if isinstance(planned, UserQuestion):
            return Result(planned.as_body(), is_final=False)
        is_plan = planned["state"] == "planned"
        told = encode_planned(PlannedOut if is_plan else tool.answer, planned)
    else:
        told = encode_told(tool, given.answer(call.caller))
    return Result.of_tool(told, untrusted=tool.untrusted)


def _failed(failure: ToolFailed) -> Result:
    error = {
        "code": failure.code,
        "detail": str(failure),
        "errors": failure.errors,
        "retry_after_s": failure.retry_after_s,
    }
    return Result.of_tool(msgspec.json.encode({"error": error}), failed=True)


def _failure_of(refused: Refused) -> ToolFailed:
    code = refused.more.get("code") or _CODES.get(refused.status, "invalid_arguments")
    errors = {field: list(words) for field, words in refused.errors.items()}
    return ToolFailed(code, str(refused), errors=errors, retry_after_s=refused.retry_after_s)
