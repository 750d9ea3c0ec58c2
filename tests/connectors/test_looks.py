"""What is known of a far end over time: no stretch is invented, and what nobody watched is said to be so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connectors.looks import (
    LOOKS_KEPT,
    HostCheck,
    HostSpan,
    HostStretch,
    HostTurn,
    add_look,
    lay_spans,
    measure_uptime,
    read_looks,
)

NOW = datetime(2026, 11, 28, 4, 5, tzinfo=UTC)
BEGIN = NOW - timedelta(hours=24)


def at(hours: float) -> datetime:
    return BEGIN + timedelta(hours=hours)


def tell(spans: list[HostSpan]) -> list[tuple[str, float]]:
    return [(span.stretch.value, span.length_s / 3600) for span in spans]


def test_before_the_first_turn_nothing_is_known() -> None:
    assert tell(lay_spans([], BEGIN, NOW)) == [("unknown", 24)]
    turned = [HostTurn(at(6), HostStretch.ONLINE)]
    assert tell(lay_spans(turned, BEGIN, NOW)) == [("unknown", 6), ("online", 18)]


def test_a_turn_before_the_day_holds_at_its_begin() -> None:
    turns = [
        HostTurn(at(-100), HostStretch.ONLINE),
        HostTurn(at(20), HostStretch.OFFLINE, "no answer"),
    ]
    spans = lay_spans(turns, BEGIN, NOW)
    assert tell(spans) == [("online", 20), ("offline", 4)]
    assert [span.reason for span in spans] == ["", "no answer"]


def test_what_nobody_watched_is_neither_online_nor_offline() -> None:
    turns = [
        HostTurn(at(-1), HostStretch.ONLINE),
        HostTurn(at(10), watched=False),
        HostTurn(at(12), HostStretch.OFFLINE, "seen by work"),
        HostTurn(at(14), watched=True),
    ]
    assert tell(lay_spans(turns, BEGIN, NOW)) == [
        ("online", 10),
        ("unwatched", 4),
        ("offline", 10),
    ]


def test_turns_to_the_same_are_one_stretch_whatever_their_order() -> None:
    turns = [
        HostTurn(at(8), HostStretch.ONLINE),
        HostTurn(at(2), HostStretch.ONLINE),
        HostTurn(at(30), HostStretch.OFFLINE),
    ]
    assert tell(lay_spans(turns, BEGIN, NOW)) == [("unknown", 2), ("online", 22)]


@pytest.mark.parametrize(
    ("turns", "share"),
    [
        ([], None),
        ([HostTurn(at(-1), watched=False)], None),
        ([HostTurn(at(12), HostStretch.ONLINE)], 1.0),
        ([HostTurn(at(0), HostStretch.ONLINE), HostTurn(at(18), HostStretch.OFFLINE)], 0.75),
        (
            [
                HostTurn(at(0), HostStretch.ONLINE),
                HostTurn(at(4), watched=False),
                HostTurn(at(20), HostStretch.OFFLINE, watched=True),
            ],
            0.5,
        ),
    ],
)
def test_uptime_is_a_share_of_what_is_known(turns: list[HostTurn], share: float | None) -> None:
    assert measure_uptime(lay_spans(turns, BEGIN, NOW)) == share


def test_the_last_ten_looks_are_kept() -> None:
    kept: list[dict[str, object]] = []
    for number in range(12):
        kept = add_look(kept, HostCheck(at(number), number, "x" * 1_000 if number == 11 else ""))
    looks = read_looks(kept)
    assert len(looks) == LOOKS_KEPT
    assert [look.took_ms for look in looks] == list(range(2, 12))
    assert looks[0].at == at(2)
    assert len(looks[-1].error) == 500
