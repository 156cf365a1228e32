"""Pages of a study, written and read back."""

from datetime import UTC, datetime

import report_studies
from parsed_page import Parsed

from membrane_xai.html_report import write_html_report

NOISE = {"noise": report_studies.METHODS["noise"]}
WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def text_of(study, tmp_path, **options):
    return write_html_report(study, tmp_path / "r.html", date=WHEN, **options).read_text("utf-8")


def page_of(study, tmp_path, **options):
    return Parsed(text_of(study, tmp_path, **options))


def words(page):
    [body] = page.all("body")
    return " ".join(body["text"].split())
