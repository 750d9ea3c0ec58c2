"""The tools of the MCP server, in a table that says who sees each."""
