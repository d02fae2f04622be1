"""The page as PDF, by WeasyPrint: extra `pdf`, and the system's pango."""

from __future__ import annotations

import logging
from pathlib import Path

from esrt_privacy.errors import ReportError
from esrt_privacy.whole_file import write_whole

FILE_NAME = "report.pdf"


def require_weasyprint() -> None:
    """Raises ReportError, in one line, where no PDF can be made here."""
    try:
        import weasyprint  # noqa: F401
    except ImportError as error:
        raise ReportError(
            "a PDF needs WeasyPrint: pip install 'esrt-privacy[pdf]', or print report.html from a browser"
        ) from error
    except OSError as error:  # it loads pango when it is imported
        raise ReportError(
            "a PDF needs the system's pango (Debian: apt-get install libpango-1.0-0 libpangoft2-1.0-0"
            " libharfbuzz-subset0), or print report.html from a browser"
        ) from error


def write_pdf(html: str, folder: Path) -> Path:
    """Write `folder/report.pdf` from a page made for print. Nothing outside the page is read.

    Returns the file's path. Raises ReportError where it cannot be made or written.
    """
    require_weasyprint()
    import weasyprint
    from weasyprint.urls import URLFetcher

    # What WeasyPrint does not know of the style sheet, a browser does: that is no news to a reader.
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    fetcher = URLFetcher(allowed_protocols=("data",))
    content = weasyprint.HTML(string=html, base_url=None, url_fetcher=fetcher).write_pdf(
        pdf_tags=True, pdf_variant="pdf/ua-1"
    )
    path = folder / FILE_NAME
    write_whole(path, content)
    return path
