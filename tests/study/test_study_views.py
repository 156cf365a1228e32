"""Views that a study keeps, and the EC of the maps in them."""

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from study_cases import METHODS

from membrane_xai import ec_score, evaluate
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb import horizontal_flip
from membrane_xai.study import class_consistency, read_study, read_view
from membrane_xai.study._consistency import consistency_of
from membrane_xai.study._summary import parts_of_columns
from membrane_xai.study._views import read_kept_cam


def test_class_consistency_reads_each_map_twice(images, masks, tmp_path, monkeypatch):
    targets, groups = ["0", "3+", "0", "3+", "0"], list("aabbc")
    methods = {name: (lambda rgb, _, f=f: f(rgb)) for name, f in METHODS.items()}
    methods["fails"] = lambda rgb, _: rgb[:, :0]
    study = evaluate(methods, images, masks, targets=targets, groups=groups, out=tmp_path,
                     views=True)  # fmt: skip
    read = Counter()

    def counted(out, *place):
        read[place] += 1
        return read_kept_cam(out, *place)

    monkeypatch.setattr("membrane_xai.study._consistency.read_kept_cam", counted)
    parts = parts_of_columns(study.rows, ["class", "group"])
    found = {
        (row["method"], row["by"], row["value"]): row for row in consistency_of(parts, tmp_path)
    }
    assert set(read.values()) == {2}
    assert len(read) == 10
    for method, explain in METHODS.items():
        cams = explain(np.asarray(images))
        for by, value, chosen in (
            ("all", "", [0, 1, 2, 3, 4]), ("class", "0", [0, 2, 4]), ("class", "3+", [1, 3]),
            ("group", "a", [0, 1]), ("group", "c", [4]),
        ):  # fmt: skip
            row = found[method, by, value]
            assert row["cams"] == len(chosen)
            expected = ec_score(cams[chosen]) if len(chosen) > 1 else math.nan
            assert row["ec"] == pytest.approx(expected, nan_ok=True)
    assert found["coarse", "all", ""]["grid"] == "4x4"
    order = [(row["by"], row["value"]) for row in consistency_of(parts, tmp_path)]
    of_groups = [("group", name) for name in "abc"]
    assert order[:6] == [("all", ""), ("class", "0"), ("class", "3+"), *of_groups]
    by_class = class_consistency(study.rows, tmp_path)
    assert [(row["method"], row["class"]) for row in by_class] == [
        (method, label) for label in ("0", "3+") for method in METHODS
    ]  # as the rows come, image by image
    assert by_class[0]["ec"] == found["darkness", "class", "0"]["ec"]


def test_class_consistency_without_views(images, masks, tmp_path):
    rows = evaluate(METHODS, images, masks, out=tmp_path).rows
    with pytest.raises(InvalidInputError, match="no map by 'darkness' was kept of such an image"):
        class_consistency(rows, tmp_path)


def test_views_keep_what_was_scored(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (2, 8, 8, 3), np.uint8)
    masks = rng.random((2, 8, 8)) < 0.5
    regions = rng.random((2, 8, 8)) < 0.9

    def one(rgb: np.ndarray) -> np.ndarray:
        return rgb[:, ::4, ::4, 0].astype(np.float32)

    def by_class(rgb: np.ndarray, targets: list[str]) -> dict[str, np.ndarray]:
        return {"a": one(rgb), "b": -one(rgb)}

    methods = {"one/../": lambda rgb, targets: one(rgb), "by class": by_class}
    out = tmp_path / "out"
    result = evaluate(
        methods, images, masks, regions=regions, targets=["t", "u"], out=out, views=True,
        perturbations=[horizontal_flip()],
    )  # fmt: skip
    for i, key in enumerate(dict.fromkeys(row["key"] for row in result.rows)):
        view = read_view(out, key)
        np.testing.assert_array_equal(view.rgb, images[i])
        np.testing.assert_array_equal(view.mask, masks[i])
        np.testing.assert_array_equal(view.region, regions[i])
        assert set(view.maps) == set(methods)
        np.testing.assert_array_equal(view.maps["one/../"]["tu"[i]], one(images[i : i + 1])[0])
        np.testing.assert_array_equal(view.maps["by class"]["b"], -one(images[i : i + 1])[0])
        assert view.maps["by class"]["a"].dtype == np.float32
    assert {path.parent.parent for path in tmp_path.rglob("*.npz")} == {out / "views"}
    assert sorted(map(str, read_study(out).rows)) == sorted(map(str, result.rows))
    manifest = json.loads((out / "manifest.json").read_text())
    assert read_study(out).settings == manifest["settings"] | {
        "draws": 10_000,
        "seed": 0,
        "grids": dict.fromkeys(methods),
    }


def test_views_without_a_folder() -> None:
    with pytest.raises(InvalidInputError, match="views is True, but out is None"):
        evaluate(
            {"m": lambda rgb: rgb[..., 0]}, [np.zeros((4, 4, 3), np.uint8)], "extract", views=True
        )


def test_views_of_no_image(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    (out / "views").mkdir(parents=True)
    elsewhere.mkdir()
    np.savez(elsewhere / "image.npz", rgb=0, mask=0)
    for key in ("0123", "../../elsewhere", ""):
        with pytest.raises(InvalidInputError, match="nothing was kept"):
            read_view(out, key)
