"""Draws figures as inline SVG: pure functions of numbers, with no clock, no script and no style attribute.

A chart is an image with one sentence; each mark of it has its own words (`<title>`). Colour comes from classes, so it
follows the theme, and form says what colour says: hollow waits, cut is incomplete, a foot is a failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

# Of a stacked column, from its foot up. `suspect` is a verdict, not a state; people read it as one.
STACKED = (
    "succeeded",
    "suspect",
    "partial",
    "held",
    "failed",
    "timed_out",
    "cancelled",
    "running",
    "queued",
)
_HOLLOW = ("held", "queued", "running", "cancelled")
_FAILED = ("failed", "timed_out")
_LANE = 1000  # units across; the card stretches them
_TOP = 4  # above the highest mark


@dataclass(frozen=True, slots=True)
class StripMark:
    """One record. `share` is its duration as a share of the strip's longest, 0 to 1."""

    state: str
    share: float
    words: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A stretch of a lane from `start` to `end`, shares of the lane; `kind` is on, off, unknown, work, idle or lost."""

    kind: str
    start: float
    end: float
    words: str


def draw_strip(
    marks: Sequence[StripMark], name: str, *, height: int = 36, step: int = 10
) -> SafeString:
    """Oldest left. Where marks have addresses they are links, and the strip is one tab stop (console.js)."""
    drawn = join_svg(
        _draw_mark(mark, number * step, step, height) for number, mark in enumerate(marks)
    )
    role = "group" if any(mark.url for mark in marks) else "img"
    width = max(len(marks), 1) * step
    return format_html(
        '<svg class="sp-strip" role="{}" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}"'
        ' preserveAspectRatio="none">{}</svg>',
        *(role, name, width, height, width, height, drawn),
    )


def _draw_mark(mark: StripMark, x: int, step: int, height: int) -> SafeString:
    tall = round(6 + (height - 14) * max(0.0, min(1.0, mark.share)))
    inside = format_html(
        '<title>{}</title><rect class="sp-hit" x="{}" width="{}" height="{}"/>{}',
        *(mark.words, x, step, height),
        _draw_shape(mark.state, x, height - 6 - tall, step - 3, tall, height),
    )
    if not mark.url:
        return format_html("<g>{}</g>", inside)
    return format_html('<a href="{}" aria-label="{}">{}</a>', mark.url, mark.words, inside)


def _draw_shape(state: str, x: int, y: int, wide: int, tall: int, height: int) -> SafeString:
    css = f"sp-s-{state}"
    if state in _HOLLOW:
        return _rect(f"{css} sp-hollow", x + 0.75, y + 0.75, wide - 1.5, tall - 1.5)
    if state == "partial":
        half = tall // 2
        return join_svg(
            [_rect(css, x, y, wide, half - 1), _rect(css, x, y + half + 1, wide, tall - half - 1)]
        )
    whole = _rect(css, x, y, wide, tall)
    if state in _FAILED:
        return join_svg([whole, _rect(css, x, height - 4, wide, 3)])
    if state == "suspect":
        dot = format_html(
            '<circle class="{}" cx="{}" cy="{}" r="2"/>', css, x + wide / 2, height - 2.5
        )
        return join_svg([whole, dot])
    return whole


def draw_progress(
    share: float, *, label: str, words: str, expected: float | None = None
) -> SafeString:
    """`expected` puts a tick where the bar would stand at the usual speed."""
    done = max(0.0, min(1.0, share)) * 100
    tick = SafeString()
    if expected is not None:
        at = max(0.0, min(99.4, expected * 100))
        tick = format_html('<rect class="sp-tick" x="{}%" width="2" height="8"/>', f"{at:.1f}")
    return format_html(
        '<div class="sp-progress" role="progressbar" aria-label="{}" aria-valuemin="0" aria-valuemax="100"'
        ' aria-valuenow="{}" aria-valuetext="{}"><svg aria-hidden="true" width="100%" height="8">'
        '<rect class="sp-track" width="100%" height="8" rx="4"/>'
        '<rect class="sp-done" width="{}%" height="8" rx="4"/>{}</svg></div>',
        *(label, f"{done:.0f}", words, f"{done:.1f}", tick),
    )


def draw_stacked_columns(
    columns: Sequence[tuple[str, Mapping[str, int]]], name: str, *, height: int = 96, step: int = 14
) -> SafeString:
    """Counts by state for each column, such as the records of an hour."""
    top = max((sum(parts.values()) for _, parts in columns), default=0) or 1
    drawn = []
    for number, (label, parts) in enumerate(columns):
        y, stack = float(height), []
        for state in STACKED:
            if count := parts.get(state, 0):
                tall = count / top * (height - _TOP)
                y -= tall
                stack.append(
                    _rect(f"sp-s-{state}", number * step, y, step - 3, max(tall - 0.75, 1))
                )
        told = ", ".join(
            f"{parts[state]} {state.replace('_', ' ')}" for state in STACKED if parts.get(state)
        )
        words = f"{label}: {told or 'none'}"
        drawn.append(_titled(words, number * step, step, height, join_svg(stack)))
    return _frame(name, len(columns) * step - 3, height, join_svg(drawn))


def draw_columns(
    values: Sequence[tuple[str, float, str]],
    name: str,
    *,
    limit: float | None = None,
    css: str = "sp-c-1",
    height: int = 96,
    step: int = 22,
) -> SafeString:
    """`values` are (label, value, the value in words); `limit` is a line across."""
    top = max([value for _, value, _ in values] + [limit or 0], default=0) or 1
    drawn = []
    for number, (label, value, words) in enumerate(values):
        tall = max(value / top * (height - _TOP), 1 if value else 0)
        mark = _rect(css, number * step, height - tall, step - 4, tall)
        drawn.append(_titled(f"{label}: {words}", number * step, step, height, mark))
    width = len(values) * step - 4
    if limit is not None:
        y = f"{height - limit / top * (height - _TOP):.1f}"
        drawn.append(
            format_html('<line class="sp-limit" x1="0" x2="{}" y1="{}" y2="{}"/>', width, y, y)
        )
    return _frame(name, width, height, join_svg(drawn))


def draw_line(
    values: Sequence[float | None],
    name: str,
    *,
    bottom: float = 0.0,
    css: str = "sp-c-1",
    width: int = 300,
    height: int = 96,
) -> SafeString:
    """None where nothing is known: the line has a gap there. `bottom` is the value at the chart's foot."""
    known = [value for value in values if value is not None]
    reach = (max(known, default=bottom) - bottom) or 1
    step = width / max(len(values) - 1, 1)
    drawn = []
    for stretch in _find_stretches(values):
        points = [
            (number * step, height - 2 - (value - bottom) / reach * (height - 6))
            for number, value in stretch
        ]
        if len(points) == 1:  # a line of one point is invisible
            (x, y), wide = points[0], min(step, 3)
            points = [(min(x, width - wide), y), (min(x + wide, width), y)]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        area = f"{path}L{points[-1][0]:.1f} {height}L{points[0][0]:.1f} {height}Z"
        drawn.append(format_html('<path class="sp-area {}" d="{}"/>', css, area))
        drawn.append(format_html('<path class="sp-line {}" d="{}"/>', css, path))
    return _frame(name, width, height, join_svg(drawn))


def _find_stretches(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    stretches: list[list[tuple[int, float]]] = [[]]
    for number, value in enumerate(values):
        if value is not None:
            stretches[-1].append((number, value))
        elif stretches[-1]:
            stretches.append([])
    return [stretch for stretch in stretches if stretch]


def draw_spans(spans: Sequence[TimeSpan], name: str, *, height: int = 22) -> SafeString:
    """Stretches of time on one lane: what is on reaches to the top, what is off or unknown stands lower."""
    low = {"off": 0.35, "unknown": 0.75}
    drawn = []
    for span in spans:
        y = round(height * low.get(span.kind, 0.0))
        wide = max((span.end - span.start) * _LANE, 3)
        mark = _rect(f"sp-p-{span.kind}", span.start * _LANE, y, wide, height - y)
        drawn.append(format_html("<g><title>{}</title>{}</g>", span.words, mark))
    return _lane(name, _LANE, height, join_svg(drawn))


def draw_shares(parts: Sequence[tuple[str, int]], name: str) -> SafeString:
    """One bar cut by counts: (kept, changed, added or removed; how many). Each part is at least a hair wide."""
    total = sum(count for _, count in parts) or 1
    x, drawn = 0.0, []
    for kind, count in parts:
        if count:
            wide = max(count / total * _LANE, 6)
            drawn.append(_rect(f"sp-k-{kind}", x, 0, wide - 2, 10))
            x += wide
    return _lane(name, max(round(x), 1), 10, join_svg(drawn))


def tell_as_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> SafeString:
    """A chart's figures, folded: the first column is text, the others are figures."""
    head = format_html_join("", '<th scope="col" class="{}">{}</th>', _align(heads))
    body = format_html_join("", "<tr>{}</tr>", ((_cells(row),) for row in rows))
    return format_html(
        '<details class="sp-astable"><summary>As a table</summary><table class="sp-table sp-small">'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></details>",
        *(head, body),
    )


def _cells(row: Sequence[str]) -> SafeString:
    return format_html_join("", '<td class="{}">{}</td>', _align(row))


def _align(row: Sequence[str]) -> list[tuple[str, str]]:
    return [("sp-right" if number else "", word) for number, word in enumerate(row)]


def join_svg(parts: Iterable[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((part,) for part in parts))


def _rect(css: str, x: float, y: float, wide: float, tall: float) -> SafeString:
    return format_html(
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>',
        *(css, _figure(x), _figure(y), _figure(wide), _figure(tall)),
    )


def _figure(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _titled(words: str, x: int, step: int, height: int, inside: SafeString) -> SafeString:
    return format_html(
        '<g><title>{}</title><rect class="sp-hit" x="{}" width="{}" height="{}"/>{}</g>',
        *(words, x, step, height, inside),
    )


def _frame(name: str, width: int, height: int, inside: SafeString) -> SafeString:
    return format_html(
        '<svg class="sp-chart" role="img" aria-label="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}'
        '<line class="sp-base" x1="0" x2="{}" y1="{}" y2="{}"/></svg>',
        *(name, max(width, 1), height, inside, max(width, 1), height - 0.5, height - 0.5),
    )


def _lane(name: str, width: int, height: int, inside: SafeString) -> SafeString:
    return format_html(
        '<svg class="sp-lane" role="img" aria-label="{}" viewBox="0 0 {} {}" preserveAspectRatio="none"'
        ' height="{}">{}</svg>',
        *(name, width, height, height, inside),
    )
