"""Beat's duties have their turns, whatever becomes of one of them."""

from __future__ import annotations

from django.db import OperationalError

from tasks.duties import Duty, Rota


def test_a_duty_that_fails_keeps_none_of_the_others_from_its_turn() -> None:
    done: list[str] = []

    def lose_the_database(_holder: str) -> bool:
        raise OperationalError("the database is away")

    def crash(_holder: str) -> bool:
        raise KeyError("an error of ours")

    def work(holder: str) -> bool:
        done.append(holder)
        return False

    rota = Rota(
        "beat",
        (
            Duty("loses", lambda: 0.0, lose_the_database),
            Duty("crashes", lambda: 0.0, crash),
            Duty("works", lambda: 0.0, work),
        ),
    )
    rota.turn()
    rota.turn()
    assert done == ["beat", "beat"]
