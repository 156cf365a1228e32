"""Where the cells of a study's maps lie: taken, kept in rows and views, and refused if changed."""

import json
import math

import numpy as np
import pytest
from study_cases import same

from membrane_xai import CamGrid, alignment, evaluate, perturbation_consistency, shift_null
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb import horizontal_flip, vertical_flip
from membrane_xai.study import StudyResult, read_study, read_view

RESNET = CamGrid(spacing=8, offset=0, size=32)
"""Four cells of a small ResNet: half a cell before half-pixel centres, but for half a pixel."""


@pytest.fixture
def cams(rng):
    return rng.random((3, 4, 4))


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (3, 32, 32, 3), np.uint8)


@pytest.fixture
def masks(rng):
    return rng.random((3, 32, 32)) < 0.2


class Explainer:
    """Maps that are there, with the grid of the network that made them."""

    def __init__(self, cams, grid):
        self.cams, self.grid = cams, grid

    def __call__(self, rgb):
        return self.cams[: len(rgb)]


def scores_of(rows, name="toward_ideal"):
    return [row[name] for row in rows]


def test_every_way_to_say_a_grid_scores_as_alignment_does(cams, images, masks):
    placed = alignment(cams, masks, grid=RESNET)
    plain = alignment(cams, masks)
    assert abs(placed.map - plain.map).min() > 1e-4
    ways = [
        ({"m": Explainer(cams, RESNET)}, None),
        ({"m": Explainer(cams, None)}, RESNET),
        ({"m": Explainer(cams, CamGrid(8, 1, 32))}, {"m": RESNET}),
        ({"m": list(cams)}, {"m": RESNET}),
    ]
    for explainers, grid in ways:
        rows = evaluate(explainers, images, masks, grid=grid, mpp=0.5).rows
        for name in ("map", "chance", "ideal", "toward_ideal", "ceiling", "coverage"):
            assert scores_of(rows, name) == getattr(placed, name).tolist()
        assert {(r["grid"], r["cam_grid"], r["cell_um"]) for r in rows} == {("4x4", "8,0,32", 4.0)}
    for explainers, grid in (
        ({"m": Explainer(cams, None)}, None),
        ({"m": Explainer(cams, RESNET)}, {"m": None}),
        ({"m": Explainer(cams, (7, 7))}, None),  # another library's attribute
    ):
        rows = evaluate(explainers, images, masks, grid=grid).rows
        assert scores_of(rows) == plain.toward_ideal.tolist()
        assert {(r["grid"], r["cam_grid"]) for r in rows} == {("4x4", "")}
        assert all(math.isnan(r["cell_um"]) for r in rows)


def test_half_pixel_centres_by_name_change_no_digit(cams, images, masks):
    half = CamGrid.half_pixel((4, 4), (32, 32))
    named = evaluate({"m": list(cams)}, images, masks, grid=half).rows
    plain = evaluate({"m": list(cams)}, images, masks).rows
    assert {row["cam_grid"] for row in named} == {"8,3.5,32"}
    same([{**row, "cam_grid": ""} for row in named], plain)


def test_cells_in_micrometres_by_hand(cams, images):
    """Cells of 8 x 16 px of 16 x 32, on an image of 32 x 32: 16 x 16 px of 0.25 um."""
    grid = CamGrid((8, 16), 0, (16, 32))
    rows = evaluate({"m": [np.ones((2, 2))]}, images[:1], [np.eye(32)], grid=grid, mpp=0.25).rows
    assert rows[0]["cell_um"] == pytest.approx(0.25 * 16)
    unpadded = CamGrid(8, 3.5, 30)  # the last six pixels of 30 have no cell of their own
    rows = evaluate({"m": [np.ones((3, 3))]}, images[:1], [np.eye(32)], grid=unpadded, mpp=3).rows
    assert rows[0]["cell_um"] == pytest.approx(3 * 8 * 32 / 30)
    rows = evaluate({"m": [np.ones((2, 4))]}, images[:1], [np.eye(32)], mpp=0.25).rows
    assert rows[0]["cell_um"] == pytest.approx(0.25 * math.sqrt(16 * 8))


def test_a_map_that_does_not_fit_is_an_error_of_its_row(images, masks):
    rows = evaluate({"m": [np.ones((9, 9))] * 3}, images, masks, grid=RESNET).rows
    assert {row["status"] for row in rows} == {"error"}
    assert "grid has room for 4x4 cells" in rows[0]["error"]
    assert {(row["grid"], row["cam_grid"]) for row in rows} == {("", "8,0,32")}


def test_wrong_grids_are_told(cams, images, masks):
    with pytest.raises(InvalidInputError, match=r"grid has 'n'; it takes methods among \['m'\]"):
        evaluate({"m": list(cams)}, images, masks, grid={"n": RESNET})
    with pytest.raises(InvalidInputError, match=r"grid is \(8, 0, 32\) for 'm'; it takes a"):
        evaluate({"m": list(cams)}, images, masks, grid=(8, 0, 32))


@pytest.mark.parametrize("region", [False, True])
def test_the_chance_test_moves_maps_over_the_cells_where_they_lie(cams, images, masks, rng, region):
    regions = list(rng.random((3, 32, 32)) < 0.6) if region else None
    rows = evaluate(
        {"m": list(cams)}, images, masks, regions=regions, grid=RESNET, chance_test="shift"
    ).rows
    weights = RESNET_WEIGHTS.T
    for i, row in enumerate(rows):
        inside = np.ones((32, 32)) if regions is None else regions[i] * 1.0
        whole = weights @ inside @ weights.T
        share = weights @ (inside * masks[i]) @ weights.T / whole
        found = shift_null(cams[i], share, region=whole / whole.max())
        assert found.score == pytest.approx(row["map"], abs=1e-12)
        assert row["p_value"] == found.p_value


def _weights():
    """U along one axis, of cells at 0, 8, 16, 24 of 32 pixels, written out."""
    found = np.zeros((32, 4))
    for pixel in range(32):
        place = min(pixel / 8, 3)
        low = min(int(place), 2)
        found[pixel, low], found[pixel, low + 1] = 1 - (place - low), place - low
    return found


RESNET_WEIGHTS = _weights()


def test_views_and_manifest_keep_it(cams, images, masks, tmp_path):
    explainers = {"placed": list(cams), "plain": list(cams)}
    out = tmp_path / "s"
    study = evaluate(explainers, images, masks, grid={"placed": RESNET}, out=out, views=True)
    view = read_view(out, study.rows[0]["key"])
    assert view.grids == {"placed": RESNET, "plain": None}
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["grids"] == {"placed": "8,0,32", "plain": None}
    assert read_study(out).settings["grids"] == study.settings["grids"] == manifest["grids"]
    by_method = {row["method"]: row for row in study.summary()}
    assert (by_method["placed"]["grid"], by_method["placed"]["cam_grid"]) == ("4x4", "8,0,32")
    [whole] = study.summary(by=("group",))
    assert (whole["grid"], whole["cam_grid"]) == ("4x4", "several")


def test_a_summary_has_the_cells_of_the_maps_that_are_there(images, masks):
    """Cells of 8 and 16 px of 0.5 um: 4 and 8 um; an image that cannot be read has none."""
    cams = [np.ones((4, 4)), np.ones((2, 2)), np.ones((4, 4))]
    study = evaluate({"m": cams}, [*images[:2], None], masks, groups=list("aba"), mpp=0.5)
    told = [(row["grid"], row["cell_um"]) for row in study.summary(by=("group",))]
    assert told == [("4x4", 4.0), ("2x2", 8.0)]
    [whole] = study.summary()
    assert (whole["grid"], whole["cam_grid"], whole["cell_um"]) == ("several", "", 6.0)
    no_size = [{**study.rows[0], "cell_um": math.nan}, study.rows[1]]
    assert StudyResult(no_size, {}).summary()[0]["cell_um"] == 8.0


def test_a_study_goes_on_with_the_same_grid_alone(cams, images, masks, tmp_path):
    out = tmp_path / "s"
    first = evaluate({"m": list(cams)}, images, masks, grid=RESNET, out=out)
    same(evaluate({"m": list(cams)}, images, masks, grid=RESNET, out=out).rows, first.rows)
    for other, text in ((CamGrid(8, 1, 32), "8,1,32"), (None, "half-pixel")):
        with pytest.raises(InvalidInputError, match=f"there grid.m is '8,0,32', now '{text}'"):
            evaluate({"m": list(cams)}, images, masks, grid=other, out=out)
    more = evaluate({"m": list(cams), "n": list(cams)}, images, masks, grid={"m": RESNET}, out=out)
    assert {row["cam_grid"] for row in more.rows if row["method"] == "n"} == {""}
    with pytest.raises(InvalidInputError, match=r"there grid.n is 'half-pixel', now '8,0,32'"):
        evaluate({"n": list(cams)}, images, masks, grid=RESNET, out=out)
    evaluate({"n": list(cams)}, images, masks, out=out)  # that of the other is not forgotten
    with pytest.raises(InvalidInputError, match=r"there grid.m is '8,0,32', now 'half-pixel'"):
        evaluate({"m": list(cams)}, images, masks, out=out)


def test_views_come_back_to_where_the_cells_lie(images, masks):
    """Samples at the centres of a ResNet's cells: flipped, they are of other pixels."""

    def sampled(rgb):
        return 255.0 - rgb[:, ::8, ::8].mean(axis=-1)

    smooth = np.linspace(0, 255, 32)[None, :, None, None] * np.ones((3, 32, 32, 3))
    steps = [horizontal_flip(), vertical_flip()]
    fields = smooth.astype(np.uint8)
    rows = evaluate({"m": sampled}, fields, masks, perturbations=steps, grid=RESNET).rows
    alone = perturbation_consistency(sampled, fields, steps, grid=RESNET)
    assert scores_of(rows, "ec") == alone.ec.tolist()
    plain = perturbation_consistency(sampled, images, steps)
    placed = perturbation_consistency(sampled, images, steps, grid=RESNET)
    assert not np.allclose(plain.ec, placed.ec)
    given = evaluate({"m": sampled}, images, masks, perturbations=steps, grid=RESNET).rows
    assert scores_of(given, "ec") == placed.ec.tolist()


def test_toward_ideal_of_a_set_by_hand():
    """MAP 0.5, 0.25; chance 0.25; ideals 0.75, 0.375: ratios 0.5 and 0, of sums 0.25 / 0.625."""
    rows = [
        {"method": "m", "group": None, "status": "ok", "map": m, "chance": 0.25, "ideal": ideal,
         "toward_ideal": (m - 0.25) / (ideal - 0.25)}
        for m, ideal in ((0.5, 0.75), (0.25, 0.375))
    ]  # fmt: skip
    rows.append(rows[0] | {"ideal": 0.25, "toward_ideal": math.nan})  # no room: it does not count
    rows.append(rows[0] | {"map": math.nan, "toward_ideal": math.nan, "status": "no_activation"})
    [found] = StudyResult(rows, {}).summary()
    assert (found["toward_ideal"], found["toward_ideal_of_sums"]) == (0.25, 0.25 / 0.625)
    assert (found["toward_ideal_n"], found["toward_ideal_of_sums_n"]) == (2, 2)
    assert found["toward_ideal_of_sums_note"] == "few_groups"
    assert "grid" not in found  # rows of one's own need none
