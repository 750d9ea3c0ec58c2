"""The one table of tools, in the order of `tools/list`. The permission check and the hints both read it.

To add a tool: write its arguments, with what they are answered with, and the shape of the answer in a module of this folder
that is about its topic, and give it a line here. The page of tools is made from this table (`python -m api.mcp.describing`).
"""

from __future__ import annotations

from api.mcp.tools import alerts, connectors, files, jobs, records, rows, searching, streams
from api.mcp.tools.tool import Hints, Tool
from api.shapes.alerts import AlertPage
from api.shapes.offers import OfferedEntityPage
from api.shapes.reaching import ConnectivityOut, TestOut
from api.shapes.records import RecordPage
from workspaces.models import Role

VIEWER, OPERATOR = Role.VIEWER, Role.OPERATOR
_READS = Hints()
_ASKS = Hints(open_world=True)
_TRIES = Hints(
    writes=True, open_world=True
)  # nothing of ours is lost, and once more changes nothing
_STARTS = Hints(writes=True, idempotent=False, open_world=True)
_ENDS = Hints(writes=True, destroys=True)

_ALL = (
    Tool("list_connectors", "List connectors", VIEWER, _READS,
         connectors.ListConnectors, connectors.ConnectorLinePage),
    Tool("test_connector", "Test a connector", OPERATOR, _TRIES,
         connectors.TestConnector, TestOut, keeps_answer=False),
    Tool("connectivity_status", "Connectivity of a connector", VIEWER, _READS,
         connectors.ConnectivityStatus, ConnectivityOut),
    Tool("list_sync_jobs", "List sync jobs", VIEWER, _READS, jobs.ListSyncJobs, jobs.JobLinePage),
    Tool("start_sync", "Start a sync", OPERATOR, _STARTS, jobs.StartSync, jobs.StartedOut, starts=True),
    Tool("stop_sync", "Stop a sync", OPERATOR, _ENDS, records.StopSync, records.StoppedOut),
    Tool("start_auto_sync", "Switch automatic syncs on", OPERATOR, _TRIES,
         jobs.StartAutoSync, jobs.SwitchedOut),
    Tool("stop_auto_sync", "Switch automatic syncs off", OPERATOR, _ENDS,
         jobs.StopAutoSync, jobs.SwitchedOut),
    Tool("sync_status", "Status of syncs", VIEWER, _READS, jobs.StatusOfSyncs, jobs.SyncStatusOut),
    Tool("list_sync_records", "List sync records", VIEWER, _READS, records.ListSyncRecords, RecordPage),
    Tool("explain_sync_record", "Explain a sync record", VIEWER, _READS,
         records.ExplainSyncRecord, records.ExplanationOut),
    Tool("cleanup_stuck_syncs", "Clean up stuck syncs", OPERATOR, _ENDS,
         records.CleanupStuckSyncs, records.CleanedUpOut),
    Tool("download_configuration", "Download a client system's configuration", OPERATOR, _TRIES,
         streams.DownloadConfiguration, streams.DownloadedOut, keeps_answer=False),
    Tool("send_heartbeat", "Send a heartbeat", OPERATOR, _TRIES,
         streams.SendHeartbeat, streams.HeartbeatSentOut, keeps_answer=False),
    Tool("outbox_status", "Status of streams", VIEWER, _READS, streams.OutboxStatus, streams.OutboxStatusOut),
    Tool("search_datasets", "Search datasets", VIEWER, _READS,
         searching.SearchDatasets, searching.FoundOut, untrusted=True),
    Tool("list_files", "List files", VIEWER, _READS, files.ListFiles, files.FileLinePage),
    Tool("read_file", "Read a file", VIEWER, _READS, files.ReadFile, files.FilePartOut, untrusted=True),
    Tool("list_entities", "List tables of a far end", OPERATOR, _ASKS,
         connectors.ListEntities, OfferedEntityPage, untrusted=True),
    Tool("preview_rows", "Preview rows of a far end", OPERATOR, _ASKS,
         connectors.PreviewRows, connectors.PreviewedRows, untrusted=True),
    Tool("query_table", "Query a table", VIEWER, _READS, rows.QueryTable, rows.QueriedRows, untrusted=True),
    Tool("list_alerts", "List alerts", VIEWER, _READS, alerts.ListAlerts, AlertPage),
)  # fmt: skip
TOOLS: dict[str, Tool] = {tool.name: tool for tool in _ALL}
