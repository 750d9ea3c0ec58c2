from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings


@pytest.fixture(scope="session", autouse=True)
def _static_root() -> None:
    """Whitenoise warns where the folder is missing."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
