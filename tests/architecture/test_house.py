"""Rules of the house that no linter knows."""

from __future__ import annotations

import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

from django.conf import settings

import connectors.transports
import tasks
from connectors.describing import describe_all
from connectors.registry import SPECS
from connectors.spec import option_fields
from syncjobs.core.states import MOVES, Event

SHELLS = {"bells", "wakes", "beat", "transport"}  # no tasks: what rings, beat's scheduler, Redis


def test_celery_includes_every_task_module() -> None:
    modules = {module.name for module in pkgutil.iter_modules(tasks.__path__)} - SHELLS
    assert set(settings.CELERY_INCLUDE) == {f"tasks.{name}" for name in modules}


def test_every_transport_is_registered() -> None:
    modules = {module.name for module in pkgutil.iter_modules(connectors.transports.__path__)}
    registered = {spec.options.__module__.rpartition(".")[2] for spec in SPECS.values()}
    assert modules == registered


def test_every_option_has_a_label_and_a_help() -> None:
    for spec in SPECS.values():
        for field in (*option_fields(spec.options), *option_fields(spec.secret)):
            assert field.label != field.name, f"{spec.kind}.{field.name} has no label"
            assert field.help, f"{spec.kind}.{field.name} has no help"


def test_the_page_of_states_is_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "states.md").read_text()
    rows = {
        tuple(cell.strip(" `") for cell in line.strip("|").split("|"))
        for line in page.splitlines()
        if line.count("|") == 4 and "`" in line
    }
    table = {
        (event.value, ", ".join(sorted(move.sources)), move.target.value)
        for event, move in MOVES.items()
    }
    assert {row for row in rows if row[0] in set(Event)} & table == table


def test_every_setting_of_the_environment_is_documented() -> None:
    root = Path(__file__).parents[2]
    code = (root / "syncproject" / "env.py").read_text()
    page = (root / "docs" / "configuration.md").read_text()
    names = set(re.findall(r'(?:env\.\w+|words)\("([A-Z_]+)"', code))
    assert len(names) > 15
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_the_page_of_protocols_is_made_from_the_specs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text()
    assert page == describe_all(), "python -m connectors.describing > docs/protocols.md"


def test_what_database_url_says_of_tls_is_kept() -> None:
    url = "postgresql://u:p@db.example/app?sslmode=verify-full&sslrootcert=/ca.pem"
    asked = "from django.conf import settings; print(settings.DATABASES['default']['OPTIONS'])"
    told = subprocess.run(
        [sys.executable, "-c", asked],
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": url,
            "SECRET_KEY": "x",
            "DJANGO_SETTINGS_MODULE": "syncproject.settings",
        },
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "'sslmode': 'verify-full'" in told
    assert "'sslrootcert': '/ca.pem'" in told
    assert "statement_timeout" in told
