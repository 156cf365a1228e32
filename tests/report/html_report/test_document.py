"""The page: what it escapes and forbids, where it comes from, and bad input."""

import base64
import hashlib
import sys
from datetime import UTC, datetime

import pytest
import report_studies
from parsed_page import Parsed
from report_pages import WHEN, page_of, text_of, words
from report_studies import END, IMAGE, QUOTES, SCRIPT

from membrane_xai.errors import InvalidInputError, MissingDependencyError
from membrane_xai.html_report import write_html_report
from membrane_xai.study import read_study

pytest.importorskip("jinja2")


def test_names_stay_text(study, tmp_path):
    page = page_of(study, tmp_path, title=SCRIPT, command=f"run {IMAGE}")
    assert page.all("title")[0]["text"] == SCRIPT == page.all("h1")[0]["text"]
    assert f"run {IMAGE}" in words(page)
    scripts = page.all("script")
    assert [one["attrs"].get("type") for one in scripts[:-1]] == ["application/json"] * 7
    assert scripts[-1]["attrs"] == {}
    assert "alert(1)" not in scripts[-1]["text"]
    assert [one["attrs"].get("id") for one in page.all("img")] == ["v-rgb", "v-dab"]
    ids = {row[0] for row in page.json("table-data")["rows"]}
    assert {SCRIPT, QUOTES, IMAGE} <= ids
    shown = {one["text"] for one in page.all("span") if one["attrs"].get("class") == "id"}
    assert {SCRIPT, QUOTES, IMAGE} <= shown
    assert END in page.rows("Means by method")[2][0]


def test_no_markup_that_the_policy_forbids(study, tmp_path):
    for one in page_of(study, tmp_path).elements:
        assert "style" not in one["attrs"]
        assert not [name for name in one["attrs"] if name.startswith("on")]
        for name in ("src", "href"):
            assert one["attrs"].get(name, "#").startswith(("#", "data:"))


def test_the_policy_allows_its_own_script_and_style_alone(study, tmp_path):
    text = text_of(study, tmp_path)
    page = Parsed(text)
    meta = page.all("meta")[1]["attrs"]
    assert meta["http-equiv"] == "Content-Security-Policy"

    def of(tag):
        inner = text.rpartition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = hashlib.sha256(inner.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    assert meta["content"].split("; ") == [
        "default-src 'none'",
        f"script-src {of('script')}",
        f"style-src {of('style')}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_the_same_study_gives_the_same_bytes(study, tmp_path):
    first = write_html_report(study, tmp_path / "a.html", date=WHEN)
    again = write_html_report(str(study), str(tmp_path / "new" / "b.html"), date=WHEN)
    assert first == tmp_path / "a.html"
    assert first.read_bytes() == again.read_bytes()
    other = write_html_report(study, tmp_path / "c.html", date=WHEN.replace(year=2027))
    assert first.read_text("utf-8").replace("2026-01-02 03:04 UTC", "2027-01-02 03:04 UTC") == (
        other.read_text("utf-8")
    )


def test_the_date_is_now_by_default(study, tmp_path):
    before = datetime.now(UTC).replace(second=0, microsecond=0)
    page = Parsed(write_html_report(study, tmp_path / "r.html", most=0).read_text("utf-8"))
    [line] = [one["text"] for one in page.all("p") if one["attrs"].get("class") == "sub"]
    shown = datetime.strptime(line.split(" · ")[2], "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
    assert before <= shown <= datetime.now(UTC)


def test_a_page_is_replaced_whole_or_not_at_all(study, tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    path.write_text("before")

    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr("membrane_xai.html_report.payload", fail)
    with pytest.raises(RuntimeError):
        write_html_report(study, path)
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["r.html"]


def test_the_default_title_names_the_folder(study, tmp_path):
    assert page_of(study, tmp_path).all("h1")[0]["text"] == f"Membrane audit: {study.name}"


def test_provenance(study, tmp_path):
    page = page_of(study, tmp_path, command="membrane-xai report x")
    shown = words(page)
    assert "membrane-xai report x" in shown
    keys = sorted({row["key"] for row in read_study(study).rows})
    assert f"sha256:{hashlib.sha256(chr(10).join(keys).encode()).hexdigest()}" in shown
    assert f"python {sys.version.split()[0]}, membrane-xai" in shown
    settings = dict(page.rows("Settings of the study"))
    assert settings["similarity"] == "pearson"
    assert settings["perturbations"].startswith("horizontal flip")
    assert "Research use only" in shown


def test_about_is_shown(tmp_path):
    report_studies.make(tmp_path / "s", 1, about={"<weights>": "sha256:12"})
    page = page_of(tmp_path / "s", tmp_path)
    assert ["about: <weights>", "sha256:12"] in page.rows("Settings of the study")


@pytest.mark.parametrize("most", [-1, 1.5, "10", None, True])
def test_most_is_checked(study, tmp_path, most):
    with pytest.raises(InvalidInputError, match=r"most is .*; it takes a non-negative integer"):
        write_html_report(study, tmp_path / "r.html", most=most)


def test_no_study(tmp_path):
    with pytest.raises(InvalidInputError, match=r"study is '.*none'; no study has been kept there"):
        write_html_report(tmp_path / "none", tmp_path / "r.html")
    (tmp_path / "manifest.json").write_text('{"settings": {}, "numbers": []}')
    with pytest.raises(InvalidInputError, match=r"study is '.*'; it has no rows yet"):
        write_html_report(tmp_path, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_jinja_is_named_where_it_is_missing(study, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingDependencyError, match=r"membrane-xai\[report\]"):
        write_html_report(study, tmp_path / "r.html")
