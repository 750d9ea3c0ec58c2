"""System checks of what search needs of the database."""

from __future__ import annotations

from typing import Any

from django.core import checks
from django.core.checks import CheckMessage, Tags, register
from django.db import connections

from database.extensions import has_extension

HINT = (
    "A superuser of the database makes it: CREATE EXTENSION vector (package pgvector; the image pgvector/pgvector has"
    " it). Until then search is by words, and no setting or sync fails."
)


@register(Tags.database)
def check_vector_extension(databases: Any = None, **_: Any) -> list[CheckMessage]:
    if "default" not in (databases or ()):
        return []
    with connections["default"].cursor() as cursor:
        if has_extension(cursor, "vector"):
            return []
    words = "The database has no extension `vector`: search goes by words alone."
    return [checks.Warning(words, hint=HINT, id="search.W001")]
