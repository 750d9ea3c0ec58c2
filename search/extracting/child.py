"""A process of its own that reads documents: whatever a hostile one does to a parser, it does to this process.

It is told of one document after the other, which lies in the spool, and answers in frames. It opens nothing any more
once it is ready: no file, no folder, no socket. `search.extracting.extractor` starts it and ends it.

usage: python -m search.extracting.child SPOOL, the number of an open file
"""

from __future__ import annotations

import contextlib
import encodings
import importlib
import io
import os
import pkgutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import charset_normalizer  # noqa: F401 — nothing is imported once the process is limited

from children.limits import ProcessLimits, allow_cpu, forbid_opening, limit_process
from search.core.texts import Piece, RefusalCode
from search.extracting import frames
from search.extracting.docx import read_docx
from search.extracting.eml import read_eml
from search.extracting.html import read_html
from search.extracting.kinds import UNKNOWN_OFFICE
from search.extracting.opendocument import read_opendocument
from search.extracting.parts import Parts, find_office_kind
from search.extracting.pdf import read_pdf
from search.extracting.pptx import read_pptx
from search.extracting.telling import Document, DocumentRefused, Teller, TextFull
from search.extracting.xlsx import read_xlsx

DATA_BYTES_MAX = 240 << 20  # with libraries, less than 300 MiB are resident
_LIMITS = ProcessLimits(data_bytes=DATA_BYTES_MAX, address_bytes=1 << 30, written_bytes=0)
_CPU_S = 20.0  # of one document
_SPENT = frozenset({RefusalCode.HOSTILE, RefusalCode.TOO_LARGE})

Read = Callable[[Document, Teller], None]
_READERS: Mapping[str, Read] = {
    ".pdf": read_pdf,
    ".docx": read_docx,
    ".xlsx": read_xlsx,
    ".pptx": read_pptx,
    ".odt": read_opendocument,
    ".ods": read_opendocument,
    ".odp": read_opendocument,
    ".html": read_html,
    ".eml": read_eml,
}


class DocumentServer:
    """Reads one document after the other."""

    def __init__(self, spool: int, answers: BinaryIO) -> None:
        self._spool = spool
        self._answers = answers

    def serve(self, requests: BinaryIO) -> None:
        """Until there are no requests any more."""
        while header := requests.read(frames.HEADER_BYTES):
            _, length = frames.read_header(header)
            request = frames.decode_request(requests.read(length))
            file = io.BufferedReader(io.FileIO(self._spool, closefd=False))
            file.seek(0)
            outcome = self._read(Document(request.kind, file, request.size_bytes))
            outcome.is_spent = outcome.code in _SPENT
            frames.send_frame(self._answers, frames.DONE, frames.pack(outcome))

    def _read(self, document: Document) -> frames.ReadOutcome:
        allow_cpu(_CPU_S)
        teller = Teller(self._send)
        try:
            if document.kind == UNKNOWN_OFFICE:
                document.kind = find_office_kind(Parts(document))
            with contextlib.suppress(TextFull):
                _READERS[document.kind](document, teller)
            teller.end()
        except DocumentRefused as exc:
            return _refuse(exc.code, exc.note)
        except MemoryError:
            return _refuse(RefusalCode.TOO_LARGE, "It needs more memory than is allowed.")
        except RecursionError:
            return _refuse(RefusalCode.HOSTILE, "It is nested deeper than anybody writes.")
        except Exception as exc:  # noqa: BLE001 — of a foreign library, whatever it is
            return _refuse(
                RefusalCode.EXTRACT_FAILED,
                f"It cannot be read as {document.kind}. {type(exc).__name__}: {exc}",
            )
        return frames.ReadOutcome(kind=document.kind)

    def _send(self, pieces: list[Piece]) -> None:
        frames.send_frame(self._answers, frames.PIECES, frames.encode_pieces(pieces))


def _refuse(code: RefusalCode, note: str) -> frames.ReadOutcome:
    return frames.ReadOutcome(code=code, note=frames.clean_note(note))


def _load_codecs() -> None:
    """Mails and pages name any charset."""
    for module in pkgutil.iter_modules(encodings.__path__):
        if module.name not in ("mbcs", "oem"):  # of Windows
            importlib.import_module(f"encodings.{module.name}")


def _main() -> None:
    _load_codecs()
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    limit_process(_LIMITS)
    forbid_opening()
    frames.send_frame(sys.stdout.buffer, frames.READY)
    DocumentServer(int(sys.argv[1]), sys.stdout.buffer).serve(sys.stdin.buffer)


if __name__ == "__main__":
    _main()
