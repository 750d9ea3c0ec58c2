"""Mutant: no write looks at its token. Everything else, the heartbeat's word included, is as it is."""

from __future__ import annotations

from typing import Any

from tests.faults.failpoints import app

__all__ = ["app"]


def install() -> None:
    from datasets import receipts, versions
    from syncjobs.attempt import execution
    from syncjobs.works.files import publishing

    def check_nothing(cursor: Any, parameters: dict[str, Any]) -> None:
        pass

    for module in (receipts, versions):
        setattr(module, "check_fence", check_nothing)  # noqa: B010 — a name that it imported
    publishing._COUNTS = publishing._COUNTS.replace(
        "AND token = %(token)s AND lease_owner = %(owner)s", ""
    )
    move: Any = vars(execution)["move"]

    def move_anyway(*args: Any, **kwargs: Any) -> Any:
        return move(*args, **{**kwargs, "token": None})

    setattr(execution, "move", move_anyway)  # noqa: B010 — likewise


install()
