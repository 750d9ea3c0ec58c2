"""Text of PDF files, page by page."""

from __future__ import annotations

import pypdfium2
import pypdfium2.raw as pdfium

from search.core.texts import RefusalCode
from search.extracting.telling import Document, DocumentRefused, Teller

_NEEDS_PASSWORD = (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY)
_HYPHEN = "\x02\n"  # where pdfium found a word that is divided at a line's end
_NO_CHARACTERS = dict.fromkeys((0xFFFE, 0xFFFF))


def read_pdf(document: Document, teller: Teller) -> None:
    try:
        pages = pypdfium2.PdfDocument(document.file)
    except pypdfium2.PdfiumError as exc:
        if exc.err_code in _NEEDS_PASSWORD:
            raise DocumentRefused(RefusalCode.ENCRYPTED, "It needs a password.") from exc
        raise
    for index in range(len(pages)):
        page = pages[index]
        words = page.get_textpage()
        text = words.get_text_bounded().replace("\r\n", "\n").replace(_HYPHEN, "")
        words.close()
        page.close()
        if text.strip():
            teller.add(f"{text.translate(_NO_CHARACTERS)}\n", f"page {index + 1}")
    pages.close()
