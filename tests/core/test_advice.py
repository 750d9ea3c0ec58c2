from __future__ import annotations

from collections.abc import Iterator

from farends.errors import TransportError
from store.errors import StoreError
from syncjobs.core.advice import NEXT_STEPS
from syncjobs.core.stuck import Rule


def below(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for child in kind.__subclasses__():
        yield from below(child)


def test_every_way_to_fail_has_a_next_step() -> None:
    codes = {
        str(getattr(kind, "code"))  # noqa: B009 — the two trees share no type
        for kind in (*below(TransportError), *below(StoreError))
        if kind.__module__ in ("farends.errors", "store.errors")
    }
    assert len(codes) > 20
    rules = {rule.value for rule in Rule}
    others = {"empty_listing", "mass_removal", "plan_drifted", "quarantined", "database"}
    assert (codes | rules | others | {"internal"}) - set(NEXT_STEPS) == set()
