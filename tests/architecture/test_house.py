"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import pytest
from django.conf import settings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import farends
import tasks
from connectors.describing import describe_kinds
from embedded import keys, options
from embedded.variables import Variables
from farends.registry import SPECS
from farends.spec import FILES, option_fields
from syncjobs.core.states import MOVES, Event
from syncproject import env

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]

# No tasks: what rings, beat's scheduler, Redis, and the tables.
SHELLS = {"ages", "bells", "wakes", "beat", "transport", "queues", "chores", "duties"}


def test_celery_includes_every_task_module() -> None:
    modules = {module.name for module in pkgutil.iter_modules(tasks.__path__)} - SHELLS
    assert set(settings.CELERY_INCLUDE) == {f"tasks.{name}" for name in modules}


def test_every_transport_is_registered() -> None:
    modules = {
        f"farends.{package.name}.transport"
        for package in pkgutil.iter_modules(farends.__path__)
        if package.ispkg and (Path(farends.__path__[0]) / package.name / "transport.py").exists()
    }
    assert modules == {spec.open.__module__ for spec in SPECS.values() if spec.far_end == FILES}


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


class Asked(Mapping[str, str]):
    """An empty environment that knows what it was asked for, `NAME_FILE` as `NAME`."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name.removesuffix("_FILE"))
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


# Who else looks at the environment of its process, and for what; an empty list: it names no variable itself.
READERS: dict[str, list[str]] = {
    "alerts/courier/child.py": ["NETRC"],  # sets it
    "cli/configfile.py": [],  # of `${env:NAME}`: what the operator's file names
    "farends/rsync/child.py": ["PATH"],
    "embedded/attend.py": [],  # passes all of it on
    "embedded/management/commands/demonstrate.py": ["DEMO"],  # the launcher gives it these
    "embedded/alive.py": [],  # a copy of it goes to `check_part`
    "embedded/options.py": [],  # a copy of it goes to `options.read_options` and `keys.settle_keys`
    "embedded/samples/filling.py": ["DEMO"],  # the launcher gives it these
    "embedded/samples/hosts.py": ["PATH"],
    "embedded/samples/sending.py": ["DEMO"],  # the launcher gives it these
    "manage.py": ["DJANGO_SETTINGS_MODULE"],
    "api/mcp/describing.py": ["DJANGO_SETTINGS_MODULE"],
    "cli/describing.py": ["DJANGO_SETTINGS_MODULE"],
    "outbox/client.py": ["DJANGO_SETTINGS_MODULE"],
    "search/embedding/model_process.py": ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"],  # sets them
    "syncproject/celery.py": ["DJANGO_SETTINGS_MODULE", "CELERY_SKIP_CHECKS"],  # sets them
    "syncproject/wsgi.py": ["DJANGO_SETTINGS_MODULE"],
    "syncproject/env.py": ["SECRETS_KEYS"],  # asked below
}


def asked_of_the_environment(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """By all who read settings: web, workers and commands, and the launcher with its keys."""
    asked = Asked()
    monkeypatch.setattr(env, "Variables", lambda environment: Variables(asked))
    env.read()
    options.read_options(asked)
    keys.settle_keys(data_dir, asked)
    return asked.names


def documented() -> set[str]:
    """The names in the first column of the page's table."""
    page = (ROOT / "docs" / "configuration.md").read_text().partition("## The environment")[2]
    cells = (line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    return {name for cell in cells for name in re.findall(r"`([A-Z_]+)`", cell)}


def test_every_setting_of_the_environment_is_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = asked_of_the_environment(tmp_path, monkeypatch)
    assert len(read) >= 38
    assert read - documented() == set()
    # Nor does the page tell of what nothing reads any more.
    assert documented() - read == set()


def test_nobody_else_reads_the_environment() -> None:
    packages = [package for package in CONFIG["root_packages"] if package != "tests"]
    files = [ROOT / "manage.py", *(file for p in packages for file in (ROOT / p).rglob("*.py"))]
    found = {}
    for file in files:
        text = file.read_text()
        if re.search(r"\bos\.(environ|getenv)\b", text):
            found[str(file.relative_to(ROOT))] = set(
                re.findall(r'os\.(?:environ|getenv)(?:\.\w+)?[\[(]"([A-Z]+(?:_[A-Z]+)*)', text)
            )
    assert set(found) == set(READERS)
    for name, variables in found.items():
        strange = {one for one in variables if not one.startswith(tuple(READERS[name]))}
        assert strange == set(), name


def test_every_variable_of_the_compose_file_is_documented() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    assert used
    assert used - documented() == set()


def test_the_page_of_protocols_is_made_from_the_specs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text()
    assert page == describe_kinds(), "python -m connectors.describing > docs/protocols.md"


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


def needed_packages() -> set[str]:
    """What the requirements name, and what these need in turn, here and now."""
    wanted = [
        Requirement(line)
        for name in ("requirements.txt", "requirements-dev.txt")
        for line in (ROOT / name).read_text().splitlines()
        if line and not line.startswith(("-", "#"))
    ]
    found: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        each = wanted.pop()
        key = (canonicalize_name(each.name), frozenset(each.extras))
        if key in found:
            continue
        found.add(key)
        for text in metadata.requires(each.name) or []:
            needs = Requirement(text)
            extras = each.extras or {""}
            if needs.marker is None or any(needs.marker.evaluate({"extra": e}) for e in extras):
                wanted.append(needs)
    return {name for name, _ in found}


def test_constraints_pin_what_the_requirements_need_and_nothing_else() -> None:
    """What a new environment brings itself (pip, setuptools) is not ours to make older."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(line.partition("==")[0]) for line in lines}
    assert pinned == needed_packages()


def test_one_module_writes_the_event_log() -> None:
    """Others would forget an event's subject, or write it in another transaction than what it tells."""
    writes = re.compile(
        r"INSERT INTO events_syncevent|SyncEvent\(|SyncEvent\.objects\.(bulk_)?create"
    )
    packages = [package for package in CONFIG["root_packages"] if package != "tests"]
    writers = [
        str(path.relative_to(ROOT))
        for package in packages
        for path in (ROOT / package).rglob("*.py")
        if "migrations" not in path.parts
        and writes.search(path.read_text().replace("class SyncEvent(", ""))
    ]
    assert writers == ["events/writing.py"]


def imported_from(package: str) -> set[str]:
    """The files of the product that import it, or something below it."""
    wanted = re.compile(rf"^\s*(?:from|import) {re.escape(package)}\b", re.MULTILINE)
    files = [file for p in CONFIG["root_packages"] for file in (ROOT / p).rglob("*.py")]
    return {str(file.relative_to(ROOT)) for file in files if wanted.search(file.read_text())}


def test_a_command_is_run_and_not_imported() -> None:
    """What two commands need stands beside them."""
    assert imported_from("cli.management.commands") == set()
    assert imported_from("embedded.management.commands") == set()


def test_progress_bars_are_made_in_one_place() -> None:
    assert imported_from("rich.progress") == {"cli/bars.py"}


def _reads_by_position(node: ast.AST) -> bool:
    """Rows that are unpacked into more than two names, sliced, or spread over a constructor."""
    match node:
        case ast.Assign(targets=[target], value=value):
            pass
        case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
            pass
        case _:
            return False
    source = ast.unparse(value)
    if not re.search(r"\.fetch(one|all|many)\(", source):
        return False
    names = [one for one in ast.walk(target) if isinstance(one, ast.Name | ast.Starred)]
    return len(names) > 2 or any(isinstance(one, ast.Starred) for one in names)


def test_rows_of_more_than_two_columns_are_read_by_their_names() -> None:
    """`database.rows` makes dataclasses of them."""
    found = []
    for package in CONFIG["root_packages"]:
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            tree = ast.parse(text)
            if "(*row)" in text and path != ROOT / "database" / "rows.py":
                found.append(f"{path.relative_to(ROOT)}: (*row)")
            found += [
                f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', '')}"
                for node in ast.walk(tree)
                if _reads_by_position(node)
            ]
    assert found == []


def test_a_worker_imports_nothing_of_the_web() -> None:
    """It would cost each worker half of its start and 40 MiB."""
    words = (
        "import sys; from syncproject.celery import app; app.loader.import_default_modules();"
        "assert 'tasks.sync' in sys.modules; print('syncproject.urls' in sys.modules)"
    )
    environment = {
        name: value for name, value in os.environ.items() if name != "CELERY_SKIP_CHECKS"
    }
    told = subprocess.run(
        [sys.executable, "-c", words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout == "False\n", told.stderr
