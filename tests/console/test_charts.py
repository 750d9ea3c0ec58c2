"""Charts are text: marks, words and forms are compared as they are written."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from console.charts import (
    StripMark,
    TimeSpan,
    draw_columns,
    draw_line,
    draw_progress,
    draw_shares,
    draw_spans,
    draw_stacked_columns,
    draw_strip,
    tell_as_table,
)

NASTY = '"><img src=x onerror=alert(1)>'


def titles(svg: str) -> list[str]:
    return [each.text or "" for each in read(svg).iter("title")]


def read(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<x>{svg}</x>")  # noqa: S314 — what we drew ourselves


def test_a_strip_says_each_record_in_form_and_words() -> None:
    marks = [
        StripMark("succeeded", 1.0, "02:00: succeeded, 13 min", "/a"),
        StripMark("failed", 0.2, "03:00: failed, 2 min", "/b"),
        StripMark("held", 0.0, "04:00: held", "/c"),
        StripMark("partial", 0.5, "05:00: partial", "/d"),
        StripMark("suspect", 0.5, "06:00: suspect", "/e"),
    ]
    svg = draw_strip(marks, "acme: last 5 records")
    assert titles(svg) == [mark.words for mark in marks]
    assert 'role="group" aria-label="acme: last 5 records"' in svg
    assert re.findall('href="([^"]*)"', svg) == ["/a", "/b", "/c", "/d", "/e"]
    assert svg.count("sp-s-failed") == 2  # the mark and its foot
    assert svg.count("sp-s-partial") == 2  # cut in two
    assert "sp-s-held sp-hollow" in svg
    assert "<circle" in svg
    only_looked_at = draw_strip([StripMark("succeeded", 1, "one")], "acme")
    assert 'role="img"' in only_looked_at
    assert "<a " not in only_looked_at


def test_columns_tell_their_figures_and_a_limit() -> None:
    svg = draw_columns([("1 Nov", 5, "5 GiB"), ("2 Nov", 0, "none")], "GiB per day", limit=10)
    assert titles(svg) == ["1 Nov: 5 GiB", "2 Nov: none"]
    assert "sp-limit" in svg
    assert 'aria-label="GiB per day"' in svg


def test_stacked_columns_tell_states_in_words() -> None:
    svg = draw_stacked_columns(
        [("02:00", {"succeeded": 3, "timed_out": 1}), ("03:00", {})], "Records per hour"
    )
    assert titles(svg) == ["02:00: 3 succeeded, 1 timed out", "03:00: none"]
    tall = [float(each) for each in re.findall(r'class="sp-s-\w+" [^>]*height="([\d.]+)"', svg)]
    assert tall == [68.25, 22.25]  # by their counts


def test_a_line_has_gaps_where_nothing_is_known() -> None:
    svg = draw_line([1, 2, None, None, 3, 4], "Store")
    assert svg.count("sp-line") == 2
    assert draw_line([None, None], "Store").count("sp-line") == 0
    assert draw_line([], "Store").count("<svg") == 1
    assert draw_line([7], "Store").count("sp-line") == 1


def test_stretches_of_time_stand_lower_where_nothing_answered() -> None:
    svg = draw_spans(
        [
            TimeSpan("on", 0, 0.5, "online 00:00 to 12:00"),
            TimeSpan("off", 0.5, 0.75, "offline 12:00 to 18:00"),
            TimeSpan("unknown", 0.75, 1, "not watched from 18:00"),
        ],
        "acme-host, last 24 h: online half of the time",
    )
    assert titles(svg)[1] == "offline 12:00 to 18:00"
    assert re.findall(r'class="sp-p-(\w+)" x="(\d+)" y="(\d+)"', svg) == [
        ("on", "0", "0"),
        ("off", "500", "8"),
        ("unknown", "750", "16"),
    ]


def test_a_share_of_one_in_a_million_is_seen() -> None:
    svg = draw_shares([("kept", 1_000_000), ("removed", 1), ("added", 0)], "1 of 1,000,001 goes")
    assert re.findall(r'class="sp-k-(\w+)" x="[\d.]+" y="0" width="([\d.]+)"', svg) == [
        ("kept", "998"),
        ("removed", "4"),
    ]


def test_a_bar_is_told_to_readers_and_ticks_where_it_would_stand() -> None:
    bar = draw_progress(0.64, label="acme", words="64 %, file 5 of 8", expected=2.0)
    assert 'aria-valuenow="64" aria-valuetext="64 %, file 5 of 8"' in bar
    assert 'class="sp-tick" x="99.4%"' in bar
    assert 'width="100.0%"' in draw_progress(7, label="acme", words="")
    assert "sp-tick" not in draw_progress(0, label="acme", words="")


def test_words_of_others_stay_words() -> None:
    drawn = [
        draw_strip([StripMark("failed", 1, NASTY, NASTY)], NASTY),
        draw_columns([(NASTY, 1, NASTY)], NASTY),
        draw_stacked_columns([(NASTY, {NASTY: 1})], NASTY),
        draw_line([1], NASTY),
        draw_spans([TimeSpan("on", 0, 1, NASTY)], NASTY),
        draw_shares([("kept", 1)], NASTY),
        draw_progress(0, label=NASTY, words=NASTY),
        tell_as_table([NASTY], [[NASTY]]),
    ]
    for markup in drawn:
        assert "<img" not in markup
        assert "style=" not in markup
        assert len(read(markup)) == 1
