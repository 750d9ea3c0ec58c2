"""The log-in of people: passwords are not tried without end (X09)."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.management import call_command
from django.db.models import F
from django.test import Client
from pytest_django import Settings

from console.locking_out import ADDRESS_FAILURES_MAX

pytestmark = pytest.mark.django_db
RIGHT, WRONG = "canary-right-pass", "canary-wrong-pass"
HOME, AWAY = "192.0.2.1", "192.0.2.2"
TRIES = settings.AXES_FAILURE_LIMIT


@pytest.fixture(autouse=True)
def people() -> None:
    for name in ("ada", "grace"):
        get_user_model().objects.create_superuser(name, password=RIGHT)


def log_in(
    name: str = "ada",
    password: str = WRONG,
    *,
    address: str = HOME,
    agent: str = "x",
    forwarded_for: str | None = None,
) -> int:
    """The answer's status: 302 is in."""
    form = {"username": name, "password": password, "next": "/admin/"}
    headers = {"User-Agent": agent}
    if forwarded_for is not None:
        headers["X-Forwarded-For"] = forwarded_for
    client = Client(REMOTE_ADDR=address, headers=headers)
    return client.post("/admin/login/", form).status_code


def test_x09_many_tries_lock_this_user_out_at_this_address_and_nobody_else() -> None:
    statuses = [log_in(agent=f"agent {number}") for number in range(TRIES + 90)]
    assert statuses == [200] * (TRIES - 1) + [429] * 91
    assert log_in(password=RIGHT) == 429
    assert log_in("grace", RIGHT) == 302
    assert log_in(password=RIGHT, address=AWAY) == 302
    assert AccessAttempt.objects.count() <= TRIES  # what is kept does not grow with the tries


def test_who_is_locked_out_is_told_until_when_and_how_it_is_lifted() -> None:
    for _ in range(TRIES):
        log_in()
    form = {"username": "ada", "password": RIGHT}
    answer = Client(REMOTE_ADDR=HOME).post("/admin/login/", form)
    assert answer["Retry-After"] == "900"
    assert "Try again in 15 minutes" in answer.text
    assert "axes_reset_username" in answer.text
    assert RIGHT not in answer.text
    call_command("axes_reset_username", "ada")
    assert log_in(password=RIGHT) == 302


def test_the_lock_ends_after_its_time_whatever_was_tried_meanwhile() -> None:
    for _ in range(TRIES + 5):
        log_in()
    assert log_in(password=RIGHT) == 429
    AccessAttempt.objects.update(
        attempt_time=F("attempt_time") - settings.AXES_COOLOFF_TIME - timedelta(seconds=1)
    )
    assert log_in(password=RIGHT) == 302


def test_a_log_in_forgets_the_failures_before_it() -> None:
    for _ in range(3):
        for _ in range(TRIES - 1):
            assert log_in() == 200
        assert log_in(password=RIGHT) == 302
    assert not AccessAttempt.objects.exists()


@pytest.mark.parametrize("name", ["ada\0", "a" * 100_000, "ä" * 300, "\u202e\x1b[31m", ""])
def test_odd_names_are_wrong_ones(name: str) -> None:
    assert log_in(name, agent="y" * 4_000) == 200


def test_a_program_without_a_request_may_ask_for_a_password() -> None:
    assert authenticate(username="ada", password=RIGHT) is not None
    assert authenticate(username="ada", password=WRONG) is None
    assert Client().login(username="ada", password=RIGHT)


def test_no_password_is_kept_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(TRIES + 1):
        log_in()
    kept = repr(list(AccessAttempt.objects.values()))
    assert "ada" in kept
    assert WRONG not in kept + caplog.text


def test_an_address_that_tries_many_users_is_locked_out_and_no_other() -> None:
    for number in range(ADDRESS_FAILURES_MAX):
        assert log_in(f"nobody-{number}") == 200
    assert log_in(password=RIGHT) == 429
    assert log_in("another") == 429
    assert AccessAttempt.objects.count() == ADDRESS_FAILURES_MAX
    assert log_in(password=RIGHT, address=AWAY) == 302
    answer = Client(REMOTE_ADDR=HOME).post("/admin/login/", {"username": "ada", "password": RIGHT})
    assert "50 log-ins have failed from your address" in answer.text
    AccessAttempt.objects.update(
        attempt_time=F("attempt_time") - settings.AXES_COOLOFF_TIME - timedelta(seconds=1)
    )
    assert log_in(password=RIGHT) == 302


def test_a_proxy_is_not_taken_for_its_clients(settings: Settings) -> None:
    """One that is named says whose the failures are; of one that is not, only the user is locked out."""
    proxy = "10.0.0.5"
    for number in range(ADDRESS_FAILURES_MAX):
        assert log_in(f"nobody-{number}", address=proxy, forwarded_for="8.8.8.8") == 200
    assert log_in(password=RIGHT, address=proxy, forwarded_for="8.8.8.8") == 302
    settings.TRUSTED_PROXIES = [proxy]
    for number in range(ADDRESS_FAILURES_MAX):
        assert log_in(f"nobody-{number}", address=proxy, forwarded_for="8.8.8.8") == 200
    assert log_in(password=RIGHT, address=proxy, forwarded_for="8.8.8.8") == 429
    assert log_in(password=RIGHT, address=proxy, forwarded_for="8.8.4.4") == 302


class CountingHasher(MD5PasswordHasher):
    """Says how often it was asked to work, which is what a log-in takes its time for."""

    count = 0

    def encode(self, password: str, salt: str) -> str:
        CountingHasher.count += 1
        return str(super().encode(password, salt))


def test_a_log_in_takes_and_tells_the_same_whether_or_not_somebody_has_the_name(
    settings: Settings,
) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    users = get_user_model().objects
    users.create_user("grown", password=RIGHT, is_staff=True)
    users.create_user("off", password=RIGHT, is_staff=True, is_active=False)
    users.create_user("outside", password=RIGHT)
    users.create_user("keyless", is_staff=True)
    told = []
    for name in ("nobody", "grown", "off", "outside", "keyless"):
        CountingHasher.count = 0
        form = {"username": name, "password": WRONG}
        answer = Client(REMOTE_ADDR=HOME).post("/admin/login/", form)
        text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", answer.text)
        told.append((CountingHasher.count, answer.status_code, text.replace(f'"{name}"', "NAME")))
    assert [count for count, _, _ in told] == [1] * 5
    assert len(set(told)) == 1
    for name in ("nobody", "grown"):
        assert [log_in(name, address=AWAY) for _ in range(TRIES)] == [200] * (TRIES - 1) + [429]
