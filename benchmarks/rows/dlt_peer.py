"""What dlt is asked to do: an API's objects into a table of PostgreSQL, by pages that are counted. A program of its own,
for dlt's own environment: `python dlt_peer.py PORT PAGE URL HOME`."""

from __future__ import annotations

import os
import sys

PORT, PAGE, URL, HOME = sys.argv[1:]
os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DESTINATION__POSTGRES__CREDENTIALS": URL,
    "DLT_DATA_DIR": HOME,
}

import dlt  # type: ignore[import-not-found]  # noqa: E402 — it reads the environment when it is imported
from dlt.sources.rest_api import (  # type: ignore[import-not-found]  # noqa: E402 — as above
    rest_api_source,
)

source = rest_api_source(
    {
        "client": {"base_url": f"http://127.0.0.1:{PORT}/v1/"},
        "resources": [
            {
                "name": "objects",
                "primary_key": "id",
                "endpoint": {
                    "path": "offset",
                    "data_selector": "data",
                    "paginator": {
                        "type": "offset",
                        "limit": int(PAGE),
                        "offset_param": "offset",
                        "limit_param": "limit",
                        "total_path": "total",
                    },
                },
                "max_table_nesting": 0,
            }
        ],
    }
)
pipeline = dlt.pipeline("bench", destination="postgres", dataset_name="dlt", pipelines_dir=HOME)
pipeline.run(source, write_disposition="replace")
