from __future__ import annotations

import pytest

from syncjobs.core.markers import parse_done_pattern
from syncjobs.core.selection import Selection


@pytest.mark.parametrize(
    ("pattern", "path", "marker"),
    [
        ("{name}.done", "a.csv", "a.csv.done"),
        ("{name}.done", "x/y/a.csv", "x/y/a.csv.done"),
        (".{name}.ok", "x/a", "x/.a.ok"),
        ("{stem}.ok", "x/a.tar.gz", "x/a.tar.ok"),
        ("{stem}.ok", "x/.profile", "x/.profile.ok"),
        ("{stem}.ok", "no-extension", "no-extension.ok"),
        ("_SUCCESS", "x/a.csv", "x/_SUCCESS"),
        ("_SUCCESS", "a.csv", "_SUCCESS"),
    ],
)
def test_each_file_has_its_marker(pattern: str, path: str, marker: str) -> None:
    done = parse_done_pattern(pattern)
    assert done.marker_of(path) == marker
    assert done.is_marker(marker)
    assert not done.is_marker(path)


def test_a_marker_is_told_by_its_form_alone() -> None:
    done = parse_done_pattern("{name}.done")
    assert done.is_marker("x/nothing-beside-it.done")
    assert not done.is_marker(".done")
    assert not done.is_marker("x.done/file")


@pytest.mark.parametrize(
    "pattern",
    ["", " ", ".", "..", "a/b", "{name}", "{stem}", "{size}.ok", "{name}{stem}.ok", "{a", "}"],
)
def test_what_names_no_marker_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"marker|brace|give"):
        parse_done_pattern(pattern)


def test_a_marker_is_left_out_before_any_pattern_takes_it() -> None:
    selection = Selection(filters=("+ **",), done_pattern="_SUCCESS")
    excluded = selection.find_exclusion("x/_SUCCESS", 0)
    assert excluded is not None
    assert excluded.rule == "marker"
    assert selection.find_exclusion("x/data", 0) is None
