"""`Idempotency-Key` over MCP: a call of a tool that writes, sent again because its answer was lost, acts once.

What was refused or only planned keeps nothing. Reads take no notice of a key, as GET takes none.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
from django.db import transaction

from api.mcp.call import Call, Result
from api.mcp.tools.tool import Tool
from api.rest.idempotency import Keyed, takes_no_key

PLANNED = "planned"


def run_once(
    call: Call, tool: Tool, arguments: dict[str, Any], run: Callable[[], Result]
) -> Result:
    """Raises Refused."""
    if call.key is None or not tool.hints.writes:
        return run()
    if not tool.keeps_answer:
        raise takes_no_key()
    caller = call.caller
    told = msgspec.json.encode(arguments, order="deterministic").decode()
    asked = Keyed(f"{caller.workspace.pk} {caller.name}", call.key, ("mcp", tool.name, told))
    with transaction.atomic():
        kept = asked.find_kept()
        if kept is not None:
            return Result.of_tool(msgspec.json.encode(kept.body), untrusted=tool.untrusted)
        result = run()
        structured = _structured(result)
        is_kept = structured is not None and structured.get("state") != PLANNED
        if is_kept and not result.body.get("isError"):  # the audit trail keeps what was refused
            asked.keep(HTTPStatus.OK, structured)
        return result


def _structured(result: Result) -> Any:
    told = result.body.get("structuredContent")
    return None if told is None else msgspec.json.decode(told)
