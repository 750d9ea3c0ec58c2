"""What a workspace has set of its search, with the installation's defaults."""

from __future__ import annotations

import uuid

from search.core.lexemes import DEFAULT_LANGUAGES
from search.models import SearchChoice


def find_languages(workspace_id: uuid.UUID) -> tuple[str, ...]:
    """Returns the text search configurations that stem the workspace's words, beside `simple`."""
    chosen = (
        SearchChoice.objects.filter(pk=workspace_id).values_list("languages", flat=True).first()
    )
    return DEFAULT_LANGUAGES if chosen is None else tuple(chosen)
