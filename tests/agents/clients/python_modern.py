"""The official SDK of Python, 2.3: revision 2026-07-28. Run by the interpreter of its own environment."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import httpx2
from mcp import Client, MCPError, StdioServerParameters, types
from mcp.client.streamable_http import streamable_http_client


async def look(server: Any, asked: dict[str, Any], mode: str = "auto") -> dict[str, Any]:
    async with Client(server, mode=mode) as client:
        return await _look(client, asked)


async def _look(client: Client, asked: dict[str, Any]) -> dict[str, Any]:
    tools = (await client.list_tools()).tools
    called = await client.call_tool(asked["tool"], asked["arguments"])
    wrong = await client.call_tool(asked["tool"], {"no_such": 1})
    uris, cursor, pages = [], None, 0
    while True:
        page = await client.list_resources(cursor=cursor)
        pages += 1
        uris += [str(each.uri) for each in page.resources]
        cursor = page.next_cursor
        if cursor is None:
            break
    read = (await client.read_resource(asked["uri"])).contents[0]
    try:
        await client.read_resource("sync://no-such/manifest")
        missing = 0
    except MCPError as exc:
        missing = exc.error.code
    template = types.ResourceTemplateReference(uri="sync://{dataset}/files/{+path}")
    completed = await client.complete(template, {"name": "dataset", "value": ""})
    return {
        "version": client.protocol_version,
        "server": client.server_info.name if client.server_info else None,
        "tools": [tool.name for tool in tools],
        "hints": {tool.name: tool.annotations.read_only_hint for tool in tools if tool.annotations},
        "structured": called.structured_content,
        "wrong": [wrong.is_error, (wrong.structured_content or {})["error"]["code"]],
        "uris": uris,
        "pages": pages,
        "read": read.text,
        "provenance": (read.meta or {})["syncproject/provenance"]["path"],
        "missing": missing,
        "completed": completed.completion.values,
        "templates": len((await client.list_resource_templates()).resource_templates),
    }


async def hear(server: Any, uri: str) -> None:
    """Says that it listens, then the first two events."""
    async with (
        Client(server) as client,
        client.listen(resources_list_changed=True, resource_subscriptions=[uri]) as subscription,
    ):
        _say({"listens": True})
        events = []
        async for event in subscription:
            events.append(type(event).__name__)
            if len(events) == 2:
                break
        _say({"events": events})


async def ask(server: Any, tool: str, arguments: dict[str, Any], answer: str) -> dict[str, Any]:
    """Calls a tool; the client's user answers what the server asks."""
    asked = []

    async def elicited(context: Any, params: Any) -> Any:
        asked.append(params.message)
        content = {"go": True} if answer == "accept" else None
        return types.ElicitResult(action=answer, content=content)

    async with Client(server, elicitation_callback=elicited) as client:
        told = await client.call_tool(tool, arguments)
    return {"asked": asked, "failed": told.is_error, "structured": told.structured_content}


def _say(told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


async def main() -> None:
    asked = json.loads(sys.argv[1])
    if "command" in asked:
        words = asked["command"]
        server: Any = StdioServerParameters(command=words[0], args=words[1:], env=dict(os.environ))
        # `auto` takes a program that starts slower than in ten seconds for one of the old era.
        _say(await look(server, asked, mode="2026-07-28"))
        return
    headers = {"Authorization": f"Bearer {os.environ['SYNC_TOKEN']}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        server = streamable_http_client(asked["url"], http_client=http)
        if asked["do"] == "hear":
            await hear(server, asked["uri"])
        elif asked["do"] == "ask":
            _say(await ask(server, asked["tool"], asked["arguments"], asked["answer"]))
        else:
            _say(await look(server, asked))


asyncio.run(main())
