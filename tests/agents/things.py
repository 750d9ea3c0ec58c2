"""What tools are asked about: one of each thing in a workspace, without far ends that answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema_rs

from alerts.models import Alert
from api.mcp.tools.encoding import BYTES_MAX
from api.mcp.tools.schemas import describe_tool
from api.mcp.tools.table import TOOLS
from connectors.models import Connector
from datasets.models import Dataset
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from outbox.models import Stream
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.agents.asking import Agent
from tests.alerts.making import make_alert, make_rule
from tests.outbox.rows import make_client, make_stream
from tests.rows import make_connector, make_job, make_version
from tests.tables.writing import make_dataset, make_table, publish

TARGET = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
FILES = {"a/b.txt": b"some words", "c.bin": b"\xff\xfe\x00"}


def make_file_job(workspace: str = "acme", **fields: Any) -> SyncJob:
    return make_job(make_connector(TARGET, workspace=workspace), **fields)


@dataclass(frozen=True)
class Things:
    connector: Connector
    job: SyncJob
    record: SyncRecord
    stream: Stream
    files: Dataset
    tables: Dataset
    alert: Alert


def make_things(workspace: str = "acme") -> Things:
    job = make_file_job(workspace, name=f"job-of-{workspace}")
    assert job.connector is not None
    make_version(job.dataset, FILES)
    tables = make_dataset(f"tables-of-{workspace}", workspace)
    publish(
        make_table(tables, {"id": "bigint", "day": "date", "words": "text"}),
        {("1",): {"id": "1", "day": "2026-01-01", "words": f"row of {workspace}"}},
    )
    stream = make_stream(make_client(workspace), name=f"stream-of-{workspace}")
    record = enqueue(job, trigger=Trigger.MANUAL)
    alert = make_alert(
        make_rule(f"rule-of-{workspace}", workspace=job.workspace),
        subject_id=job.pk,
        subject_name=job.name,
    )
    return Things(job.connector, job, record, stream, job.dataset, tables, alert)


def arguments_of(things: Things) -> dict[str, dict[str, Any]]:
    """What each tool is called with, by ids."""
    connector, stream = str(things.connector.pk), str(things.stream.pk)
    job, record = str(things.job.pk), str(things.record.pk)
    files, tables = str(things.files.pk), str(things.tables.pk)
    return {
        "list_connectors": {},
        "test_connector": {"connector": connector},
        "connectivity_status": {"connector": connector},
        "list_sync_jobs": {"connector": connector},
        "start_sync": {"job": job},
        "stop_sync": {"record": record},
        "start_auto_sync": {"job": job},
        "stop_auto_sync": {"stream": stream},
        "sync_status": {"job": job},
        "list_sync_records": {"job": job},
        "explain_sync_record": {"record": record},
        "cleanup_stuck_syncs": {},
        "download_configuration": {"stream": stream},
        "send_heartbeat": {"stream": stream},
        "outbox_status": {"stream": stream},
        "search_datasets": {"query": "words", "dataset": files},
        "list_files": {"dataset": files},
        "read_file": {"dataset": files, "path": "a/b.txt"},
        "list_entities": {"connector": connector},
        "preview_rows": {"connector": connector, "entity": "public.orders"},
        "query_table": {"dataset": tables},
        "list_alerts": {},
    }


@cache
def _validator_of(tool: str) -> Any:
    return jsonschema_rs.validator_for(describe_tool(TOOLS[tool])["outputSchema"])


def checked(who: Agent, tool: str, **arguments: Any) -> Any:
    """The structured content, which is as the tool's schema says, of a bounded size, and in the text block too."""
    result = who.result("tools/call", {"name": tool, "arguments": arguments})
    told = result["structuredContent"]
    _validator_of(tool).validate(told)
    [block] = result["content"]
    assert block["type"] == "text"
    assert json.loads(block["text"]) == told
    assert len(block["text"].encode()) <= BYTES_MAX
    assert result["isError"] is ("error" in told)
    is_marked = result.get("_meta", {}).get("syncproject/untrusted", False)
    assert is_marked is (TOOLS[tool].untrusted and not result["isError"])
    return told
