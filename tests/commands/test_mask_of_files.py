"""``membrane-xai mask`` on files of cameras and scanners: sizes, depths, bounds, turns, damage."""

import numpy as np
import PIL.Image
import pytest
import tifffile
from dicom_files import dicom_slide
from mask_runs import run, table
from mirax_files import scanned_by_mirax
from tiff_files import OME, TURNS, orientation_tag, scanned_by_leica, write_tiff

from membrane_xai import extract_membrane_mask, rasterize, read_annotations
from membrane_xai.datasets import synthetic_her2


@pytest.fixture(scope="module")
def rgb():
    return synthetic_her2("3+", size=(150, 200), mpp=0.5, seed=2).rgb


@pytest.mark.parametrize("size", [0.00025, 352.777])
def test_an_impossible_pixel_size_is_an_error_that_names_its_source(tmp_path, rgb, size, capsys):
    path = write_tiff(
        tmp_path / "a.ome.tif", rgb, metadata=OME | {"PhysicalSizeX": size, "PhysicalSizeY": size}
    )
    assert run(path, out=tmp_path / "out") == 1
    [row] = table(tmp_path / "out")
    assert row["status"] == "failed"
    assert "its OME-XML states pixels of" in row["error"]
    assert "--mpp" in row["error"]
    assert row["error"] in capsys.readouterr().err
    assert run(path, "--mpp", 0.5, out=tmp_path / "out") == 0
    assert table(tmp_path / "out")[0]["status"] == "ok"


def test_a_camera_of_12_bits(tmp_path, rgb):
    path = write_tiff(tmp_path / "a.tif", rgb.astype(np.uint16) << 4)
    out = tmp_path / "out"
    assert run(path, "--mpp", 0.5, out=out) == 1
    assert "--bits 12" in table(out)[0]["error"]
    assert run(path, "--mpp", 0.5, "--bits", 12, out=out) == 0
    right = extract_membrane_mask(rgb, mpp=0.5).mask.mean()
    assert float(table(out)[0]["mask_share"]) == pytest.approx(right, abs=0.002)
    assert run(path, "--mpp", 0.5, "--bits", 14, out=out) == 0  # other bits, another mask
    assert float(table(out)[0]["mask_share"]) != pytest.approx(right, abs=0.002)


def test_a_damaged_jpeg_fails_and_swapped_channels_are_flagged(tmp_path, rgb):
    folder = tmp_path / "in"
    folder.mkdir()
    PIL.Image.fromarray(rgb).save(folder / "cut.jpg", quality=95)
    data = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 500 :])
    field = synthetic_her2("3+", size=320, mpp=0.5, seed=7).rgb
    PIL.Image.fromarray(field[..., ::-1]).save(folder / "swapped.png")
    assert run(folder, "--mpp", 0.5, out=tmp_path / "out") == 1
    cut, swapped = table(tmp_path / "out")
    assert "is truncated or damaged" in cut["error"]
    assert "channels_swapped" in swapped["flags"].split(";")


def test_a_wrong_pixel_size_is_in_the_table(tmp_path):
    path = tmp_path / "field.png"
    PIL.Image.fromarray(synthetic_her2("2+", size=320, mpp=0.5, seed=7).rgb).save(path)
    flags = {}
    for mpp in (0.25, 0.5, 1.0):
        assert run(path, "--mpp", mpp, "--formats", "png", out=tmp_path / str(mpp)) == 0
        [row] = table(tmp_path / str(mpp))
        flags[mpp] = row["flags"].split(";")
    assert [("pixel_size" in flags[mpp]) for mpp in flags] == [True, False, True]


LINE = (slice(60, 120), slice(40, 46))  # rows and columns of a brown line on glass


@pytest.fixture
def lined():
    pixels = np.full((128, 192, 3), 235, np.uint8)
    pixels[LINE] = (140, 90, 50)
    return pixels


@pytest.mark.parametrize("name", ["a.scn", "a.tif", "a.mrxs"])
def test_a_slide_with_bounds_has_the_coordinates_of_qupath(tmp_path, lined, name):
    pytest.importorskip("openslide")
    path = tmp_path / name
    if path.suffix == ".mrxs":
        scanned_by_mirax(path, lined, corner=(5, 2), tiles=(12, 9))
    else:
        scanned_by_leica(path, lined, corner=(800, 400))
    out = tmp_path / "out"
    assert run(path, out=out) == 0
    outlines = read_annotations(out / "a.mask.geojson")
    expected = extract_membrane_mask(lined, mpp=0.25, background=(235, 235, 235))
    assert expected.mask.any()
    assert (rasterize(outlines, lined.shape[:2]) == expected.mask).all()
    assert [one.geometry.bounds for one in outlines] == [(40, 60, 46, 120)]
    assert (tifffile.imread(out / "a.mask.ome.tif") > 0).tolist() == expected.mask.tolist()
    [row] = table(out)
    assert (row["height"], row["width"], row["flags"]) == ("128", "192", "")
    assert float(row["mask_share"]) == pytest.approx(6 * 60 / (128 * 192))
    assert float(row["tissue_share"]) == pytest.approx(expected.tissue.mean())


def test_a_folder_of_dicom_has_a_row_for_each_slide(tmp_path, lined, capsys):
    pytest.importorskip("openslide")
    for number in (1, 2):
        dicom_slide(tmp_path / "in" / f"case{number}", lined, series=f"1.2.{number}")
    out = tmp_path / "out"
    assert run(tmp_path / "in", out=out) == 0
    assert "2 made" in capsys.readouterr().out
    rows = table(out)
    assert [(row["kind"], row["height"], row["width"], row["mpp"]) for row in rows] == [
        ("slide", "128", "192", "0.25")
    ] * 2
    outlines = read_annotations(out / "case1" / "1.mask.geojson")
    assert [one.geometry.bounds for one in outlines] == [(40, 60, 46, 120)]
    assert run(*(tmp_path / "in" / "case1").iterdir(), out=tmp_path / "named") == 0
    assert len(table(tmp_path / "named")) == 1


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("limit", [2**26, 1000])  # as an image, and in tiles
def test_a_turned_tiff_has_the_mask_of_the_upright_one(tmp_path, lined, orientation, limit):
    path = write_tiff(
        tmp_path / "a.tif", lined, tile=(64, 64), extratags=[orientation_tag(orientation)]
    )
    upright = TURNS[orientation](lined)
    expected = extract_membrane_mask(upright, mpp=0.25, background=(235, 235, 235)).mask
    assert expected.sum() == 6 * 60
    glass = ("--background", "235,235,235")
    assert run(path, "--mpp", 0.25, "--max-pixels", limit, *glass, out=tmp_path / "out") == 0
    found = tifffile.imread(tmp_path / "out" / "a.mask.ome.tif") > 0
    assert found.shape == expected.shape
    assert (found == expected).all()
