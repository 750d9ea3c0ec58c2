"""The documents that the labelled questions are about. They are made offline, and the same each time, from what
`make bench` has installed: modules of Python's own library, the topics of its language reference, the descriptions of
installed packages, and papers of an invented office (`papers`), many of them alike but for a number or a name."""

from __future__ import annotations

import importlib.metadata
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

from benchmarks.search.labelled.papers import iter_papers

LIBRARY_BYTES = range(2_000, 62_000)  # of a module: what is smaller says little
PACKAGE_MAX = 30_000  # characters


def iter_documents() -> Iterator[tuple[str, str]]:
    """Yields paths and texts."""
    for name, text in sorted(topics.items()):
        yield f"reference/{name}.txt", text
    library = Path(sysconfig.get_paths()["stdlib"])
    for module in sorted(library.glob("*.py")):
        if module.stat().st_size in LIBRARY_BYTES and not module.stem.startswith("_"):
            yield f"library/{module.name}", module.read_text(encoding="utf-8", errors="replace")
    packages = {each.metadata["Name"].lower(): each for each in importlib.metadata.distributions()}
    for name, package in sorted(packages.items()):
        _, _, description = (package.read_text("METADATA") or "").partition("\n\n")
        if len(description) > 200:
            yield f"packages/{name}.md", description[:PACKAGE_MAX]
    yield from iter_papers()
