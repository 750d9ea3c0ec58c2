from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from farends.staging import STAGING_PREFIX, sweep_staging


def test_what_a_killed_worker_left_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, young, other = (
        tmp_path / f"{STAGING_PREFIX}a",
        tmp_path / f"{STAGING_PREFIX}b",
        tmp_path / "c",
    )
    for folder in (old, young, other):
        folder.mkdir()
        (folder / "key").write_text("secret")
    os.utime(old, (1, 1))
    os.utime(other, (1, 1))
    (tmp_path / f"{STAGING_PREFIX}link").symlink_to(other)
    assert sweep_staging() == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        "c",
        f"{STAGING_PREFIX}b",
        f"{STAGING_PREFIX}link",
    ]
