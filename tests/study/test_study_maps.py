"""Studies of maps that there are already: arrays and files in the place of explainers."""

import numpy as np
import pytest

from membrane_xai import alignment, evaluate
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb import horizontal_flip
from membrane_xai.study import read_study, read_view
from membrane_xai.study._finished import prune_rows
from membrane_xai.study._views import remove_views


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (3, 8, 8, 3), np.uint8)


@pytest.fixture
def masks(rng):
    return rng.random((3, 8, 8)) > 0.6


@pytest.fixture
def maps(rng):
    return rng.random((3, 4, 4))


def plain(rows):
    return [{k: v for k, v in row.items() if k != "key"} for row in rows]


@pytest.mark.parametrize("form", ["array", "list", "generator", "channel", "paths", "texts"])
def test_maps_give_what_an_explainer_of_them_gives(form, images, masks, maps, tmp_path):
    paths = [tmp_path / f"{i}.npy" for i in range(3)]
    for path, one in zip(paths, maps, strict=True):
        np.save(path, one)
    given = {
        "array": maps,
        "list": list(maps),
        "generator": (one for one in maps),
        "channel": maps[:, None],
        "paths": paths,
        "texts": [str(path) for path in paths],
    }[form]
    found = evaluate({"m": given}, images, masks).rows
    expected = evaluate({"m": lambda rgb: maps[: len(rgb)]}, images, masks).rows
    np.testing.assert_equal(plain(found), plain(expected))
    assert found[1]["map"] == alignment(maps[1], masks[1]).map


def test_torch_maps(images, masks, maps):
    torch = pytest.importorskip("torch")
    rows = evaluate({"m": torch.as_tensor(maps)}, images, masks).rows
    assert rows[2]["map"] == pytest.approx(alignment(maps[2], masks[2]).map)


def test_the_class_of_a_map_is_its_target(images, masks, maps, tmp_path):
    rows = evaluate(
        {"m": maps}, images, masks, targets=["a", None, 3], out=tmp_path, views=True
    ).rows
    assert [row["class"] for row in rows] == ["a", None, 3]
    assert list(read_view(tmp_path, rows[0]["key"]).maps["m"]) == ["a"]


def test_none_is_no_row_and_the_others_go_on(images, masks, maps):
    other = [maps[0], None, maps[2]]
    rows = evaluate({"m": maps, "other": other}, images, masks).rows
    assert [(row["id"], row["method"]) for row in rows] == [
        (0, "m"), (0, "other"), (1, "m"), (2, "m"), (2, "other")
    ]  # fmt: skip


@pytest.mark.parametrize("bad", [np.ones(4), np.ones((2, 4, 4)), np.ones((4, 4), complex), "x.npy"])
def test_a_bad_map_is_a_row(bad, images, masks, maps):
    rows = evaluate({"m": [maps[0], bad, maps[2]]}, images, masks).rows
    assert [row["status"] for row in rows] == ["ok", "error", "ok"]
    assert rows[1]["error"]
    assert rows[1]["mask_share"] == masks[1].mean()


def test_maps_and_explainers_together(images, masks, maps):
    rows = evaluate({"maps": maps, "call": lambda rgb: rgb.mean(axis=-1)}, images, masks).rows
    assert [row["method"] for row in rows] == ["maps", "call"] * 3
    assert {row["status"] for row in rows} == {"ok"}


@pytest.mark.parametrize(
    ("explainers", "message"),
    [
        ({"m": 3}, "it takes names and callables, or N maps"),
        ({"m": "maps.npy"}, "it takes names and callables, or N maps"),
        ({}, "it takes a mapping from names to callables or maps, not empty"),
        ({3: [1]}, "it takes names and callables, or N maps"),
    ],
)
def test_what_is_neither(explainers, message, images, masks):
    with pytest.raises(InvalidInputError, match=message):
        evaluate(explainers, images, masks)


def test_maps_have_no_perturbed_views(images, masks, maps):
    with pytest.raises(InvalidInputError, match=r"explainers\['m'\] is maps; EC under"):
        evaluate({"m": maps}, images, masks, perturbations=[horizontal_flip()])


@pytest.mark.parametrize("count", [2, 4])
def test_as_many_maps_as_images(count, images, masks, rng):
    with pytest.raises(InvalidInputError, match=r"explainers\['m'\] has"):
        evaluate({"m": rng.random((count, 4, 4))}, images, masks)


def test_another_map_is_scored_again_and_the_same_is_not(images, masks, maps, tmp_path):
    first = evaluate({"m": maps}, images, masks, out=tmp_path).rows
    np.testing.assert_equal(evaluate({"m": maps}, images, masks, out=tmp_path).rows, first)
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == len(first)
    changed = maps.copy()
    changed[1] += 1
    rows = evaluate({"m": changed}, images, masks, out=tmp_path).rows
    assert [row["key"] == old["key"] for row, old in zip(rows, first, strict=True)] == [
        True, False, True
    ]  # fmt: skip
    assert rows[1]["map"] == alignment(changed[1], masks[1]).map


def test_rows_of_what_is_gone_are_left_out_for_good(images, masks, maps, tmp_path):
    first = evaluate({"m": maps, "n": maps}, images, masks, out=tmp_path, views=True).rows
    kept = [(row["key"], row["method"]) for row in first[1:4]]  # n of 0, m and n of 1
    assert prune_rows(tmp_path, kept) == {first[4]["key"]}
    found = sorted(read_study(tmp_path).rows, key=lambda row: (row["id"], row["method"]))
    np.testing.assert_equal(found, first[1:4])
    assert prune_rows(tmp_path, kept) == set()
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == len(kept)
    remove_views(tmp_path, {first[4]["key"], "..", "."})
    assert (tmp_path / "manifest.json").exists()
    assert {path.name for path in (tmp_path / "views").iterdir()} == {key for key, _ in kept}
    again = evaluate({"m": maps, "n": maps}, images, masks, out=tmp_path, views=True).rows
    np.testing.assert_equal(again, first)


def test_leaving_out_rows_survives_a_stop(images, masks, maps, tmp_path, monkeypatch):
    first = evaluate({"m": maps}, images, masks, out=tmp_path, batch_size=1).rows

    def stop(path, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", stop)
        with pytest.raises(KeyboardInterrupt):
            prune_rows(tmp_path, {(first[0]["key"], "m")})
    assert sorted(row["id"] for row in read_study(tmp_path).rows) == [0, 1, 2]
    prune_rows(tmp_path, {(first[0]["key"], "m")})
    assert [row["id"] for row in read_study(tmp_path).rows] == [0]
