from __future__ import annotations

import pytest

from connectors.models import Connector
from tests.rows import make_workspace


@pytest.fixture
def connector() -> Connector:
    """Of a host that nobody calls."""
    return Connector.objects.create(
        workspace=make_workspace(),
        name="host",
        kind="sftp",
        host="127.0.0.1",
        port=1,
        options={"username": "x"},
    )
