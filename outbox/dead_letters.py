"""Dead letters are read, and sent again under a new number and the old key."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from outbox.core.readings import ReadingsRefused, encode_bulk
from outbox.intake import StreamGone, hold_head, keep_again
from outbox.models import DeadLetter, Stream
from workspaces import auditing

AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class LetterToSend:
    """A dead letter to send again; with `payload` in place of the refused one."""

    id: int
    payload: Mapping[str, Any] | None = None


class NoSuchLetter(Exception):
    """No dead letter of this stream waits under this id."""

    def __init__(self, letter_id: int) -> None:
        super().__init__(f"no dead letter {letter_id} waits here: it was sent again, or never was")
        self.letter_id = letter_id


def redrive(stream: Stream, wanted: Sequence[LetterToSend] | None) -> int:
    """How many are in the queue again; None: all. Raises NoSuchLetter, ReadingsRefused; then none is."""
    if wanted is None:
        count = 0
        while ids := list(waiting_letters(stream).values_list("pk", flat=True)[:AT_ONCE]):
            count += _redrive(stream, [LetterToSend(one) for one in ids])
        return count
    return _redrive(stream, wanted) if wanted else 0


def waiting_letters(stream: Stream) -> QuerySet[DeadLetter]:
    """Those that were not sent again yet, the oldest first."""
    return DeadLetter.objects.filter(stream=stream, redriven_at=None).order_by("pk")


@transaction.atomic
def _redrive(stream: Stream, wanted: Sequence[LetterToSend]) -> int:
    chosen = {item.id: item for item in wanted}
    with suppress(StreamGone):  # then its letters are gone too
        hold_head(stream)  # before the letters, as whoever deletes a stream
    letters = {
        letter.pk: letter
        for letter in waiting_letters(stream).filter(pk__in=chosen).select_for_update()
    }
    for letter_id in chosen:
        if letter_id not in letters:
            raise NoSuchLetter(letter_id)
    readings = [_reading_of(letters[item.id], item.payload) for item in chosen.values()]
    try:
        bulk = encode_bulk(readings)
    except ReadingsRefused as exc:
        raise ReadingsRefused(
            {place.replace("readings.", "items.", 1): words for place, words in exc.errors.items()}
        ) from None
    keep_again(stream, bulk)
    DeadLetter.objects.filter(pk__in=letters).update(redriven_at=timezone.now())
    auditing.note(stream, "redriven", {"dead_letters": [None, len(letters)]})
    return len(letters)


def _reading_of(letter: DeadLetter, payload: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "key": letter.key,
        "payload": json.loads(letter.payload) if payload is None else dict(payload),
    }
