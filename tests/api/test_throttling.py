"""How often a token may ask, counted in a real Redis."""

from __future__ import annotations

import pytest
from django.conf import settings

from api.rest import throttling
from api.rest.throttling import Throttle
from embedded import ports
from tests.api.asking import Asker, asker
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def five_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    throttle = Throttle(settings.CELERY_BROKER_URL, 5)
    monkeypatch.setattr(throttling, "_throttle", lambda: throttle)


def test_over_the_limit_one_is_told_when_to_come_again(five_a_minute: None) -> None:
    busy, calm = asker(), asker(name="calm")
    assert [busy.get("sync-jobs").status_code for _ in range(7)] == [200] * 5 + [429] * 2
    refused = busy.get("sync-jobs")
    assert refused["Content-Type"] == "application/problem+json"
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert f"in {refused['Retry-After']} s" in refused.json()["detail"]
    assert calm.get("sync-jobs").status_code == 200


def test_a_wrong_token_uses_up_nobodys_turns(five_a_minute: None) -> None:
    who = asker()
    assert {Asker(who.token + "x").get("sync-jobs").status_code for _ in range(9)} == {401}
    assert who.get("sync-jobs").status_code == 200


def test_turns_are_taken_before_the_role_is_looked_at(five_a_minute: None) -> None:
    low = asker(Role.VIEWER)
    codes = [low.post("connectors").status_code for _ in range(6)]
    assert codes == [403] * 5 + [429]


def test_several_processes_count_together() -> None:
    one, other = (Throttle(settings.CELERY_BROKER_URL, 3) for _ in range(2))
    key = f"token {asker().token}"
    assert [one.wait_s(key), other.wait_s(key), one.wait_s(key)] == [0, 0, 0]
    assert other.wait_s(key) > 0


def test_without_redis_nobody_is_refused_and_it_is_asked_rarely() -> None:
    throttle = Throttle(f"redis://127.0.0.1:{ports.find_free()}/0", 1)
    assert [throttle.wait_s("token x") for _ in range(50)] == [0] * 50


def test_zero_is_no_limit() -> None:
    throttle = Throttle(settings.CELERY_BROKER_URL, 0)
    assert [throttle.wait_s("token x") for _ in range(50)] == [0] * 50
