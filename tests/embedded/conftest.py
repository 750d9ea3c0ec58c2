"""Folders for stacks of the tests' own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def data_dir() -> Iterator[Path]:
    # Not tmp_path: pytest closes its folders to other users, and under root PostgreSQL is one.
    folder = Path(tempfile.mkdtemp(prefix="syncproject-stack-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)
