"""What dlt is asked to do: a table of PostgreSQL into a table of PostgreSQL. A program of its own, for dlt's own
environment: `python dlt_tables.py SOURCE DESTINATION TABLE HOME full|incremental`."""

from __future__ import annotations

import os
import sys

SOURCE, DESTINATION, TABLE, HOME, MODE = sys.argv[1:]
os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DESTINATION__POSTGRES__CREDENTIALS": DESTINATION,
    "DLT_DATA_DIR": HOME,
}

import dlt  # type: ignore[import-not-found]  # noqa: E402 — it reads the environment when it is imported
from dlt.sources.sql_database import (  # type: ignore[import-not-found]  # noqa: E402 — as above
    sql_table,
)

table = sql_table(
    credentials=SOURCE.replace("postgresql:", "postgresql+psycopg2:"),
    table=TABLE,
    incremental=dlt.sources.incremental("updated_at") if MODE == "incremental" else None,
)
table.apply_hints(primary_key="id")
pipeline = dlt.pipeline(TABLE, destination="postgres", dataset_name="dlt", pipelines_dir=HOME)
pipeline.run(table, write_disposition="merge" if MODE == "incremental" else "replace")
