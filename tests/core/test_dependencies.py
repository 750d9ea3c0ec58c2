from __future__ import annotations

from syncjobs.core.dependencies import find_cycle


def test_a_way_back_is_told_and_none_is_none() -> None:
    parents = {"c": ["b"], "b": ["a", "x"], "a": ["c"]}
    assert find_cycle(parents, "a") == ["a", "c", "b", "a"]
    assert find_cycle(parents | {"a": []}, "c") == []
    assert find_cycle({"a": ["a"]}, "a") == ["a", "a"]


def test_a_cycle_that_a_job_only_leads_to_is_anothers() -> None:
    assert find_cycle({"a": ["b"], "b": ["c"], "c": ["b"]}, "a") == []


def test_a_diamond_is_no_cycle() -> None:
    assert find_cycle({"d": ["b", "c"], "b": ["a"], "c": ["a"]}, "d") == []
