from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from datasets.store import ensure_store
from tests.console.conftest import Tenant, make_tenant


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
