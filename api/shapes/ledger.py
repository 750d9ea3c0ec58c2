"""What a record did with each file, as JSON."""

from __future__ import annotations

from pydantic import Field

from api.shapes.answers import Told
from syncjobs.models import ItemAction, SyncItem


class ItemOut(Told):
    """What a record did with one file; of a dry run, what it would do."""

    id: int
    path: str = Field(
        description="Below the root. A byte 0xNN that is no UTF-8 stands as the character U+F00NN."
    )
    action: ItemAction
    size_bytes: int | None
    sha256: str | None = Field(description="In hexadecimal.")
    error_code: str
    message: str


class ItemPage(Told):
    items: list[ItemOut]
    next: str | None


def tell_item(item: SyncItem) -> ItemOut:
    return ItemOut(
        id=item.pk,
        path=item.path,
        action=ItemAction(item.action),
        size_bytes=item.size_bytes,
        sha256=None if item.sha256 is None else bytes(item.sha256).hex(),
        error_code=item.error_code,
        message=item.message,
    )
