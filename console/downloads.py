"""A held file on its way to a person's disk. It is never shown by the browser: it may be anything."""

from __future__ import annotations

from django.http import FileResponse

from connectors.attachments import attachment_fields
from datasets.models import Dataset, Entry
from datasets.store import open_store


def download(dataset: Dataset, entry: Entry) -> FileResponse:
    """Raises StoreError, such as BlobMissing."""
    blob = open_store(dataset.workspace_id).open(bytes(entry.sha256))
    response = FileResponse(blob)
    for name, value in attachment_fields(entry.path).items():
        response.headers[name] = value
    response.headers["Cache-Control"] = "private, no-store"
    return response
