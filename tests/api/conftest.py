from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from datasets.store import ensure_store
from tests.console.conftest import Tenant, make_tenant
from tests.hosts.sshd import Sshd, running_sshd


@pytest.fixture(scope="session", autouse=True)
def _static_root() -> None:
    """Whitenoise warns where the folder is missing."""
    Path(django_settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True)
def _cron_secret(settings: Settings) -> None:
    settings.CRON_SECRET = "a word that no test says by chance"


@pytest.fixture
def acme(db: None) -> Tenant:
    ensure_store()
    return make_tenant("acme")


@pytest.fixture
def lab(acme: Tenant) -> Tenant:
    return make_tenant("lab")


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder that the far end serves."""
    folder = tmp_path / "source"
    folder.mkdir()
    return folder
