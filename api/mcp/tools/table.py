"""The one table of tools, in the order of `tools/list`. The permission check and the hints both read it.

To add a tool: write its function and its `Tool` in a module of this folder that is about its topic, and name it here.
"""

from __future__ import annotations

from api.mcp.tools.connectors import LIST_CONNECTORS
from api.mcp.tools.status import SYNC_STATUS
from api.mcp.tools.tool import Tool

_ALL = (LIST_CONNECTORS, SYNC_STATUS)
TOOLS: dict[str, Tool] = {tool.name: tool for tool in _ALL}
