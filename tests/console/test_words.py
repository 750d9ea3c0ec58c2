"""Figures and names in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from console.labels import bar, label
from console.words import NOTHING, moment_words, path_words, size_words, span_words
from farends import names


@pytest.mark.parametrize(
    ("size", "words"),
    [(None, NOTHING), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB")],
)
def test_sizes(size: int | None, words: str) -> None:
    assert size_words(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, NOTHING),
        (0.25, "0.2 s"),
        (48, "48 s"),
        (250, "4 min 10 s"),
        (3600, "1 h"),
        (12_030, "3 h 20 min"),
        (86_400 * 2 + 5, "2 d"),
    ],
)
def test_spans(seconds: float | None, words: str) -> None:
    assert span_words(seconds) == words


def test_moments() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert moment_words(now + timedelta(minutes=5), now) == "in 5 min"
    assert moment_words(now - timedelta(seconds=20), now) == "20 s ago"
    assert moment_words(now, now) == "now"
    assert moment_words(None, now) == NOTHING


def test_names_show_every_stray_byte_and_control_character() -> None:
    name = names.to_text(names.decode(b"a\xff\nb\xc3\xa9\xe2\x80\xae"))
    assert path_words(name) == "a\\xff\\nb\u00e9\\u202e"


def test_markup_is_escaped() -> None:
    assert "<img" not in label("<img>", title='"><img>')
    assert 'width="100.0%"' in bar(250)
