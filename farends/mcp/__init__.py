"""Kind mcp: the resources of a remote MCP server, over streamable HTTP."""
