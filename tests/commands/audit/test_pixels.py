"""``membrane-xai audit`` of images that are deep, damaged or of swapped channels."""

import numpy as np
import PIL.Image
import pytest
from audit_files import audit, save_image, save_npy, table
from tiff_files import write_tiff

from membrane_xai import evaluate
from membrane_xai.cli import main
from membrane_xai.datasets import synthetic_her2


@pytest.fixture
def field():
    return synthetic_her2("3+", size=240, mpp=0.5, seed=4).rgb


@pytest.fixture
def root(tmp_path, field):
    save_image(tmp_path / "images" / "plain.png", field)
    write_tiff(tmp_path / "images" / "deep.tif", field.astype(np.uint16) * 16)
    for name in ("plain", "deep", "cut", "swapped"):
        save_npy(tmp_path / "cams" / f"{name}.npy", np.arange(49.0).reshape(7, 7))
    save_image(tmp_path / "images" / "swapped.png", field[..., ::-1])
    path = tmp_path / "images" / "cut.jpg"
    PIL.Image.fromarray(field).save(path, quality=95)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 600 :])
    return tmp_path


def test_rows_say_what_is_wrong_and_bits_what_is_right(root):
    assert audit(root) == 1
    rows = {row["id"]: row for row in table(root)}
    assert "is truncated or damaged" in rows["cut"]["error"]
    assert "--bits 12" in rows["deep"]["error"]
    assert "channels_swapped" in rows["swapped"]["flags"]
    assert "channels_swapped" not in rows["plain"]["flags"]
    (root / "images" / "cut.jpg").unlink()
    assert audit(root, "--bits", "12", "--out", str(root / "other")) == 0


def test_bits_of_a_study_are_those_of_its_files(root, field):
    cam = np.arange(49.0).reshape(7, 7)
    deep = root / "images" / "deep.tif"
    options = {"masks": "extract", "mpp": 0.5}
    [right] = evaluate({"a": [cam]}, [field], **options).rows
    [row] = evaluate({"a": [cam]}, [deep], bits=12, **options).rows
    assert row["map"] == pytest.approx(right["map"], abs=0.003)
    [dark] = evaluate({"a": [cam]}, [deep], **options).rows
    assert dark["status"] == "error"


def test_a_kept_study_does_not_go_on_with_other_bits(root):
    given = {"masks": "extract", "mpp": 0.5, "out": root / "kept"}
    images, cams = [root / "images" / "deep.tif"], {"a": [np.eye(7)]}
    evaluate(cams, images, bits=12, **given)
    with pytest.raises(ValueError, match="bits"):
        evaluate(cams, images, bits=14, **given)


def test_an_orientation_in_exif_is_a_flag_of_the_row(tmp_path, field, capsys):
    exif = PIL.Image.Exif()
    exif[274] = 6
    (tmp_path / "images").mkdir()
    PIL.Image.fromarray(field).save(tmp_path / "images" / "a.png", exif=exif)
    save_npy(tmp_path / "cams" / "a.npy", np.arange(49.0).reshape(7, 7))
    assert audit(tmp_path) == 0
    [row] = table(tmp_path)
    assert "exif_orientation" in row["flags"].split(";")
    assert "its EXIF has orientation 6" in capsys.readouterr().err
    assert (
        main(["mask", str(tmp_path / "images"), "--mpp", "0.5", "--out", str(tmp_path / "m")]) == 0
    )
    assert "exif_orientation" in (tmp_path / "m" / "masks.csv").read_text(encoding="utf-8")
