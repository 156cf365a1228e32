"""Files that are no images or CAMs, whatever their suffix: the message says what they are."""

import gzip
import io
import zipfile

import numpy as np
import PIL.Image
import pytest

from membrane_xai.errors import InvalidInputError
from membrane_xai.io import open_slide, read_cam, read_image, read_mask, write_mask


def picture(form):
    file = io.BytesIO()
    PIL.Image.new("RGB", (4, 4)).save(file, form)
    return file.getvalue()


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "x")
    return file.getvalue()


OTHERS = {
    "empty": b"",
    "an HTML page (servers": b"\n<!DOCTYPE html><title>404</title>",
    "a pointer of Git LFS (git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha",
    "JSON": b'{"images": []}',
    "XML": b'<?xml version="1.0"?><a/>',
    "text": "\ufeffname;größe\n".encode(),
    "text in UTF-16": "name".encode("utf-16"),
    "compressed by gzip": gzip.compress(b"x"),
    "a GIF image": picture("GIF"),
    "a WebP image": picture("WEBP"),
    "a PDF": b"%PDF-1.7\n\xff",
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_what_is_no_image(tmp_path, what, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(OTHERS[what])
    for read in (read_image, lambda one: read_mask(one, shape=(4, 4))):
        with pytest.raises(InvalidInputError) as refused:
            read(path)
        assert str(refused.value).startswith(f"{path}: is {what}")
        assert str(refused.value).endswith(", and is not a PNG, JPEG, BMP or TIFF image")


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_no_slide(tmp_path, what):
    pytest.importorskip("openslide")
    path = tmp_path / "a.svs"
    path.write_bytes(OTHERS[what])
    with pytest.raises(InvalidInputError) as refused:
        open_slide(path)
    assert str(refused.value).startswith(f"{path}: is {what}")
    assert ", and is not a slide that OpenSlide" in str(refused.value)


CAMS = {"a zip archive": "npz", "a NumPy array": "npy"}


@pytest.mark.parametrize(
    ("what", "suffix"),
    [
        (what, suffix)
        for what in (*OTHERS, *CAMS)
        for suffix in ("npy", "npz", "png", "tif")
        if CAMS.get(what) != suffix
    ],
)
def test_what_is_no_cam(tmp_path, what, suffix):
    path = tmp_path / f"a.{suffix}"
    if what == "a NumPy array":
        np.save(tmp_path / "b.npy", np.ones((2, 2)))
        (tmp_path / "b.npy").rename(path)
    else:
        path.write_bytes(zipped() if what == "a zip archive" else OTHERS[what])
    with pytest.raises(InvalidInputError) as refused:
        read_cam(path)
    assert str(refused.value).startswith(f"{path}: is {what}")


def test_damage_is_still_called_so(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((9, 9)))
    path.write_bytes(path.read_bytes()[:-9])
    for read in (read_cam, lambda one: read_mask(one, shape=(9, 9))):
        with pytest.raises(InvalidInputError, match="truncated or damaged"):
            read(path)
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG" + bytes(40))
    with pytest.raises(InvalidInputError, match="TIFF image, or its beginning is damaged"):
        read_image(path)
    with pytest.raises(InvalidInputError, match="is a folder"):
        read_cam(tmp_path.rename(tmp_path.with_suffix(".npy")))


@pytest.mark.parametrize("read", [read_image, open_slide, read_mask, read_cam])
def test_a_folder_is_no_file(tmp_path, read):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(InvalidInputError, match=r"a\.png: is a folder"):
        read(tmp_path / "a.png")


def test_no_file_is_written_over_a_folder(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(InvalidInputError, match="is a folder; it takes the name of a file"):
        write_mask(tmp_path / "a.png", np.ones((2, 2), bool))
    assert [one.name for one in tmp_path.iterdir()] == ["a.png"]
