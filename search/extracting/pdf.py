"""Text of PDF files, page by page."""

from __future__ import annotations

import pypdfium2
import pypdfium2.raw as pdfium

from search.core.texts import RefusalCode
from search.extracting.telling import Document, DocumentRefused, Teller

_NEEDS_PASSWORD = (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY)
_PAGES_MAX = 50_000  # the library keeps a KiB of each until the process ends
_HYPHEN = "\x02\n"  # where pdfium found a word that is divided at a line's end
_NO_CHARACTERS = dict.fromkeys((0xFFFE, 0xFFFF))


def read_pdf(document: Document, teller: Teller) -> None:
    pages = _open(document)
    for index in range(min(len(pages), _PAGES_MAX)):
        _tell_page(pages, index, teller)
    pages.close()


def _open(document: Document) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(document.file)
    except pypdfium2.PdfiumError as exc:
        if exc.err_code in _NEEDS_PASSWORD:
            raise DocumentRefused(RefusalCode.ENCRYPTED, "It needs a password.") from exc
        raise


def _tell_page(pages: pypdfium2.PdfDocument, index: int, teller: Teller) -> None:
    page = pages[index]
    words = page.get_textpage()
    text = words.get_text_bounded().replace("\r\n", "\n").replace(_HYPHEN, "")
    words.close()
    page.close()
    if text.strip():
        teller.add(f"{text.translate(_NO_CHARACTERS)}\n", f"page {index + 1}")
