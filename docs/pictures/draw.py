"""Draws the pictures of `docs/architecture.md`: `python docs/pictures/draw.py` writes both files anew.

The floors come from the import contracts in `pyproject.toml`, so the picture shows what the contracts hold. Both
pictures have their own background and follow the reader's light or dark setting.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# Shapes by role, once for a light page and once for a dark one.
STYLE = """
text{font:14px system-ui,sans-serif;fill:#1f2430}
.page{fill:#ffffff}.box{fill:#eef2f8;stroke:#5b6b85}.floor{fill:none;stroke:#b9c2d0}
.title{font-weight:600}.small{font-size:12px;fill:#4a5568;stroke:#ffffff;stroke-width:4px;paint-order:stroke}.arrow,.life{stroke:#5b6b85;fill:none}
.life{stroke-dasharray:3 5}.head{fill:#5b6b85}.step{fill:#2f5d9e}.number{fill:#ffffff;font-size:12px}
@media (prefers-color-scheme:dark){
text{fill:#e6e9ef}.page{fill:#161a22}.box{fill:#232a37;stroke:#8ea0bd}.floor{stroke:#3b4557}
.small{fill:#aab4c4;stroke:#161a22}.arrow,.life{stroke:#8ea0bd}.head{fill:#8ea0bd}.step{fill:#5b8fd6}.number{fill:#10141b}}
"""

ACTORS = ("beat", "PostgreSQL", "Redis", "worker", "far end", "store")
# From actor, to actor, what happens. An actor to itself works alone.
STEPS = (
    (0, 1, "tick: due jobs become queued records, the next fire is planned (one transaction)"),
    (0, 2, "message: look at record N"),
    (2, 3, "the message arrives; the worker acknowledges it at once"),
    (3, 1, "claim: queued to running, a lease, a new fencing token (one transaction)"),
    (3, 1, "every 5 s: the worker renews the lease and reports progress"),
    (3, 4, "listing, streamed into a temporary table"),
    (3, 3, "plan: what to add, update, keep, remove; guards may hold the record"),
    (4, 3, "bytes of wanted files"),
    (3, 5, "blobs: write, sync to disk, rename"),
    (3, 1, "receipts of the blobs, with the token"),
    (3, 1, "publish: version, entries, counts, with the token (one transaction)"),
    (3, 1, "finish: final state and its event; followers are queued"),
)


def contracts() -> dict[str, Any]:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {contract["id"]: contract for contract in config["contracts"]}


def names_of(layer: str) -> list[str]:
    return [name.strip() for name in layer.replace(":", "|").split("|")]


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "middle") -> str:
    css = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{css}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, kind: str = "box") -> str:
    return (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>'
    )


def page(width: int, height: int, title: str, shapes: Iterable[str]) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{width}" height="{height}"/>',
            *shapes,
            "</svg>",
            "",
        ]
    )


def stack(
    x: float, y: float, width: float, title: str, layers: Iterable[str]
) -> tuple[list[str], float]:
    """Floors above each other, the topmost first, and where they end."""
    shapes = [text(x + width / 2, y + 18, title, "title")]
    y += 30
    for layer in layers:
        names = names_of(layer)
        shapes.append(box(x, y, width, 46, "floor"))
        each = (width - 12) / len(names)
        for number, name in enumerate(names):
            left = x + 6 + number * each
            shapes += [
                box(left + 3, y + 7, each - 6, 32),
                text(left + each / 2, y + 28, name),
            ]
        y += 54
    return shapes, y


def draw_floors() -> str:
    held = contracts()
    shapes: list[str] = []
    ends = []
    for x, width, contract, title in (
        (20, 400, "floors", "packages"),
        (450, 240, "rooms-of-syncjobs", "rooms of syncjobs"),
        (720, 220, "rooms-of-search", "rooms of search"),
        (970, 390, "rooms-of-farends", "rooms of farends"),
    ):
        drawn, end = stack(x, 16, width, title, held[contract]["layers"])
        shapes += drawn
        ends.append(end)
    height = int(max(ends)) + 36
    shapes.append(
        text(20, height - 18, "Each floor may import any floor below it: never its neighbour, never up.",
             "small", "start")
    )  # fmt: skip
    return page(1380, height, "The floors of the code, and who may import whom", shapes)


def draw_due_fire() -> str:
    left, apart, top, step_px = 80, 200, 60, 58
    height = top + step_px * (len(STEPS) + 1)
    shapes = []
    for number, actor in enumerate(ACTORS):
        x = left + number * apart
        shapes += [
            f'<line class="life" x1="{x}" y1="{top - 10}" x2="{x}" y2="{height - 20}"/>',
            box(x - 60, 14, 120, 34),
            text(x, 36, actor, "title"),
        ]
    for number, (source, target, words) in enumerate(STEPS):
        shapes += draw_step(
            number, left + source * apart, left + target * apart, words, top, step_px
        )
    return page(
        left * 2 + apart * (len(ACTORS) - 1), height, "The way of a due fire, from beat to a version", shapes
    )  # fmt: skip


def draw_step(number: int, start: int, end: int, words: str, top: int, step_px: int) -> list[str]:
    y = top + step_px * (number + 1)
    shapes = []
    if start == end:
        shapes.append(box(start - 9, y - 12, 18, 24))
    else:
        back = -8 if end > start else 8
        shapes += [
            f'<line class="arrow" x1="{start}" y1="{y}" x2="{end + back}" y2="{y}"/>',
            f'<polygon class="head" points="{end},{y} {end + back},{y - 4} {end + back},{y + 4}"/>',
        ]
    shapes += [
        f'<circle class="step" cx="{start}" cy="{y}" r="10"/>',
        text(start, y + 4, str(number + 1), "number"),
    ]
    # Words stand beside the arrow's left end, over the empty page to its right.
    x = min(start, end) + 16
    lines = split(words, 48)
    for row, line in enumerate(lines):
        shapes.append(text(x, y - 8 - 15 * (len(lines) - 1 - row), line, "small", "start"))
    return shapes


def split(words: str, width: int) -> list[str]:
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


PICTURES = {"floors.svg": draw_floors, "due-fire.svg": draw_due_fire}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (HERE / name).write_text(draw())
