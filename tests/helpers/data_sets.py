"""Small data sets laid out like the published ones."""

import zipfile
from pathlib import Path

import PIL.Image

__all__ = ["SCORE_FOLDERS", "bci", "her2_40x_zip", "image", "zip_of"]

SCORE_FOLDERS = ("class_0", "class_1+", "class_2+", "class_3+")


def image(path: Path, value: int = 0) -> Path:
    """Write an image whose bytes depend on `value`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (8, 6), (value % 256, value // 256 % 256, 120)).save(path, format="PNG")
    return path


def bci(root: Path, per_score: int = 2) -> Path:
    """Lay out BCI, both halves."""
    number = 0
    for split in ("train", "test"):
        for score in ("0", "1+", "2+", "3+"):
            for _ in range(per_score):
                for half in ("IHC", "HE"):
                    number += 1
                    image(root / half / split / f"{number // 2:05}_{split}_{score}.png", number)
    return root


def zip_of(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def her2_40x_zip(folder: Path, kind: str = "patch", per_score: int = 2) -> Path:
    """Write HER2-IHC-40x as it is published: a zip of zips."""
    inner = {}
    for split in ("train", "test"):
        files = {}
        for score, name in enumerate(SCORE_FOLDERS):
            for i in range(per_score):
                file = f"her2-{name.removeprefix('class_')}-score_{split}_{i:02}.png"
                value = 1000 * score + 2 * i + (split == "test")
                files[f"{name}/{file}"] = image(folder / "scratch.png", value).read_bytes()
        path = zip_of(folder / "scratch.zip", files)
        inner[f"Patch-based-dataset/{split}_data_{kind}.zip"] = path.read_bytes()
        path.unlink()
    (folder / "scratch.png").unlink()
    return zip_of(folder / f"her2-ihc-40x-{kind}.zip", inner)
