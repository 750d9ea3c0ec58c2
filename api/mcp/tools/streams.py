"""Tools about streams: the queues of readings for client systems."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from api.mcp.caller import McpCaller
from api.mcp.tools.arguments import Named, need_stream_of
from api.mcp.tools.tool import Arguments, ToolFailed, ToolList
from api.rest.calling import calling
from api.shapes.answers import Told
from api.shapes.outbox import StreamStatusOut
from outbox.contacts import current_configuration, download_configuration, send_heartbeat
from outbox.models import Stream
from outbox.telling import tell_status
from workspaces import auditing

STREAMS_MAX = 100


class DownloadedOut(Told):
    version: int | None = Field(description="The one in use; null: none was downloaded yet.")
    changed: bool = Field(description="A new version came with this call.")
    downloaded_at: datetime | None


class DownloadConfiguration(Arguments):
    """Asks the client system of a stream for its configuration now. A new version changes how the stream sends, within its
    bounds. It is also asked from time to time by itself."""

    stream: Named

    def answer(self, caller: McpCaller) -> dict[str, Any]:
        found = need_stream_of(caller, self.stream)
        auditing.note(found, "download_configuration")
        before = current_configuration(found)
        with calling(caller.workspace):
            contact = download_configuration(found)
        if contact.check_error:
            words = f"The client system gave no configuration: {contact.check_error}."
            raise ToolFailed("unavailable", words)
        current = current_configuration(found)
        return {
            "version": current.number if current else None,
            "changed": current != before,
            "downloaded_at": current.downloaded_at if current else None,
        }


class HeartbeatSentOut(Told):
    accepted: bool = Field(description="The client system answered that it took it.")
    at: datetime


class SendHeartbeat(Arguments):
    """Sends a heartbeat to the client system of a stream now. One that is not accepted is an answer too: outbox_status and
    connectivity_status tell more."""

    stream: Named

    def answer(self, caller: McpCaller) -> dict[str, Any]:
        found = need_stream_of(caller, self.stream)
        auditing.note(found, "send_heartbeat")
        with calling(caller.workspace):
            beat = send_heartbeat(found)
        return {"accepted": beat.error is None, "at": beat.sent_at}


class StreamLine(StreamStatusOut):
    """How a stream does."""

    stream: str = Field(description="Its name.")


class OutboxStatusOut(Told):
    items: list[StreamLine]
    next: str | None = Field(
        None,
        description="Only where streams were left out, for the answer's size: the name of the next one. Ask for it by"
        " `stream`.",
    )


class OutboxStatus(Arguments):
    """Tells how streams do: whether they send, how many readings wait and for how long, what was delivered and refused. Of one
    stream, or of the first 100 by name."""

    stream: Named | None = None

    def answer(self, caller: McpCaller) -> ToolList:
        if self.stream is not None:
            streams = [need_stream_of(caller, self.stream)]
        else:
            rows = Stream.objects.select_related("client", "workspace")
            streams = list(rows.filter(workspace=caller.workspace).order_by("name")[:STREAMS_MAX])
        items = [{"stream": stream.name, **tell_status(stream)} for stream in streams]
        return ToolList(items, None, lambda at: streams[at + 1].name, next_if_cut=True)
