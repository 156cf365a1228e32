"""Draw the README's figure: what ``membrane-xai demo`` draws, with a palette to keep it small."""

import tempfile
from pathlib import Path

from PIL import Image

from membrane_xai.cli import main

OUT = Path(__file__).parent.parent / "_static" / "demo.png"

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        if main(["demo", "--out", folder]):
            raise SystemExit(1)
        with Image.open(Path(folder) / "membrane-xai-demo.png") as figure:
            figure.convert("RGB").quantize(128).save(OUT, optimize=True)
    print(f"wrote {OUT}")
