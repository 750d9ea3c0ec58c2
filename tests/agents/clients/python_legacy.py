"""The official SDK of Python, 1.30: revision 2025-11-25. Run by the interpreter of its own environment."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from typing import Any

import httpx
from mcp import ClientSession, McpError, StdioServerParameters, stdio_client, types
from mcp.client.streamable_http import streamable_http_client
from pydantic import AnyUrl


async def look(session: ClientSession, asked: dict[str, Any]) -> dict[str, Any]:
    greeted = await session.initialize()
    tools = (await session.list_tools()).tools
    called = await session.call_tool(asked["tool"], asked["arguments"])
    wrong = await session.call_tool(asked["tool"], {"no_such": 1})
    uris, cursor, pages = [], None, 0
    while True:
        page = await session.list_resources(params=types.PaginatedRequestParams(cursor=cursor))
        pages += 1
        uris += [str(each.uri) for each in page.resources]
        cursor = page.nextCursor
        if cursor is None:
            break
    read = (await session.read_resource(AnyUrl(asked["uri"]))).contents[0]
    try:
        await session.read_resource(AnyUrl("sync://no-such/manifest"))
        missing = 0
    except McpError as exc:
        missing = exc.error.code
    template = types.ResourceTemplateReference(
        type="ref/resource", uri="sync://{dataset}/files/{+path}"
    )
    completed = await session.complete(template, {"name": "dataset", "value": ""})
    return {
        "version": greeted.protocolVersion,
        "server": greeted.serverInfo.name,
        "tools": [tool.name for tool in tools],
        "hints": {tool.name: tool.annotations.readOnlyHint for tool in tools if tool.annotations},
        "structured": called.structuredContent,
        "wrong": [wrong.isError, (wrong.structuredContent or {})["error"]["code"]],
        "uris": uris,
        "pages": pages,
        "read": read.text,
        "provenance": (read.meta or {})["syncproject/provenance"]["path"],
        "missing": missing,
        "completed": completed.completion.values,
        "templates": len((await session.list_resource_templates()).resourceTemplates),
    }


async def main() -> None:
    asked = json.loads(sys.argv[1])
    async with AsyncExitStack() as stack:
        if "command" in asked:
            words = asked["command"]
            program = StdioServerParameters(command=words[0], args=words[1:], env=dict(os.environ))
            streams: Any = await stack.enter_async_context(stdio_client(program))
        else:
            headers = {"Authorization": f"Bearer {os.environ['SYNC_TOKEN']}"}
            http = await stack.enter_async_context(httpx.AsyncClient(headers=headers, timeout=60))
            streams = await stack.enter_async_context(
                streamable_http_client(asked["url"], http_client=http)
            )
        session = await stack.enter_async_context(ClientSession(streams[0], streams[1]))
        told = await look(session, asked)
    sys.stdout.write(json.dumps(told) + "\n")


asyncio.run(main())
