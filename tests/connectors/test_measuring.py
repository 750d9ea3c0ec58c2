from __future__ import annotations

import pytest

from farends.contract import Capabilities
from farends.measuring import SECOND_NS, TimesSeen, describe_capabilities

BEGIN_S = 1_700_000_000


def seen(times_ns: list[int], told_ns: int = SECOND_NS) -> int:
    times = TimesSeen()
    for time_ns in times_ns:
        times.note(time_ns)
    times.note(None)
    return times.coarsest(told_ns) // SECOND_NS if told_ns >= SECOND_NS else times.coarsest(told_ns)


@pytest.mark.parametrize(
    ("step_s", "precision_s"), [(1, 1), (2, 2), (4, 2), (3, 1), (60, 60), (86_400, 60)]
)
def test_the_precision_is_what_all_times_share(step_s: int, precision_s: int) -> None:
    begin_s = BEGIN_S // 60 * 60
    assert seen([(begin_s + n * step_s) * SECOND_NS for n in range(30)]) == precision_s


def test_one_odd_second_shows_a_clock_of_seconds() -> None:
    times = [(BEGIN_S + n * 2) * SECOND_NS for n in range(1000)]
    assert seen([*times, (BEGIN_S + 1) * SECOND_NS]) == 1


def test_few_different_times_show_nothing() -> None:
    assert seen([(BEGIN_S + n * 2) * SECOND_NS for n in range(20)]) == 1
    assert seen([BEGIN_S // 60 * 60 * SECOND_NS] * 1000) == 1


def test_a_finer_unit_is_believed_only_as_far_as_it_is_used() -> None:
    tick_ns = 10_000_000
    whole = [(BEGIN_S + n) * SECOND_NS for n in range(30)]
    assert seen(whole, tick_ns) == SECOND_NS
    assert seen([*whole, BEGIN_S * SECOND_NS + 123_456_789], tick_ns) == tick_ns


def test_no_precision_is_finer_than_told() -> None:
    assert seen([(BEGIN_S + n) * SECOND_NS + 5 for n in range(30)], 60 * SECOND_NS) == 60


def test_words_tell_seen_from_announced() -> None:
    def words(**fields: object) -> dict[str, str]:
        return dict(describe_capabilities(Capabilities(**fields)))  # type: ignore[arg-type]

    assert words(ranges_tried=False)["Parts of files"].endswith("not tried yet")
    assert words()["Parts of files"] == "can be asked for"
    assert "from its start" in words(ranges=False)["Parts of files"]
    assert words(clock_skew_s=-3700.0)["Clock"] == "1:01:40 behind"
    assert words(clock_skew_s=0.4)["Clock"] == "right"
    assert words(modified_precision_ns=10_000_000)["Times"] == "exact to 10 ms"
    assert words(digests="HASH")["Digests"] == "computes SHA-256 (HASH)"
    assert words(list_zone_s=-16_200)["Zone of LIST"].startswith("UTC-4:30;")
    assert words(list_zone_s=20_700)["Zone of LIST"].startswith("UTC+5:45;")
    assert "Zone of LIST" not in words()
