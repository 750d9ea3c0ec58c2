"""A held file on its way to a person's disk. It is never shown by the browser: it may be anything."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

from django.http import FileResponse

from connectors import names
from datasets.models import Dataset, Entry
from datasets.store import open_store


def download(dataset: Dataset, entry: Entry) -> FileResponse:
    """Raises StoreError, such as BlobMissing."""
    blob = open_store(dataset.workspace_id).open(bytes(entry.sha256))
    response = FileResponse(blob, content_type="application/octet-stream")
    response.headers["Content-Disposition"] = content_disposition(entry.path)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "private, no-store"
    return response


def content_disposition(path: str) -> str:
    """For the last component of a stored path: RFC 6266, with RFC 5987's form for what is not ASCII.

    Control and direction characters are dropped: they could end the header or turn a name round.
    """
    name = path.rpartition("/")[2]
    decoded = names.encode(names.from_text(name)).decode("utf-8", "replace")
    clean = "".join(
        character for character in decoded if unicodedata.category(character) not in ("Cc", "Cf")
    )
    clean = clean.replace("\\", "_").strip() or "file"
    plain = "".join(
        character if character.isascii() and character not in '"%' else "_" for character in clean
    )
    if plain == clean:
        return f'attachment; filename="{plain}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(clean, safe='')}"
