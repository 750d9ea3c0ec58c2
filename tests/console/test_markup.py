"""What stands in the console's templates and styles: no script, no style, no filter for htmx, no dead rule."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import unfold

CONSOLE = Path(__file__).parents[2] / "console"
TEMPLATES = CONSOLE / "templates"
OVERRIDES = CONSOLE / "overrides"
# Digests of Unfold's own templates at the time when ours were made of them. Where one differs, look at what Unfold
# changed, take over what is right, and write the new digest here.
ORIGINALS = {
    "admin/actions.html": "3740bf8a90fb3eda",
    "admin/base.html": "e89e492d5a37477a",
    "unfold/helpers/app_list.html": "684e04aecc3bdc03",
    "unfold/helpers/header_title.html": "fcdccadd1dbd7b3a",
    "unfold/helpers/navigation_header.html": "1c7daee0bf41700d",
    "unfold/helpers/navigation_user.html": "826a0969f7632a34",
    "unfold/helpers/search.html": "8072278587f28583",
    "unfold/helpers/welcomemsg.html": "dcc58bfea800725f",
    "unfold/layouts/base_simple.html": "200eb7101cd634ff",
    "unfold/layouts/skeleton.html": "0c51c82d14a134a8",
}
INLINE = {
    "style": re.compile(r"\sstyle="),
    "handler": re.compile(r"\son[a-z]+="),
    "script": re.compile(r"<script(?![^>]*\bsrc=)"),
    "filter of a trigger": re.compile(r'hx-trigger="[^"]*\['),
    "expression of htmx": re.compile(r'hx-(?:on|vals="js:|vals=\'js:|headers="js:)'),
    "icon that is read aloud": re.compile("material-symbols"),
}


def own_templates() -> list[Path]:
    return sorted(TEMPLATES.rglob("*.html"))


@pytest.mark.parametrize("what", INLINE)
def test_no_template_needs_more_than_the_policy_gives(what: str) -> None:
    found = [
        f"{path.name}: {line.strip()}"
        for path in [*own_templates(), *CONSOLE.rglob("*.py")]
        for line in path.read_text().splitlines()
        if INLINE[what].search(line)
    ]
    assert found == []


def test_each_icon_that_is_drawn_is_one_of_ours() -> None:
    ours = set(re.findall(r'id="i-(\w+)"', (TEMPLATES / "console/icons.html").read_text()))
    drawn = {
        name
        for path in [*own_templates(), *OVERRIDES.rglob("*.html")]
        for name in re.findall(r'\{% icon "(\w+)"', path.read_text())
    }
    assert drawn <= ours


def test_a_template_of_unfold_that_we_changed_is_the_one_we_looked_at() -> None:
    """An update of Unfold asks for a look at what it changed in the templates that ours are made of."""
    root = Path(unfold.__file__).parent / "templates"
    ours = {str(path.relative_to(OVERRIDES)) for path in OVERRIDES.rglob("*.html")}
    assert ours == set(ORIGINALS)
    found = {
        name: hashlib.blake2b((root / name).read_bytes(), digest_size=8).hexdigest()
        for name in ORIGINALS
    }
    assert found == ORIGINALS


def test_no_page_loads_a_library_of_charts() -> None:
    assert "chart.js" not in (OVERRIDES / "unfold/layouts/skeleton.html").read_text()
