"""The MCP surface under load, beside the server of the official SDK."""
