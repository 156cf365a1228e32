"""Relative links in Markdown lead to files that are there, and to headings in them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        ROOT / "benchmarks" / "README.md",
        *(
            page
            for page in (ROOT / "docs").rglob("*.md")
            if not {"_build", "generated"} & set(page.parts)
        ),
    ]
)
LINK = re.compile(r"\]\(([^()\s]+)\)")
CARD = re.compile(r"^:link: (\S+)$", re.MULTILINE)
CODE = re.compile(r"^( *)(```+|~~~+).*?^\1\2", re.MULTILINE | re.DOTALL)


def prose(page):
    """Return a page without code, in which brackets mean something else."""
    return re.sub(r"`[^`\n]+`", "", CODE.sub("", page.read_text()))


def anchors(page):
    """Return the anchors that GitHub and MyST give the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page):
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists():
            yield f"{target}: no such file"
        elif anchor and anchor not in anchors(file):
            yield f"{target}: no such heading"
    for target in CARD.findall(page.read_text()):
        if not (page.parent / f"{target}.md").exists():
            yield f"{target}: no such page"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert not list(broken(page))


def test_the_check_finds_what_is_broken(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading, with `code`\n[good](#a-heading-with-code) [web](https://example.org/x)\n"
        "[gone](gone.md) [lost](page.md#lost) [](#nowhere)\n```\n[code](not-a-link)\n```\n"
        ":link: missing\n`[in](code)`\n"
    )
    assert list(broken(page)) == [
        "gone.md: no such file",
        "page.md#lost: no such heading",
        "#nowhere: no such heading",
        "missing: no such page",
    ]
