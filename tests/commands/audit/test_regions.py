"""Where pixels count in an audit, and control masks."""

import numpy as np
import pytest
from audit_files import assert_scores, audit, document, save_image, save_npy, table
from shapely import box

from membrane_xai import alignment, extract_membrane_mask
from membrane_xai.annotations import Annotation, write_geojson
from membrane_xai.baselines import CONTROLS, control_masks, tumour_region
from membrane_xai.cli import main
from membrane_xai.datasets import synthetic_her2

CAM = np.random.default_rng(3).random((8, 8))


@pytest.fixture(scope="module")
def field():
    return synthetic_her2("3+", size=128, mpp=0.5, seed=2)


@pytest.fixture
def folder(tmp_path, field):
    save_image(tmp_path / "images" / "a.png", field.rgb)
    save_npy(tmp_path / "cams" / "a.npy", CAM)
    return tmp_path


def test_by_default_tissue_counts_and_all_controls_are_there(folder, field, capsys):
    given = ["--images", folder / "images", "--cams", folder / "cams", "--out", folder / "out"]
    assert main(["audit", *map(str, given), "--mpp", "0.5", "--no-report"]) == 0
    [row] = table(folder)
    found = extract_membrane_mask(field.rgb, mpp=0.5)
    assert_scores(row, alignment(CAM, found.mask, region=found.tissue))
    made = control_masks(field.rgb, found.mask, mpp=0.5)
    for name in CONTROLS:
        expected = alignment(CAM, found.mask, region=found.tissue, against=made[name])
        assert row[f"told_{name}"] == expected.specificity_status
    record = document(folder, "results.json")["provenance"]
    assert record["parameters"]["regions"] == "tissue"
    assert record["parameters"]["controls"] == list(CONTROLS)
    assert "specificity against inside" in capsys.readouterr().out


def test_the_tumour_by_territories(folder, field):
    assert audit(folder, "--regions", "tumour", "--controls") == 0
    [row] = table(folder)
    mask = extract_membrane_mask(field.rgb, mpp=0.5).mask
    assert_scores(row, alignment(CAM, mask, region=tumour_region(field.rgb, mask, mpp=0.5)))
    assert "told_inside" not in row


def test_the_tumour_by_outlines(folder):
    membrane, tumour = box(0, 0, 10, 128), box(0, 0, 64, 128)
    shapes = [Annotation(membrane, "Membrane"), Annotation(tumour, "Tumour")]
    write_geojson(folder / "outlines" / "a.geojson", shapes)
    given = ["--annotations", folder / "outlines", "--annotation-class", "Membrane"]
    given += ["--regions", "tumour", "--region-class", "Tumour", "--controls"]
    assert audit(folder, *given, mpp=None) == 0
    [row] = table(folder)
    mask, region = np.zeros((2, 128, 128), bool)
    mask[:, :10] = region[:, :64] = True
    assert_scores(row, alignment(CAM, mask, region=region))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--region-class", "Tumour"], "--region-class goes with --annotations and --regions tum"),
        (["--regions", "tissue"], "give --mpp"),
    ],
)
def test_what_does_not_go_together_is_said_at_the_start(folder, given, words, capsys):
    assert audit(folder, *given, mpp=None) == 1
    assert words in capsys.readouterr().err
    assert not (folder / "out").exists()
