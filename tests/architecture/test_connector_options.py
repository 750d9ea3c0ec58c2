"""A connector's option is declared once, in its kind; outside of `farends` nobody goes by its name."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from farends.registry import SPECS
from farends.spec import option_fields

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PRODUCT = sorted(set(CONFIG["root_packages"]) - {"farends"})
OPTIONS = {
    name
    for spec in SPECS.values()
    for described in (spec.options, spec.secret)
    for field in option_fields(described)
    for name in (field.name, field.attribute)
}
# Words with other meanings too: they are options only where they are asked of options or of a secret.
COMMON = {
    "auth",  # who may ask a route
    "client_id",  # of a client that sends batches
    "database",  # the product's own
    "key",  # of a row
    "password",  # of a person, of PostgreSQL, of Valkey
    "path",  # of a file, of a route
    "protocol",  # of a request
    "root",  # the logger, a folder
    "scheme",  # of a URL
    "scope",  # of a lock, of a rule
    "timeout_s",  # of a job
    "tls",  # the code of an error
    "token",  # the fencing token, an API token
    "username",  # of a person
}
# place: why it may name options
ALLOWED = {
    # Words of its command line.
    "cli/management/commands/stream.py": {"key"},
    # They make connectors to sample hosts, as a person would.
    "embedded/management/commands/demonstrate.py": {"host_key", "private_key", "root", "username"},
    "embedded/samples/filling.py": {"auth", "base", "scheme", "token"},
    "embedded/samples/sending.py": {"tls", "token"},
    # It makes the first connector of an installation from CLIENT_API_URL and CLIENT_API_KEY.
    "outbox/first.py": {"base", "timeout_s", "tls", "token"},
}


def named_options(text: str, options: set[str] = OPTIONS) -> Iterator[tuple[int, str]]:
    """Yields line and name of each option that a module names."""
    tree = ast.parse(text)
    stored = re.compile(rf"->>?\s*'({'|'.join(map(re.escape, sorted(options)))})'")
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value in options - COMMON:
                yield node.lineno, node.value
            yield from ((node.lineno, each[1]) for each in stored.finditer(node.value))
        asked, keys = _split_question(node)
        if re.search(r"option|secret", asked):
            for key in keys:
                if isinstance(key, ast.Constant) and key.value in options & COMMON:
                    yield key.lineno, str(key.value)


def _split_question(node: ast.AST) -> tuple[str, list[ast.expr | None]]:
    """Whom the node asks, and for which keys: `options["tls"]`, `options.get("tls")`, `"tls" in options`,
    `options={"tls": …}`, `{"options": {"tls": …}}`, `seal(connector, {"token": …})`."""
    match node:
        case ast.Subscript(value=whom, slice=key):
            return ast.unparse(whom), [key]
        case ast.Call(func=ast.Attribute(value=whom, attr="get" | "pop" | "setdefault"), args=keys):
            return ast.unparse(whom), list(keys)
        case ast.Compare(left=key, ops=[ast.In() | ast.NotIn()], comparators=[whom]):
            return ast.unparse(whom), [key]
        case ast.Call(func=ast.Name(id="seal"), args=[_, ast.Dict(keys=keys)]):
            return "secret", keys
        case ast.keyword(arg=str(name), value=ast.Dict(keys=keys)):
            return name, keys
        case ast.Assign(targets=[whom], value=ast.Dict(keys=keys)):
            return ast.unparse(whom), keys
        case ast.Dict(keys=names, values=values):
            inner = [
                key
                for name, value in zip(names, values, strict=True)
                if isinstance(name, ast.Constant) and name.value in ("options", "secret")
                if isinstance(value, ast.Dict)
                for key in value.keys
            ]
            return "options", inner
    return "", []


def test_no_module_outside_of_the_far_ends_names_an_option() -> None:
    found = {}
    for package in PRODUCT:
        for file in (ROOT / package).rglob("*.py"):
            if "migrations" not in file.parts:
                names = {name for _, name in named_options(file.read_text())}
                found[str(file.relative_to(ROOT))] = names
    assert {place: names for place, names in found.items() if names} == ALLOWED


@pytest.mark.parametrize(
    "text",
    [
        """options.get("jump_host")""",
        '''WAY = "c.options->>'proxy' AS proxy"''',
        '''WAY = "c.options->>'tls' AS tls"''',
        """connector.options["root"]""",
        """stored_options.get("username", "")""",
        """"tls" in connector.options""",
        """Connector(options={"tls": True})""",
        """{"name": "a", "options": {"root": "/"}}""",
        """seal(connector, {"password": word})""",
        """client.options = {"tls": False}""",
    ],
)
def test_an_option_that_is_named_is_found(text: str) -> None:
    assert len(list(named_options(text))) == 1


@pytest.mark.parametrize(
    "text", ["""{"token": token}""", """logging.getLogger("root")""", """person["username"]"""]
)
def test_other_meanings_of_a_common_word_are_left_alone(text: str) -> None:
    assert list(named_options(text)) == []
