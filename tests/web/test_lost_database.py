"""What each surface says while the database does not answer, and that it works again afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from django.db import connection
from django.test import Client

from tests.agents.asking import agent
from tests.api.asking import asker
from tests.console.conftest import make_person
from tests.hosts.gunicorn import running_gunicorn
from tests.proxy import Weather, proxying
from workspaces.models import Role

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
SAID = "The database does not answer just now: ask again. GET /health says what is missing."


@pytest.fixture
def cookies() -> dict[str, str]:
    browser = Client()
    browser.force_login(make_person("root", superuser=True))
    return {name: morsel.value for name, morsel in browser.cookies.items()}


def test_each_surface_says_that_the_database_does_not_answer(
    tmp_path: Path, cookies: dict[str, str]
) -> None:
    token, told = asker(Role.ADMIN).token, connection.settings_dict
    who = agent(Role.VIEWER, name="robot")
    message = who.message("tools/list")
    bearer = {"Authorization": f"Bearer {token}"}
    with proxying(int(told["PORT"])) as proxy:
        url = (
            f"postgresql://{told['USER']}:{told['PASSWORD']}@127.0.0.1:{proxy.port}/{told['NAME']}"
        )
        with (
            running_gunicorn(tmp_path, DATABASE_URL=url) as port,
            requests.Session() as session,
        ):
            session.trust_env = False
            web = f"http://127.0.0.1:{port}"
            assert session.get(f"{web}/status", headers=bearer, timeout=90).status_code == 200
            proxy.weather = Weather(refusing=True)
            proxy.cut()
            rest = session.get(f"{web}/status", headers=bearer, timeout=90)
            mcp = session.post(
                f"{web}/mcp", json=message, headers=who.headers_of(message), timeout=90
            )
            page = session.get(f"{web}/admin/", cookies=cookies, timeout=90)
            for answer in (rest, mcp, page):
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            assert rest.json()["detail"] == mcp.json()["detail"] == SAID
            assert page.headers["Content-Type"].startswith("text/html")
            assert "<h1>The database does not answer</h1>" in page.text
            assert '<meta http-equiv="refresh" content="5">' in page.text
            assert session.get(f"{web}/health", timeout=90).status_code == 503
            proxy.weather = Weather()
            assert session.get(f"{web}/status", headers=bearer, timeout=90).status_code == 200
