"""Control masks and regions that a study makes: columns, summary, settings, errors."""

import math

import numpy as np
import pytest

from membrane_xai import CamGrid, alignment, evaluate, extract_membrane_mask, pool_mask
from membrane_xai.baselines import CONTROLS, control_masks, tumour_region
from membrane_xai.datasets import synthetic_her2
from membrane_xai.errors import InvalidInputError
from membrane_xai.study import read_study
from membrane_xai.tables import specificity_text


@pytest.fixture(scope="module")
def fields():
    return [synthetic_her2("3+", size=192, mpp=0.5, seed=seed) for seed in range(3)]


def _maps(fields, side):
    """Maps of the membrane, and of the insides of the stained cells."""
    found = {"membrane": [], "inside": []}
    for field in fields:
        stained = field.cells["id"][field.cells["intensity"] > 0]
        inside = np.isin(field.territories, stained) & ~field.membrane
        for name, mask in (("membrane", field.membrane), ("inside", inside)):
            found[name].append(pool_mask(mask, (side, side)).mask)
    return found


@pytest.mark.parametrize("placed", [False, True])
def test_columns_are_those_of_alignment_against_the_masks_of_the_library(fields, placed):
    images, masks = [x.rgb for x in fields], [x.membrane for x in fields]
    maps = _maps(fields, 24)
    region = np.arange(192 * 192).reshape(192, 192) < 192 * 150 if placed else None
    grid = CamGrid(8, 0, 192) if placed else None
    regions = [region] * 3 if placed else None
    rows = evaluate(
        maps, images, masks, mpp=0.5, controls=CONTROLS, regions=regions, grid=grid
    ).rows
    assert len(rows) == 6
    for row in rows:
        i = row["id"]
        made = control_masks(images[i], masks[i], mpp=0.5)
        for name in CONTROLS:
            found = alignment(
                maps[row["method"]][i], masks[i], region=region, against=made[name], grid=grid
            )
            assert row[f"told_{name}"] == found.specificity_status
            assert row[f"specificity_{name}"] == pytest.approx(found.specificity, nan_ok=True)


def test_the_summary_means_what_can_be_told(fields, tmp_path):
    images, masks = [x.rgb for x in fields], [x.membrane for x in fields]
    masks = [*masks[:2], np.zeros_like(masks[2])]
    study = evaluate(
        _maps(fields, 48), images, masks, mpp=0.5, controls=["inside"], groups=[*"abc"],
        out=tmp_path,
    )  # fmt: skip
    told = [row["told_inside"] for row in study.rows]
    assert told == ["ok", "ok", "ok", "ok", "empty_mask", "empty_mask"]
    right, wrong = study.summary()
    assert right["specificity_inside_n"] == wrong["specificity_inside_n"] == 2
    assert right["specificity_inside"] > 0.2 > -0.2 > wrong["specificity_inside"]
    values = [row["specificity_inside"] for row in study.rows if row["method"] == "membrane"]
    assert right["specificity_inside"] == pytest.approx(np.nanmean(values))
    again = read_study(tmp_path)
    empty = [row for row in again.rows if row["status"] == "empty_mask"]
    assert [math.isnan(row["specificity_inside"]) for row in empty] == [True, True]
    means = {row["method"]: row["specificity_inside"] for row in again.summary()}
    assert means["membrane"] == pytest.approx(right["specificity_inside"])
    assert again.settings["controls"] == ["inside"]


def test_a_grid_that_cannot_tell_says_so(fields):
    images, masks = [x.rgb for x in fields], [x.membrane for x in fields]
    masks = [*masks[:2], np.zeros_like(masks[2])]
    study = evaluate(_maps(fields, 2), images, masks, mpp=0.5, controls="inside")
    told = [row["told_inside"] for row in study.rows if row["method"] == "membrane"]
    assert told == ["cannot_tell", "cannot_tell", "empty_mask"]
    assert all(math.isnan(row["specificity_inside"]) for row in study.rows)
    found = study.summary()[0]
    assert (found["specificity_inside_n"], found["specificity_inside_cannot_tell"]) == (0, 2)
    assert specificity_text(found, "inside") == "cannot tell"
    [alone] = evaluate(
        {"m": [np.eye(4)]}, images[2:], masks[2:], mpp=0.5, controls="inside"
    ).summary()
    assert specificity_text(alone, "inside") == "undefined"  # no membrane is not too coarse a grid


def test_without_controls_there_are_no_columns(fields):
    [row] = evaluate({"m": [np.eye(4)]}, [fields[0].rgb], [fields[0].membrane]).rows
    assert not [name for name in row if name.startswith(("specificity", "told"))]


@pytest.mark.parametrize("regions", ["tissue", "tumour"])
def test_regions_are_made_for_masks_that_are_given(fields, regions):
    field = fields[0]
    cam = np.random.default_rng(0).random((6, 6))
    [row] = evaluate({"m": [cam]}, [field.rgb], [field.membrane], mpp=0.5, regions=regions).rows
    region = {
        "tissue": extract_membrane_mask(field.rgb, mpp=0.5).tissue,
        "tumour": tumour_region(field.rgb, field.membrane, mpp=0.5),
    }[regions]
    found = alignment(cam, field.membrane, region=region)
    assert (row["map"], row["chance"]) == pytest.approx((found.map, found.chance))
    assert row["chance"] != pytest.approx(field.membrane.mean())


def test_the_tumour_of_a_field_without_stain_is_an_empty_region(fields):
    empty = np.zeros_like(fields[0].membrane)
    [row] = evaluate({"m": [np.eye(4)]}, [fields[0].rgb], [empty], mpp=0.5, regions="tumour").rows
    assert row["status"] == "empty_region"


def test_pixel_size_unknown_is_an_error_of_the_image(fields):
    field = fields[0]
    [row] = evaluate({"m": [np.eye(4)]}, [field.rgb], [field.membrane], controls=["nuclei"]).rows
    assert (row["status"], row["told_nuclei"]) == ("error", "error")
    assert "controls takes it in micrometres per pixel" in row["error"]


@pytest.mark.parametrize("controls", [["cells"], ["inside", "inside"]])
def test_unknown_controls_are_refused(fields, controls):
    with pytest.raises(InvalidInputError, match="it takes names of"):
        evaluate({"m": [np.eye(4)]}, [fields[0].rgb], [fields[0].membrane], controls=controls)


def test_labels_must_not_look_like_controls(fields):
    for name in ("specificity_x", "told_x"):
        with pytest.raises(InvalidInputError, match="which the table has already"):
            evaluate({"m": [np.eye(4)]}, [fields[0].rgb], [fields[0].membrane], labels={name: [1]})
