"""Draw the figure of the first tutorial, by running the tutorial.

Run ``python docs/figures/first_map.py``; it writes ``docs/_static/first-map.png``.
"""

import doctest
import io
from pathlib import Path
from typing import Any

from PIL import Image

DOCS = Path(__file__).parents[1]
PAGE = DOCS / "tutorials" / "first-map.md"
OUTPUT = DOCS / "_static" / "first-map.png"


def names_of(page: Path) -> dict[str, Any]:
    """Run the examples of a page, which have to print what it says; return what they define."""
    test = doctest.DocTestParser().get_doctest(page.read_text(), {}, page.name, str(page), 0)
    failed, _ = doctest.DocTestRunner().run(test, clear_globs=False)
    if failed:
        raise SystemExit(f"{page.name} does not print what it says")
    return test.globs


if __name__ == "__main__":
    picture = io.BytesIO()
    names_of(PAGE)["figure"].savefig(picture, dpi=90)
    with Image.open(picture) as opened:
        opened.convert("RGB").quantize(256).save(OUTPUT, optimize=True)
    print(f"wrote {OUTPUT.stat().st_size / 1e3:.0f} kB")
