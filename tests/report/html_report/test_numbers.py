"""The numbers of the page against single calls."""

import math

import numpy as np
import pytest
import report_studies
from report_pages import NOISE, page_of, words
from report_rows import row, summed
from report_studies import SIZE

from membrane_xai import evaluate, pool_mask, shift_null, summarize
from membrane_xai._backend.vocabulary import bounds_of
from membrane_xai.datasets import synthetic_her2
from membrane_xai.html_report._series import Series, by_image
from membrane_xai.statistics import combine_nulls
from membrane_xai.study import read_study, read_view

pytest.importorskip("jinja2")


def shown_as(value):
    return "–" if math.isnan(value) else f"{value:.3f}".replace("-", "−")


def test_the_summary_is_that_of_single_calls(study, tmp_path):
    rows = read_study(study).rows
    table = page_of(study, tmp_path).rows("Means by method")
    assert [cells[0] for cells in table[1:]] == list(report_studies.METHODS)
    for cells in table[1:]:
        mine = [row for row in rows if row["method"] == cells[0]]
        scored = [row for row in mine if row["status"] == "ok"]
        assert cells[1] == f"{len(scored)} of {len(mine)}" == "5 of 6"
        for cell, name in zip(
            [*cells[2:6], cells[7]],
            ("map", "chance", "ideal", "toward_ideal", "ec_skill_geometric"),
            strict=True,
        ):
            used = scored if name in ("chance", "ideal") else mine
            values, groups = [r[name] for r in used], [r["group"] for r in used]
            room = [1 - r["ec0_geometric"] for r in used] if name == "ec_skill_geometric" else None
            want = summarize(values, groups, weights=room, bounds=bounds_of(name))
            shown = f"{shown_as(want.low)} to {shown_as(want.high)} small_sample"
            assert cell == f"{shown_as(want.mean)}{shown}"


def test_moved_maps_are_those_of_shift_null(tmp_path, rng):
    study = tmp_path / "s"
    report_studies.make(study, 6, regions=list(rng.random((6, *SIZE)) < 0.5), chance_test="shift")
    rows = [row for row in read_study(study).rows if row["method"] == "noise"]
    views = [read_view(study, row["key"]) for row in rows]
    found = shift_null(
        np.stack([view.maps["noise"][None] for view in views]),
        np.stack([view.mask for view in views]),
        region=np.stack([view.region for view in views]),
    )
    want = combine_nulls(found, [row["group"] for row in rows])
    assert want.n == 5
    page = page_of(study, tmp_path)
    assert page.rows("Means by method")[1][-1] == f"{want.p_value:.3f}5 maps"


def test_chance_and_ideal_are_of_images_that_have_a_map():
    rows = [row("a", group=1), row("b", group=2), row("c", group=3, chance=0.9, ideal=1.0)]
    rows[2] |= {"map": math.nan, "toward_ideal": math.nan, "status": "no_activation"}
    [part] = summed([Series("m", rows, 0)])
    assert part["chance"] == pytest.approx(0.1)
    assert part["ideal"] == pytest.approx(0.7)
    assert (part["ec_n"], part["map_n"], part["rows"]) == (3, 2, 3)


def test_maps_too_large_to_move_are_named(tmp_path):
    big = np.random.default_rng(0).integers(0, 256, (2, 70, 70, 3), np.uint8)
    evaluate(
        {"bright <i>": lambda rgb: rgb.mean(axis=-1)},
        big, big[..., 0] < 90, out=tmp_path / "s", chance_test=True,
    )  # fmt: skip
    page = page_of(tmp_path / "s", tmp_path)
    assert "Maps above 4096 pixels were not tested: bright <i>." in words(page)
    assert page.rows("Means by method")[1][-1] == "–0 maps no_maps"


def test_statuses_are_counted_in_order(study, tmp_path):
    table = page_of(study, tmp_path).rows("Images by status")
    assert table[0] == ["Method", "scored", "empty mask"]
    assert {tuple(line[1:]) for line in table[1:]} == {("5", "1")}


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        (None, "Intervals are over images, not patients:"),
        (["a"] * 3, "over 1 group as the study gives them"),
        (["a"] * 3, "few_groups: fewer than 3 groups have a score"),
        (["a", "b", None], "Intervals are over images, not patients:"),
        (["a", "b", "b"], "over 2 groups as the study gives them"),
        (["a", "b", "b"], "few_groups: fewer than 3 groups have a score"),
        (["a", "b", "c"], "small_sample: fewer than 10, so the interval is rough."),
        (None, "small_sample: fewer than 10, so the interval is rough."),
    ],
)
def test_the_page_says_what_intervals_are_over(tmp_path, groups, says):
    report_studies.make(tmp_path / "s", 3, NOISE, groups=groups)
    page = page_of(tmp_path / "s", tmp_path)
    assert says in words(page)
    cell = page.rows("Means by method")[1][2]
    few = groups is not None and None not in groups and len(set(groups)) < 3
    assert cell.endswith("few_groups" if few else "small_sample")
    assert (" to " in cell) != few


def test_enough_groups_are_not_marked(tmp_path):
    report_studies.make(tmp_path / "s", 12, NOISE, groups=range(12), perturbations=[])
    said = words(page_of(tmp_path / "s", tmp_path))
    assert "few_groups" not in said  # not for EC either, of which there is none
    assert "small_sample" not in said


def test_the_table_has_every_row(study, tmp_path):
    table = page_of(study, tmp_path).json("table-data")
    rows = by_image(read_study(study).rows)
    assert table["columns"] == list(rows[0])
    assert table["labels"] == ["score", "<b>"]
    assert table["shown"][:10] == [
        "id", "group", "method", "score", "<b>", "status", "toward_ideal", "map", "chance", "ideal",
    ]  # fmt: skip
    assert set(table["columns"]) - set(table["shown"]) == {"class", "cam_grid", "flags", "error"}
    for got, want in zip(table["rows"], rows, strict=True):
        for value, expected in zip(got, want.values(), strict=True):
            undefined = isinstance(expected, float) and math.isnan(expected)
            assert value == (None if undefined else expected)
    assert [patch["number"] for patch in table["patches"]] == list(range(6))
    assert table["patches"][1]["rows"] == list(range(5, 10))


def test_specificity_has_a_column_for_each_control(tmp_path):
    """A grid that tells, and a single cell, which does not."""
    fields = [synthetic_her2("3+", size=128, mpp=0.5, seed=seed) for seed in range(4)]
    maps = {
        f"{side}": [pool_mask(field.membrane, (side, side)).mask for field in fields]
        for side in (64, 1)
    }
    study = evaluate(
        maps, [field.rgb for field in fields], [field.membrane for field in fields], mpp=0.5,
        groups=list("abcd"), controls=["inside"], out=tmp_path / "s", views=True,
    )  # fmt: skip
    page = page_of(tmp_path / "s", tmp_path)
    heads, fine, coarse = page.rows("Means by method")
    place = heads.index("Specificity, inside")
    [mean, _] = study.summary()
    assert fine[place].startswith(f"{mean['specificity_inside']:.3f}")
    assert coarse[place] == "–"
    assert "a dash says that none can" in words(page)
    assert "By told_inside" not in words(page)  # which is no label of images
