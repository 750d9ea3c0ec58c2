from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from cli.describing import INNER, commands, describe_commands
from tests.rows import make_workspace
from workspaces.models import ApiToken
from workspaces.tokens import find_token

ROOT = Path(__file__).parents[2]

EACH = """
import contextlib, io, json, sys
import manage
said = {}
for name in sys.argv[1].split(","):
    sys.argv = ["manage.py", name, "--help"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        manage.main()
    said[name] = out.getvalue()
print(json.dumps(said))
"""


def test_the_page_of_commands_is_the_parsers_own_words() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    assert page == describe_commands(), "python -m cli.describing > docs/commands.md"


def test_each_command_helps_without_a_stack_and_has_its_section(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", EACH, ",".join(commands())],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(ran.stdout)
    page = (ROOT / "docs" / "commands.md").read_text()
    for name in commands():
        assert len(said[name].partition("options:")[0]) > 100, name
        assert name in INNER or f"\n## {name}\n" in page


@pytest.mark.django_db
def test_a_token_as_json_says_when_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    make_workspace("acme")
    call_command("create_token", "acme", "--expires-in", "2", "--name", "ci", "--json")
    told = json.loads(capsys.readouterr().out)
    found = find_token(told["token"])
    assert found is not None
    assert found.expires_at is not None
    assert (str(found.pk), found.name) == (told["id"], "ci")
    assert found.expires_at - datetime.fromisoformat(told["expires_at"]) < timedelta(milliseconds=1)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong",
    [
        ["--expires-in", "0"],
        ["--expires-in", "-1"],
        ["--expires-in", "1e3"],
        ["--expires-in", "9" * 30],
        ["--name", ""],
        ["--name", "x" * 101],
        ["--name", "a\nb"],
    ],
)
def test_a_token_that_cannot_be_meant_is_not_made(wrong: list[str]) -> None:
    make_workspace("acme")
    with pytest.raises(CommandError):
        call_command("create_token", "acme", *wrong)
    assert not ApiToken.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_sweep_tells_programs_too(capsys: pytest.CaptureFixture[str]) -> None:
    make_workspace()
    call_command("sweep", "--json")
    assert json.loads(capsys.readouterr().out) == {"leftovers": 0, "blobs": 0, "size_bytes": 0}
