"""The peer's application: a task that does nothing, its jobs in PostgreSQL."""

from __future__ import annotations

import os

import procrastinate

app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=os.environ["PROCRASTINATE_DATABASE_URL"])
)


@app.task(name="nothing", queue="sync")
async def nothing(number: int) -> None:
    """The least that procrastinate can do."""
