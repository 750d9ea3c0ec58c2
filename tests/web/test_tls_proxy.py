"""The console behind nginx that speaks TLS: people log in, cookies are secure, and no redirect goes round in a circle."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from django.contrib.auth import get_user_model

from embedded.ports import find_free
from tests.hosts.certificates import make_certificates
from tests.hosts.child import find_binary, serving
from tests.hosts.gunicorn import running_gunicorn

pytestmark = [
    pytest.mark.process,
    pytest.mark.django_db(transaction=True),
]
NAME = "localhost"
PROXY = (
    "127.0.0.2"  # gunicorn believes 127.0.0.1 by itself; a container's proxy has another address
)
PASSWORD = "canary-right-pass"
# As docs/service.md has it.
_NGINX = """
daemon off;
master_process off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    location / {{
      proxy_pass http://127.0.0.1:{web};
      proxy_bind {proxy};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Site:
    url: str
    authority: str  # a file
    web_url: str  # past the proxy

    def log_in(
        self, session: requests.Session, name: str = "ada", password: str = PASSWORD
    ) -> requests.Response:
        session.verify, session.trust_env = self.authority, False
        page = session.get(f"{self.url}/admin/login/", timeout=90)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert token is not None, page.text[:500]
        form = {"username": name, "password": password, "csrfmiddlewaretoken": token[1]}
        headers = {"Origin": self.url, "Referer": f"{self.url}/admin/login/"}
        return session.post(f"{self.url}/admin/login/", form, headers=headers, timeout=90)


@contextlib.contextmanager
def running_site(home: Path, **settings: str) -> Iterator[Site]:
    static = home / "data"
    static.mkdir()
    with (
        running_gunicorn(home, DATA_DIR=str(static), DEBUG="true", **settings) as web,
        proxying(home, web) as site,
    ):
        yield site


@contextlib.contextmanager
def proxying(home: Path, web: int) -> Iterator[Site]:
    """nginx that speaks TLS in front of our web server's port."""
    made = make_certificates(home, NAME)
    authority = home / "authority.pem"
    authority.write_text(made.authority)
    port = find_free()
    config = home / "nginx.conf"
    config.write_text(
        "user root;\n"
        + _NGINX.format(home=home, port=port, certificate=made.server, web=web, proxy=PROXY)
    )
    command = [find_binary("nginx"), "-c", str(config), "-p", str(home)]
    with serving(command, port, home / "nginx.log"):
        yield Site(f"https://{NAME}:{port}", str(authority), f"http://127.0.0.1:{web}")


@pytest.fixture(autouse=True)
def ada() -> None:
    get_user_model().objects.create_superuser("ada", password=PASSWORD)


def test_item_12_people_log_in_behind_a_tls_proxy(tmp_path: Path) -> None:
    with (
        running_site(tmp_path, TRUSTED_PROXIES=f"{PROXY}/32", HTTPS_ONLY="true") as site,
        requests.Session() as session,
    ):
        session.max_redirects = 3
        answer = site.log_in(session)
        assert answer.status_code == 200, answer.text[:500]
        assert answer.url == f"{site.url}/admin/"
        assert {cookie.name: cookie.secure for cookie in session.cookies} == {
            "sessionid": True,
            "csrftoken": True,
        }
        plain = requests.get(f"{site.web_url}/admin/", allow_redirects=False, timeout=90)
        assert plain.status_code == 301
        assert plain.headers["Location"].startswith("https://")
        health = requests.get(f"{site.web_url}/health", allow_redirects=False, timeout=90)
        assert not health.is_redirect  # neighbours ask it past the proxy


def test_item_12_a_proxy_that_is_not_named_is_told_so_in_place_of_a_circle(tmp_path: Path) -> None:
    with (
        running_site(tmp_path, HTTPS_ONLY="true") as site,
        requests.Session() as session,
    ):
        session.verify, session.trust_env = site.authority, False
        answer = session.get(f"{site.url}/admin/", allow_redirects=False, timeout=90)
        assert answer.status_code == 400
        assert PROXY in answer.text
        assert "TRUSTED_PROXIES" in answer.text
        assert "proxy.not_trusted" in (tmp_path / "gunicorn.log").read_text()


def test_item_12_nobody_else_says_that_it_speaks_tls(tmp_path: Path) -> None:
    """A client that comes past the proxy, or from elsewhere, is redirected whatever it says."""
    with running_site(tmp_path, TRUSTED_PROXIES="192.0.2.1/32", HTTPS_ONLY="false") as site:
        said = {"X-Forwarded-Proto": "https"}
        session = requests.Session()
        session.verify, session.trust_env = site.authority, False
        answer = session.get(f"{site.url}/admin/login/", headers=said, timeout=90)
        assert answer.status_code == 200
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', answer.text)
        assert token is not None
        form = {"username": "ada", "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
        headers = {"Origin": site.url, **said}
        refused = session.post(f"{site.url}/admin/login/", form, headers=headers, timeout=90)
        assert refused.status_code == 403
        session.close()
