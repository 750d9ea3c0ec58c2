"""MCP: the product as a server that agents use."""
