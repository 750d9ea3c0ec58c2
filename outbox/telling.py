"""What surfaces tell of a stream, as plain values: REST, the command line, Python and MCP say the same."""

from __future__ import annotations

import json
from typing import Any

from connectors.telling import tell_connectivity
from outbox.contacts import Beat, current_configuration
from outbox.figures import read_stats, read_status
from outbox.models import DeadLetter, Stream, StreamContact, StreamState


def tell_status(stream: Stream) -> dict[str, Any]:
    stream.refresh_from_db()
    status = read_status(stream)
    connectivity = tell_connectivity(stream.client)
    return {
        "is_running": status.state == StreamState.RUNNING,
        "state": status.state,
        "reason": status.reason,
        "last_sync_time": status.last_sync_at,
        "last_sync_success": status.last_sync_success,
        "last_sync_error": status.last_sync_error,
        "queue_size": status.queue_size,
        "queue_bytes": status.queue_bytes,
        "oldest_reading_age_s": status.oldest_reading_age_s,
        "total_synced": status.total_synced,
        "total_failed": status.total_failed,
        "dead_letters": status.dead_letters,
        "is_client_connected": connectivity["is_connected"],
        "next_try_at": status.not_before if status.queue_size else None,
        "waiting_for": status.waiting_for if status.queue_size else "",
        "connectivity": connectivity,
    }


def tell_stats(stream: Stream, hours: int) -> dict[str, Any]:
    stats = read_stats(stream, hours)
    return {
        "hours": hours,
        "total_syncs": stats.total_syncs,
        "successful_syncs": stats.successful_syncs,
        "failed_syncs": stats.failed_syncs,
        "total_readings_synced": stats.total_readings_synced,
        "success_rate": round(stats.success_rate, 4),
    }


def tell_client_configuration(stream: Stream) -> dict[str, Any]:
    current = current_configuration(stream)
    contact = StreamContact.objects.get(pk=stream.pk)
    return {
        "version": current.number if current else None,
        "etag": current.etag if current else None,
        "downloaded_at": current.downloaded_at if current else None,
        "checked_at": contact.checked_at,
        "error": contact.check_error or None,
        "configuration": current.content if current else None,
    }


def tell_beat(beat: Beat) -> dict[str, Any]:
    return {"sent_at": beat.sent_at, "status": beat.status, "error": beat.error}


def tell_letter(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.pk,
        "sequence": letter.seq,
        "key": letter.key,
        "payload": json.loads(letter.payload),
        "code": letter.code,
        "reason": letter.reason,
        "maybe_delivered": letter.maybe_delivered,
        "batch": letter.batch_id,
        "at": letter.at,
    }
