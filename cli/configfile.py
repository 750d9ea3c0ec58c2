"""A YAML file as plain values, with the line of each and its references to secrets resolved; and values as YAML.

`${env:NAME}` and `${file:PATH}` are references; `$${env:NAME}` is the text `${env:NAME}`.

Everything is bounded: what a few aliases or references stand for may be more than any machine holds.
"""

from __future__ import annotations

import errno
import math
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from syncjobs.configuration.yaml_out import Variable

Position = tuple[str | int, ...]

_CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d)?")
_STRING = "tag:yaml.org,2002:str"
_MAY_BE_OFF = ("index", "service", "tls")  # fields of which `off` is a word, and not false
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
# A run of dollars is looked at once, and a name that has no end is not looked for to the end of the file.
_REFERENCE = re.compile(r"(?<!\$)(\$*)\$\{(env|file):([^}]{1,1024})\}")
_WIDTH = 110

FILE_MAX_BYTES = 16 << 20
VALUES_MAX = 1_000_000  # with each alias as many as it stands for
TEXT_MAX = 64 << 20  # characters of all values, so counted
DEPTH_MAX = 100
REFERENCED_MAX_BYTES = 1 << 20  # of one `${file:…}`
_NUMBER_MAX = 400  # digits; YAML 1.1 takes a quadratic time for what looks like one


class UnreadableFile(Exception):
    """The file is not there, no YAML, or names a secret that is not there."""


@dataclass(slots=True)
class ConfigFile:
    path: Path
    document: Any = None
    lines: dict[Position, int] = field(default_factory=dict)

    def line_of(self, position: Position) -> int:
        """The line of a value, or of the nearest thing around it."""
        while position and position not in self.lines:
            position = position[:-1]
        return self.lines.get(position, 1)


def load(path: Path, environment: Mapping[str, str] = os.environ) -> ConfigFile:
    """Raises UnreadableFile, with file and line."""
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_MAX_BYTES + 1)
        if len(data) > FILE_MAX_BYTES:
            raise UnreadableFile(f"{path}: over {FILE_MAX_BYTES >> 20} MiB is no configuration")
        node = yaml.compose(data.decode("utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError) as exc:
        raise UnreadableFile(f"{path}: {exc}") from None
    except (yaml.YAMLError, RecursionError) as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UnreadableFile(f"{where}: {getattr(exc, 'problem', None) or exc}") from None
    file = ConfigFile(path)
    if node is not None:
        file.document = _Reader(file, environment).read(node, ())
    return file


class _Loader(yaml.SafeLoader):
    """Composes no more than a bounded number of nodes, to a bounded depth."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._count = self._depth = 0

    def fetch_flow_collection_start(self, TokenClass: type) -> None:
        # The scanner reads on, to find whether the first bracket begins a key, at a price for each open one.
        if self.flow_level >= DEPTH_MAX:
            raise yaml.composer.ComposerError(
                None, None, _too_much(0, DEPTH_MAX + 1), self.get_mark()
            )
        super().fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._count += 1
        self._depth += 1
        wrong = _too_much(self._count, self._depth)
        if wrong:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # its stubs say none
            raise yaml.composer.ComposerError(None, None, wrong, mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _too_much(values: int, depth: int) -> str:
    if depth > DEPTH_MAX:
        return f"this is nested over {DEPTH_MAX} deep"
    if values > VALUES_MAX:
        return f"these are over {VALUES_MAX:,} values, with what aliases stand for"
    return ""


def dump(document: Any) -> str:
    """YAML that `load` reads as these values; a Variable becomes the reference to it."""
    return yaml.dump(document, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=_WIDTH)


class _Writer(yaml.SafeDumper):
    """Lists of mappings as blocks, what is in them on one line."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_mapping(
        self, tag: str, mapping: Any, flow_style: bool | None = None
    ) -> yaml.MappingNode:
        node = super().represent_mapping(tag, mapping, flow_style=False)
        for _, value in node.value:
            if isinstance(value, yaml.MappingNode):
                _inline(value)
        return node

    def represent_sequence(
        self, tag: str, sequence: Any, flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        node = super().represent_sequence(tag, sequence, flow_style=False)
        if not all(isinstance(item, yaml.MappingNode) for item in node.value):
            _inline(node)
        return node


def _inline(node: yaml.CollectionNode) -> None:
    node.flow_style = True
    for item in node.value:
        for part in item if isinstance(item, tuple) else (item,):
            if isinstance(part, yaml.CollectionNode):
                _inline(part)


def _text(writer: _Writer, text: str) -> yaml.ScalarNode:
    escaped = _REFERENCE.sub(lambda match: f"${match[0]}", text)
    # Between single quotes YAML folds some kinds of line break into blanks.
    style = None if escaped.isprintable() else '"'
    return writer.represent_scalar("tag:yaml.org,2002:str", escaped, style=style)


def _reference(writer: _Writer, variable: Variable) -> yaml.ScalarNode:
    return writer.represent_scalar("tag:yaml.org,2002:str", f"${{env:{variable.name}}}", style='"')


_Writer.add_representer(str, _text)
_Writer.add_representer(Variable, _reference)


class _Reader:
    def __init__(self, file: ConfigFile, environment: Mapping[str, str]) -> None:
        self._file = file
        self._environment = environment
        self._constructor = yaml.SafeLoader("")
        self._values = self._characters = 0

    def read(self, node: yaml.Node, position: Position) -> Any:
        line = node.start_mark.line + 1
        self._file.lines[position] = line
        self._values += 1
        # What names itself by an alias has no end: it comes here at every depth.
        if wrong := _too_much(self._values, len(position)):
            raise self._error(line, wrong)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, position)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*position, index)) for index, item in enumerate(node.value)]
        self._count_text(str(node.value), line)
        value = self._scalar(node, position)
        if isinstance(value, str):
            return _REFERENCE.sub(lambda match: self._resolve(match, position), value)
        return value

    def _count_text(self, text: str, line: int) -> None:
        self._characters += len(text)
        if self._characters > TEXT_MAX:
            words = (
                f"over {TEXT_MAX >> 20} Mi characters, with what aliases and references stand for"
            )
            raise self._error(line, words)

    def _scalar(self, node: yaml.Node, position: Position) -> Any:
        """YAML 1.1 would make 1230 of 20:30, a date of 2026-12-24, 5349 of the password 012345, and false of `index: off`."""
        text = str(node.value)
        if "secret" in position or _CLOCK.fullmatch(text) or node.tag == _TIMESTAMP:
            return text
        if text.lower() == "off" and position[-1:] and position[-1] in _MAY_BE_OFF:
            return "off"
        if len(text) > _NUMBER_MAX and node.tag != _STRING:
            raise self._error(node.start_mark.line + 1, f"{text[:40]!r}… is no number to work with")
        try:
            value = self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError, RecursionError) as exc:
            reason = getattr(exc, "problem", None) or exc
            raise self._error(node.start_mark.line + 1, f"{text[:40]!r}: {reason}") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(node.start_mark.line + 1, f"{text!r} is no number to work with")
        if isinstance(value, bytes):
            raise self._error(node.start_mark.line + 1, "binary is nothing to configure with")
        if isinstance(value, str) and "\0" in value:
            raise self._error(node.start_mark.line + 1, "a NUL character cannot be stored")
        return value

    def _mapping(self, node: yaml.MappingNode, position: Position) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in values:
                raise self._error(key_node.start_mark.line + 1, f"{key} stands here twice")
            values[key] = self.read(value_node, (*position, key))
            self._file.lines[(*position, key)] = key_node.start_mark.line + 1
        return values

    def _resolve(self, match: re.Match[str], position: Position) -> str:
        escapes, kind, name = match.groups()
        if escapes:
            return match[0][1:]
        line = self._file.line_of(position)
        if kind == "env":
            if name not in self._environment:
                raise self._error(line, f"the environment has no {name}")
            found = self._environment[name]
        else:
            target = self._file.path.parent / Path(name).expanduser()
            try:
                found = _read_regular(target).rstrip("\n")
            except (OSError, UnicodeDecodeError) as exc:
                reason = exc.strerror if isinstance(exc, OSError) else "it is not text"
                raise self._error(line, f"cannot read {target}: {reason}") from None
        self._count_text(found, line)
        return found

    def _error(self, line: int, message: str) -> UnreadableFile:
        return UnreadableFile(f"{self._file.path}:{line}: {message}")


def _read_regular(path: Path) -> str:
    """Reads a regular file only: a device or a pipe may have no end. Raises OSError, UnicodeDecodeError."""
    # Without waiting: a pipe that nobody writes to is opened by no one.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            data = stream.read(REFERENCED_MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > REFERENCED_MAX_BYTES:
        raise OSError(errno.EFBIG, f"it is over {REFERENCED_MAX_BYTES >> 20} MiB")
    return data.decode("utf-8")
