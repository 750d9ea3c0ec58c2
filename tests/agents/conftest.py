from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.db import connection

from embedded import ports, programs
from embedded.child import Child


def environment() -> dict[str, str]:
    """Of a program on the test's database."""
    of = connection.settings_dict
    url = f"postgresql://{of['USER']}:{of['PASSWORD']}@{of['HOST']}:{of['PORT']}/{of['NAME']}"
    return os.environ | {"DATABASE_URL": url}


@pytest.fixture(scope="session")
def web(
    django_db_setup: None, tmp_path_factory: pytest.TempPathFactory, _static_root: None
) -> Iterator[str]:
    """The web process as the stack runs it, on the test's database; its address."""
    port = ports.find_free()
    server = Child(programs.web(environment(), tmp_path_factory.mktemp("web"), "127.0.0.1", port))
    server.start()
    try:
        server.wait_until_ready()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
