"""A YAML file as plain values, with the line of each and its references to secrets resolved; and values as YAML.

`${env:NAME}` and `${file:PATH}` are references; `$${env:NAME}` is the text `${env:NAME}`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from syncjobs.lifecycle.exporting import Variable

Position = tuple[str | int, ...]

_CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d)?")
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_REFERENCE = re.compile(r"(\$*)\$\{(env|file):([^}]+)\}")
_WIDTH = 110


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
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
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

    def read(self, node: yaml.Node, position: Position) -> Any:
        self._file.lines[position] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, position)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*position, index)) for index, item in enumerate(node.value)]
        value = self._scalar(node, position)
        if isinstance(value, str):
            return _REFERENCE.sub(lambda match: self._resolve(match, position), value)
        return value

    def _scalar(self, node: yaml.Node, position: Position) -> Any:
        """YAML 1.1 would make 1230 of 20:30, a date of 2026-12-24, and 5349 of the password 012345."""
        text = str(node.value)
        if "secret" in position or _CLOCK.fullmatch(text) or node.tag == _TIMESTAMP:
            return text
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
            return self._environment[name]
        target = self._file.path.parent / Path(name).expanduser()
        try:
            return target.read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "it is not text"
            raise self._error(line, f"cannot read {target}: {reason}") from None

    def _error(self, line: int, message: str) -> UnreadableFile:
        return UnreadableFile(f"{self._file.path}:{line}: {message}")
