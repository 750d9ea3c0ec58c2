"""Makes the page of tools from their table: `python -m api.mcp.describing > docs/mcp_tools.md`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

_HEAD = """# Tools of the MCP server

Made from the table of tools (`python -m api.mcp.describing`); a test holds the two together. `tools/list` has the input and
output schemas. A token sees the tools of its role and of the roles below, all of its own workspace. To call another tool is
`-32602 Unknown tool`.

- **Answers** are `structuredContent`, and the same JSON as one text block, of 100 kB at most. A list is cut where it would
  become longer, and `next` goes on behind its last item. Connectors, jobs, datasets and streams are given by id or name,
  records by id. What is another workspace's is answered like what does not exist.
- **Failures** come in-band: `isError`, and `{"error": {"code", "detail", "errors", "retry_after_s"}}`. Codes:
  `invalid_arguments`, `not_found`, `not_allowed`, `busy`, `declined`, `plan_unknown`, `plan_differs`, `plan_used`,
  `plan_expired`, `budget_used`, `unavailable`, and the error codes of far ends ([protocols.md](protocols.md)).
- **A tool with `plan_token?`** changes nothing at its first call. It answers `{"state": "planned", "effects", "plan_token",
  "expires_at"}`, and acts when it is called within 300 s with the same arguments and the token: once, for the token of the
  program that asked. A client that declares elicitation is asked instead, by a question with the boolean `go`. What is
  refused (used, expired, another call's, unknown, over the budget) is in the audit trail, as each act is.
- **`start_sync`** is limited to `MCP_STARTS_PER_HOUR` starts of one token ([configuration.md](configuration.md)).
- **Text of files and values of rows** stand in `text`, `blob`, `snippet`, `heading` and `rows` alone, in results with
  `_meta: {"syncproject/untrusted": true}`. Keys of held rows are left out of records: REST and the console have them.
- **`query_table`**: a dataset with several tables is called `DATASET/TABLE`. `where` is a list of `{"column", "op", "value"}`
  with the operators `eq ne lt le gt ge in like is_null`, all of which must hold; values are compared as the column's type.
  `order_by` is a column, or a list of columns and `{"column", "direction": "asc|desc"}`. Cells are texts as PostgreSQL prints
  them. Tables in the database of a connector are read alike.

| tool | role | arguments (`?`: may be left out) | reads only | destructive | idempotent | calls a far end |
|---|---|---|---|---|---|---|
"""


def describe_tools() -> str:
    """Markdown. Django must be set up."""
    return _HEAD + "\n".join([*_rows(), "", *_sections()])


def _rows() -> Iterator[str]:
    from api.mcp.tools.schemas import describe_arguments
    from api.mcp.tools.table import TOOLS

    for tool in TOOLS.values():
        schema = describe_arguments(tool)
        needed = schema.get("required", [])
        arguments = [name if name in needed else f"{name}?" for name in schema["properties"]]
        hints = tool.hints
        flags = (not hints.writes, hints.destroys, hints.idempotent, hints.open_world)
        cells = [f"`{tool.name}`", tool.role.value, " ".join(arguments)]
        yield f"| {' | '.join([*cells, *('yes' if flag else 'no' for flag in flags)])} |"


def _sections() -> Iterator[str]:
    from api.mcp.tools.table import TOOLS

    for tool in TOOLS.values():
        yield from (f"## {tool.name}", "", tool.description, "")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syncproject.settings")
    import django

    django.setup()
    sys.stdout.write(describe_tools())
