"""Each import contract is broken once on purpose, in a copy, to see that it bites."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]

# contract: (file, the line that must not be there)
VIOLATIONS = {
    "floors": ("farends/names.py", "import datasets.models"),
    "rooms-of-syncjobs": ("syncjobs/utils.py", ""),
    "rooms-of-farends": ("farends/wire/far_text.py", "import farends.sftp.packets"),
    "rooms-of-search": ("search/utils.py", ""),
    "rooms-of-alerts": ("alerts/models.py", "import alerts.announcing"),
    "no-circles": ("store/errors.py", "import store.blobs"),
    "pure-core": ("syncjobs/core/retries.py", "import time"),
    "no-framework-below": ("syncjobs/engine/filesync.py", "import django.db"),
    "celery-in-its-place": ("console/apps.py", "import tasks.bells"),
    "shapes-below-surfaces": ("api/shapes/records.py", "import ninja"),
    "transports-apart": ("farends/http/transport.py", "import farends.sftp.transport"),
    "transports-by-registry": ("connectors/opening.py", "import farends.sftp.transport"),
    "requests-by-conversation": ("farends/http/client.py", "import urllib3.util"),
    "apprise-in-a-child": ("alerts/sending/office.py", "import apprise"),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in CONFIG["root_packages"]:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "static")
        )
    return folder


def lint(folder: Path, contract: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--contract", contract]
    return subprocess.run(
        [*command, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_every_contract_has_a_violation_to_bite() -> None:
    assert {contract["id"] for contract in CONFIG["contracts"]} == set(VIOLATIONS)


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_the_contract_bites(copy: Path, contract: str) -> None:
    name, line = VIOLATIONS[contract]
    path = copy / name
    before = path.read_text() if path.exists() else None
    path.write_text(f"{before or ''}\n{line}\n")
    try:
        broken = lint(copy, contract)
    finally:
        path.unlink() if before is None else path.write_text(before)
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert "BROKEN" in broken.stdout
    assert lint(copy, contract).returncode == 0
