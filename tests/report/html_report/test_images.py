"""Images, masks and maps in the page, and images that are not there."""

import base64
import math
import zlib

import numpy as np
import pytest
import report_studies
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from report_pages import NOISE, page_of, text_of, words
from report_studies import SCRIPT, SIZE

from membrane_xai import CamGrid, evaluate, map_score
from membrane_xai._backend.resample import upsample
from membrane_xai.html_report._encoding import encoded_cam, encoded_weights, jpeg
from membrane_xai.html_report._gallery import chosen, payload
from membrane_xai.html_report._series import Patch, by_image, patches_of
from membrane_xai.study import read_study, read_view

pytest.importorskip("jinja2")


def unpacked(encoded, dtype):
    return np.frombuffer(zlib.decompress(base64.b64decode(encoded["data"])), dtype)


def levels_of(encoded, size):
    """Undo the differences of a map."""
    return np.cumsum(unpacked({"data": encoded}, np.uint8), dtype=np.uint8).reshape(size)


def reached(cam, size):
    """Return, by the definition of MAP, the last of the 101 thresholds that each pixel reaches."""
    up = upsample(cam, size)
    return sum(up >= k / 100 * up.max() for k in range(1, 101))


def test_images_carry_what_was_kept(study, tmp_path):
    page = page_of(study, tmp_path)
    rows = by_image(read_study(study).rows)
    for number, patch in enumerate(patches_of(rows)):
        data, view = page.json(f"data-{number}"), read_view(study, patch.key)
        assert (data["height"], data["width"]) == SIZE
        assert data["rgb"].startswith("data:image/jpeg;base64,/9j/")
        assert data["dab"].startswith("data:image/jpeg;base64,/9j/")
        mask = np.unpackbits(unpacked(data["mask"], np.uint8))[: view.mask.size]
        assert (mask.reshape(SIZE) == view.mask).all()
        assert data["region"] is None
        assert [entry["row"] for entry in data["maps"]] == list(patch.rows)
        for entry, name in zip(data["maps"], report_studies.METHODS, strict=True):
            cam = np.maximum(view.maps[name][None], 0)
            assert (levels_of(entry["map"], SIZE) == reached(cam, SIZE)).all()


@given(
    hnp.arrays(np.float32, (33, 34), elements=st.floats(0, 9, width=32)),
    st.integers(0, 100),
)
def test_levels_are_the_sets_of_map_score(cam, k):
    mask = np.zeros((33, 34), bool)
    levels = levels_of(encoded_cam(cam, mask, None, "clip"), (33, 34))
    if cam.max() == 0:
        assert not levels.any()
    else:
        assert ((levels >= k) == (cam >= k / 100 * cam.max())).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_on_a_threshold_reach_it_as_in_map_score(rng, dtype):
    for top in rng.random(20).astype(dtype):
        on_it = np.array([k / 100 * top for k in range(101)], dtype)
        below = np.nextafter(on_it[1:], dtype(-1))
        cam = np.zeros((40, 40), dtype)
        cam.flat[:201] = np.concatenate([on_it, below])
        levels = levels_of(encoded_cam(cam, np.zeros((40, 40), bool), None, "clip"), (40, 40))
        assert (levels.flat[:101] == np.arange(101)).all()
        assert (levels.flat[101:201] == np.arange(100)).all()
        for k in (7, 29, 57, 58):  # k / 100 * top and k * top / 100 differ for some tops
            on = levels >= k
            assert map_score(cam, on, threshold=k / 100) == 1
            rest = map_score(cam, ~on, threshold=k / 100)
            assert rest == 0


@pytest.mark.parametrize("grid", [(40, 36), (5, 3), (1, 1), (96, 100)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_levels_of_a_map_that_is_resampled(rng, grid, dtype):
    cam = (np.round(rng.random(grid) * 4 + 1) / 4).astype(dtype)  # many values lie on a threshold
    levels = levels_of(encoded_cam(cam, np.zeros((80, 90), bool), None, "clip"), (80, 90))
    assert (levels == reached(cam, (80, 90))).all()
    assert levels.max() == 100


def test_a_region_of_double_precision_makes_the_comparison_one():
    cam = np.linspace(0, 0.7, 101, dtype=np.float32)[None]  # many values lie on a threshold
    mask, region = np.zeros((1, 101), bool), np.ones((1, 101))
    levels = levels_of(encoded_cam(cam, mask, region, "clip"), (1, 101))
    assert (levels == reached(cam.astype(float), (1, 101))).all()
    assert (levels != reached(cam, (1, 101))).any()


def test_a_map_lies_where_its_cells_do(rng, tmp_path):
    grid, cam = CamGrid((8, 12), 0, SIZE), rng.random((6, 5))
    study = evaluate(
        {"m": [cam]}, report_studies.images(1), [np.eye(*SIZE)], grid=grid, out=tmp_path, views=True
    )
    view = read_view(tmp_path, study.rows[0]["key"])
    [entry] = payload(Patch(0, study.rows[0]["key"], (0,)), view, study.rows, "clip")["maps"]
    levels = levels_of(entry["map"], SIZE)
    for k in (29, 58, 100):
        on = levels >= k
        assert map_score(cam, on, grid=grid, threshold=k / 100) == 1
        assert map_score(cam, ~on, grid=grid, threshold=k / 100) == 0


def test_how_negative_values_count_is_kept(rng):
    cam = rng.normal(size=(3, 3))
    mask = np.zeros((6, 6), bool)
    for negative, want in (("clip", np.maximum(cam, 0)), ("abs", np.abs(cam))):
        got = levels_of(encoded_cam(cam, mask, None, negative), (6, 6))
        assert (got == reached(want, (6, 6))).all()


def test_a_map_of_invalid_values_has_no_activation():
    assert encoded_cam(np.array([[np.nan, 1.0]]), np.ones((2, 2), bool), None, "clip") is None


def test_weights_are_bits_or_fractions():
    half = np.array([[0.5, 1.0, 0.0]])
    assert unpacked(encoded_weights(half), "<f8").tolist() == [0.5, 1.0, 0.0]
    assert encoded_weights(half)["kind"] == "float64"
    bits = encoded_weights(np.array([[True, False, True]]))
    assert (bits["kind"], unpacked(bits, np.uint8).tolist()) == ("bits", [0b10100000])
    assert encoded_weights(np.array([[1, 0, 1]], np.uint8)) == bits


def test_pictures_are_scaled_down_not_up():
    import io

    from PIL import Image

    def size(image):
        data = base64.b64decode(jpeg(image, 512, 85).partition(",")[2])
        return Image.open(io.BytesIO(data)).size

    assert size(np.zeros((1000, 800, 3), np.uint8)) == (410, 512)
    assert size(np.zeros((30, 20), np.uint8)) == (20, 30)


def test_most_keeps_cases_first_then_the_order_of_the_table(study, tmp_path):
    rows = by_image(read_study(study).rows)
    assert not page_of(study, tmp_path, most=0).json("table-data")["patches"]
    ranked = [
        row for row in rows if math.isfinite(row["toward_ideal"]) and row["method"] == "noise"
    ]
    least = min(ranked, key=lambda row: row["toward_ideal"])["key"]
    [shown] = page_of(study, tmp_path, most=1).json("table-data")["patches"]
    assert rows[shown["rows"][0]]["key"] == least
    patches = [Patch(i, f"k{i}", (i,)) for i in range(5)]
    assert [p.number for p in chosen(patches, ["k4", "k2"], 3)] == [0, 2, 4]
    assert [p.number for p in chosen(patches, ["k4", "k2"], 9)] == [0, 1, 2, 3, 4]


def test_without_views_the_page_says_so(tmp_path):
    report_studies.make(tmp_path / "s", 2, views=False)
    page = page_of(tmp_path / "s", tmp_path)
    assert "The study kept no images." in words(page)
    assert "The study made no test against chance" in words(page)
    assert not page.json("table-data")["patches"]
    assert not [one for one in page.all("a") if one["attrs"]["href"].startswith("#image-")]
    assert len(page.json("table-data")["rows"]) == 10


def test_views_that_cannot_be_read_are_counted(tmp_path):
    report_studies.make(tmp_path / "s", 3)
    keys = list(dict.fromkeys(row["key"] for row in read_study(tmp_path / "s").rows))
    next((tmp_path / "s" / "views" / keys[0]).glob("noise*")).write_bytes(b"PK not a zip file")
    (tmp_path / "s" / "views" / keys[1] / "image.npz").unlink()
    page = page_of(tmp_path / "s", tmp_path)
    assert "2 could not be read from the study’s folder." in words(page)
    assert "1 of 3 images; open one" in words(page)
    assert [patch["number"] for patch in page.json("table-data")["patches"]] == [2]


def test_a_view_that_is_damaged_within_is_blank(tmp_path):
    report_studies.make(tmp_path / "s", 2)
    [first, second] = dict.fromkeys(row["key"] for row in read_study(tmp_path / "s").rows)
    path = tmp_path / "s" / "views" / first / "image.npz"
    data = bytearray(path.read_bytes())
    data[200:300] = bytes(100)
    path.write_bytes(data)
    page = page_of(tmp_path / "s", tmp_path)
    blank, whole = page.json("data-0"), page.json("data-1")
    assert (blank["height"], blank["width"], blank["maps"]) == (1, 1, [])
    assert (whole["height"], len(whole["maps"])) == (SIZE[0], 5)
    assert second in text_of(tmp_path / "s", tmp_path)


def test_rows_of_errors_and_undefined_numbers(tmp_path):
    def fails(rgb):
        raise ValueError(SCRIPT)

    evaluate(
        {"fails": fails, "flat": lambda rgb: np.zeros((len(rgb), 2, 2))},
        [report_studies.images(1)[0], tmp_path / "missing.png"],
        report_studies.masks(2), out=tmp_path / "s", views=True,
    )  # fmt: skip
    page = page_of(tmp_path / "s", tmp_path)
    assert page.rows("Images by status")[1:] == [["fails", "0", "2"], ["flat", "1", "1"]]
    assert page.rows("Means by method")[1][2:] == [*["–"] * 6, "no map"]
    table = page.json("table-data")
    errors = [values[table["columns"].index("error")] for values in table["rows"]]
    assert sum(SCRIPT in error for error in errors) == 1
    assert "No image has a MAP between chance and ideal." in words(page)
    [shown] = table["patches"]  # that of the image that was read
    [drawn] = page.json(f"data-{shown['number']}")["maps"]
    assert table["rows"][drawn["row"]][table["columns"].index("method")] == "flat"
    assert "1 could not be read" in words(page)


def test_maps_that_could_not_be_scored_are_left_out(tmp_path):
    methods = {"signed": lambda rgb: np.full((len(rgb), 2, 2), -1.0), **NOISE}
    report_studies.make(tmp_path / "s", 1, methods, negative="raise", perturbations=[])
    page = page_of(tmp_path / "s", tmp_path)
    assert page.rows("Images by status")[1] == ["signed", "1"]
    assert not page.json("data-0")["maps"]


def test_a_study_of_one_row(tmp_path):
    report_studies.make(tmp_path / "s", 1, NOISE)
    page = page_of(tmp_path / "s", tmp_path)
    assert "1 image · 1 method" in words(page)
    assert page.rows("Means by method")[1][1] == "1 of 1"
    assert "None beside the worst." in words(page)
    assert "No figures by magnification: the study does not give it." in words(page)


def test_the_scale_at_the_input_is_told(tmp_path):
    labels = {"magnification": ["40x", "40x"]}
    page = page_of_labels(labels, tmp_path / "a")
    assert "the study does not say what a pixel measures at the network’s input" in words(page)
    assert page.json("table-data")["labels"] == ["magnification"]
    page = page_of_labels(labels | {"input_um_per_pixel": [8 / 7, "1.143"]}, tmp_path / "b")
    told = "At the network’s input a pixel is 1.14 um/px (8.75x); magnification is that of the"
    assert told in words(page)
    assert "2 images · 1 method · at the network’s input 1.14 um/px (8.75x) · " in words(page)
    assert page.json("table-data")["labels"] == ["magnification"]
    page = page_of_labels({"input_um_per_pixel": [0.5, "coarse"]}, tmp_path / "c")
    assert "a pixel is 0.5 um/px (20x), some unknown." in words(page)
    page = page_of_labels({"score": ["0", "3+"]}, tmp_path / "d")
    assert "network’s input" not in words(page)


def page_of_labels(labels, folder):
    report_studies.make(folder / "s", 2, NOISE, labels=labels)
    return page_of(folder / "s", folder)


def test_fractions_and_regions(tmp_path, rng):
    mask, region = rng.random(SIZE), rng.random(SIZE) < 0.5
    cam = np.zeros(SIZE, np.float32)
    cam[0, :2] = 1, 0.29
    evaluate(
        {"edge": lambda rgb: cam[None]},
        report_studies.images(1), [mask], regions=[region], out=tmp_path / "s", views=True,
    )  # fmt: skip
    data = page_of(tmp_path / "s", tmp_path).json("data-0")
    assert (unpacked(data["mask"], "<f8").reshape(SIZE) == mask).all()
    assert (np.unpackbits(unpacked(data["region"], np.uint8)).reshape(SIZE) == region).all()
    levels = levels_of(data["maps"][0]["map"], SIZE)
    assert levels[0, :3].tolist() == [100, 28, 0]  # in float64, as the mask asks for: 0.28999999
