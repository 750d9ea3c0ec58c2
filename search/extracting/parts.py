"""Parts of office files: members of a ZIP archive, read as XML in one pass whose memory is bounded."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Mapping
from xml.parsers import expat

from search.core.texts import RefusalCode
from search.extracting.telling import Document, DocumentRefused

MEMBERS_MAX = 20_000
READ_BYTES_MAX = 256 << 20  # of the parts that are read, unpacked
_UNPACKED_BYTES_MAX = 512 << 20  # of all parts, unless the file is itself large
_UNPACKED_TIMES_MAX = 4
_DEEPEST = 500
_BLOCK_BYTES = 64 << 10

Attributes = Mapping[str, str]


class PartHandler:
    """What happens at each tag and text. Names come without their prefix."""

    def start(self, name: str, attributes: Attributes) -> None: ...

    def end(self, name: str) -> None: ...

    def text(self, text: str) -> None: ...


class Parts:
    """The members of one office file. Raises DocumentRefused, and what zipfile and expat raise."""

    def __init__(self, document: Document) -> None:
        self._archive = zipfile.ZipFile(document.file)
        members = self._archive.infolist()
        unpacked = sum(member.file_size for member in members)
        most = max(_UNPACKED_BYTES_MAX, _UNPACKED_TIMES_MAX * document.size_bytes)
        if len(members) > MEMBERS_MAX:
            raise DocumentRefused(RefusalCode.TOO_LARGE, f"It has {len(members):,} parts.")
        if unpacked > most:
            raise DocumentRefused(RefusalCode.TOO_LARGE, f"It unpacks to {unpacked:,} bytes.")
        if any(member.flag_bits & 1 for member in members):
            raise DocumentRefused(RefusalCode.ENCRYPTED, "It needs a password.")
        self.names = [member.filename for member in members]
        self._sizes = {member.filename: member.file_size for member in members}
        self._left = READ_BYTES_MAX

    def has(self, name: str) -> bool:
        return name in self._sizes

    def require(self, name: str) -> None:
        if name not in self._sizes:
            raise DocumentRefused(RefusalCode.EXTRACT_FAILED, f"It has no part {name}.")

    def walk(self, name: str, handler: PartHandler) -> None:
        self._left -= self._sizes[name]
        if self._left < 0:
            raise DocumentRefused(
                RefusalCode.TOO_LARGE, f"Its text unpacks to more than {READ_BYTES_MAX:,} bytes."
            )
        parser = _make_parser(name, handler)
        with self._archive.open(name) as part:
            while block := part.read(_BLOCK_BYTES):
                parser.Parse(block, False)
        parser.Parse(b"", True)

    def find_targets(self, name: str) -> dict[str, tuple[str, str]]:
        """What a part refers to: the kind and the path of each target, by its id."""
        folder, base = posixpath.split(name)
        relations = f"{folder}/_rels/{base}.rels"
        if not self.has(relations):
            return {}
        found = _Relations(folder)
        self.walk(relations, found)
        return found.targets


class _Relations(PartHandler):
    def __init__(self, folder: str) -> None:
        self.targets: dict[str, tuple[str, str]] = {}
        self._folder = folder

    def start(self, name: str, attributes: Attributes) -> None:
        target = attributes.get("Target", "")
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            path = posixpath.normpath(posixpath.join("/", self._folder, target)).lstrip("/")
            kind = attributes.get("Type", "").rpartition("/")[2]
            self.targets[attributes.get("Id", "")] = (kind, path)


def _make_parser(name: str, handler: PartHandler) -> expat.XMLParserType:
    """No entity is expanded and nothing outside is read: a part that declares a document type is refused."""
    parser = expat.ParserCreate()
    locals_: dict[str, str] = {}
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise DocumentRefused(
                RefusalCode.HOSTILE, f"{name} is nested more than {_DEEPEST} deep."
            )
        local = locals_.get(tag) or locals_.setdefault(tag, tag.rpartition(":")[2])
        handler.start(local, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        handler.end(locals_[tag])

    def refuse(*declared: object) -> None:
        raise DocumentRefused(
            RefusalCode.HOSTILE, f"{name} declares a document type, which no such file needs."
        )

    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = refuse
    return parser


def find_attribute(attributes: Attributes, name: str) -> str:
    """An attribute that stands in a namespace, whatever its prefix."""
    for key, value in attributes.items():
        if key.rpartition(":")[2] == name:
            return value
    return ""


def find_office_kind(parts: Parts) -> str:
    """Which of Microsoft's kinds a file without a name of its own is."""
    kinds = {
        "word/document.xml": ".docx",
        "xl/workbook.xml": ".xlsx",
        "ppt/presentation.xml": ".pptx",
    }
    for part, kind in kinds.items():
        if parts.has(part):
            return kind
    raise DocumentRefused(RefusalCode.BINARY, "It is an archive.")
