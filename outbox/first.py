"""The first client system and stream, as the environment names them; made once, and a person's afterwards."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings

from connectors.models import Connector
from connectors.secrets import seal
from outbox.models import Stream
from outbox.streams import save_stream, stop_stream
from workspaces.lookup import find_by_name
from workspaces.models import Workspace

CONNECTOR, STREAM = "client-system", "readings"


class InvalidClientUrl(ValueError):
    """CLIENT_API_URL is no URL of a client system."""


def ensure_first_stream(workspace: Workspace) -> Stream | None:
    """From CLIENT_API_URL, CLIENT_API_KEY, API_TIMEOUT, SYNC_INTERVAL_MINUTES and ENABLE_AUTO_SYNC. None where
    no URL is given, or where it was made before. Raises InvalidClientUrl."""
    url = settings.SYNC.client_api_url
    if not url or find_by_name(Stream.objects.all(), workspace, STREAM) is not None:
        return None
    client = find_by_name(Connector.objects.all(), workspace, CONNECTOR) or _make_client(
        workspace, url
    )
    stream = save_stream(
        Stream(
            workspace=workspace,
            name=STREAM,
            client=client,
            batch_size=settings.SYNC.outbox_batch_size,
            sync_interval_s=max(1, round(settings.SYNC.sync_interval_minutes * 60)),
        )
    )
    if not settings.SYNC.enable_auto_sync:
        stop_stream(stream)
    return stream


def _make_client(workspace: Workspace, url: str) -> Connector:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise InvalidClientUrl(f"CLIENT_API_URL has no valid port: {url}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise InvalidClientUrl(
            "CLIENT_API_URL must be http://host[:port]/path or https://…, without a user"
        )
    tls = parts.scheme == "https"
    client = Connector(
        workspace=workspace,
        name=CONNECTOR,
        kind="client",
        host=parts.hostname,
        port=port or (443 if tls else 80),
        options={
            "tls": tls,
            "base": parts.path.rstrip("/"),
            "timeout_s": settings.SYNC.api_timeout_s,
        },
    )
    seal(client, {"token": settings.SYNC.client_api_key})
    client.save()
    return client
