"""The report: its numbers against single calls, what it escapes, what it makes of bad input."""

import base64
import hashlib
import math
import sys
import zlib
from datetime import UTC, datetime

import numpy as np
import pytest
import report_studies
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from parsed_page import Parsed
from report_studies import END, IMAGE, QUOTES, SCRIPT, SIZE

from membrane_xai import evaluate, map_score, shift_null, summarize
from membrane_xai._backend.resample import upsample
from membrane_xai.errors import InvalidInputError, MissingDependencyError
from membrane_xai.html_report import _chart, write_html_report
from membrane_xai.html_report._chart import Axis, above
from membrane_xai.html_report._encoding import encoded_cam, encoded_weights, jpeg
from membrane_xai.html_report._figures import context_chart, distribution_charts, ec_chart
from membrane_xai.html_report._gallery import chosen
from membrane_xai.html_report._series import (
    Patch,
    Series,
    by_image,
    cases_of,
    patches_of,
    series_of,
    summaries_of,
    values_of,
)
from membrane_xai.statistics import combine_nulls
from membrane_xai.study import read_study, read_view
from membrane_xai.study._summary import groups_of

pytest.importorskip("jinja2")

NOISE = {"noise": report_studies.METHODS["noise"]}
WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / SCRIPT.replace("/", "")
    report_studies.make(folder, 6)
    return folder


def text_of(study, tmp_path, **options):
    return write_html_report(study, tmp_path / "r.html", date=WHEN, **options).read_text("utf-8")


def page_of(study, tmp_path, **options):
    return Parsed(text_of(study, tmp_path, **options))


def words(page):
    [body] = page.all("body")
    return " ".join(body["text"].split())


# ---- What the page is --------------------------------------------------------------------------


def test_names_stay_text(study, tmp_path):
    page = page_of(study, tmp_path, title=SCRIPT, command=f"run {IMAGE}")
    assert page.all("title")[0]["text"] == SCRIPT == page.all("h1")[0]["text"]
    assert f"run {IMAGE}" in words(page)
    scripts = page.all("script")
    assert [one["attrs"].get("type") for one in scripts[:-1]] == ["application/json"] * 7
    assert scripts[-1]["attrs"] == {}
    assert "alert(1)" not in scripts[-1]["text"]
    assert [one["attrs"].get("id") for one in page.all("img")] == ["v-rgb", "v-dab"]
    ids = {row[0] for row in page.json("table-data")["rows"]}
    assert {SCRIPT, QUOTES, IMAGE} <= ids
    shown = {one["text"] for one in page.all("span") if one["attrs"].get("class") == "id"}
    assert {SCRIPT, QUOTES, IMAGE} <= shown
    assert END in page.rows("Means by method")[2][0]


def test_no_markup_that_the_policy_forbids(study, tmp_path):
    for one in page_of(study, tmp_path).elements:
        assert "style" not in one["attrs"]
        assert not [name for name in one["attrs"] if name.startswith("on")]
        for name in ("src", "href"):
            assert one["attrs"].get(name, "#").startswith(("#", "data:"))


def test_the_policy_allows_its_own_script_and_style_alone(study, tmp_path):
    text = text_of(study, tmp_path)
    page = Parsed(text)
    meta = page.all("meta")[1]["attrs"]
    assert meta["http-equiv"] == "Content-Security-Policy"

    def of(tag):
        inner = text.rpartition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = hashlib.sha256(inner.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    assert meta["content"].split("; ") == [
        "default-src 'none'",
        f"script-src {of('script')}",
        f"style-src {of('style')}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_the_same_study_gives_the_same_bytes(study, tmp_path):
    first = write_html_report(study, tmp_path / "a.html", date=WHEN)
    again = write_html_report(str(study), str(tmp_path / "new" / "b.html"), date=WHEN)
    assert first == tmp_path / "a.html"
    assert first.read_bytes() == again.read_bytes()
    other = write_html_report(study, tmp_path / "c.html", date=WHEN.replace(year=2027))
    assert first.read_text("utf-8").replace("2026-01-02 03:04 UTC", "2027-01-02 03:04 UTC") == (
        other.read_text("utf-8")
    )


def test_the_date_is_now_by_default(study, tmp_path):
    before = datetime.now(UTC).replace(second=0, microsecond=0)
    page = Parsed(write_html_report(study, tmp_path / "r.html", most=0).read_text("utf-8"))
    [line] = [one["text"] for one in page.all("p") if one["attrs"].get("class") == "sub"]
    shown = datetime.strptime(line.split(" · ")[2], "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
    assert before <= shown <= datetime.now(UTC)


def test_a_page_is_replaced_whole_or_not_at_all(study, tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    path.write_text("before")

    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr("membrane_xai.html_report.payload", fail)
    with pytest.raises(RuntimeError):
        write_html_report(study, path)
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["r.html"]


def test_the_default_title_names_the_folder(study, tmp_path):
    assert page_of(study, tmp_path).all("h1")[0]["text"] == f"Membrane audit: {study.name}"


def test_provenance(study, tmp_path):
    page = page_of(study, tmp_path, command="membrane-xai report x")
    shown = words(page)
    assert "membrane-xai report x" in shown
    keys = sorted({row["key"] for row in read_study(study).rows})
    assert f"sha256:{hashlib.sha256(chr(10).join(keys).encode()).hexdigest()}" in shown
    assert f"python {sys.version.split()[0]}, membrane-xai" in shown
    settings = dict(page.rows("Settings of the study"))
    assert settings["similarity"] == "pearson"
    assert settings["perturbations"].startswith("horizontal flip")
    assert "Research use only" in shown


def test_about_is_shown(tmp_path):
    report_studies.make(tmp_path / "s", 1, about={"<weights>": "sha256:12"})
    page = page_of(tmp_path / "s", tmp_path)
    assert ["about: <weights>", "sha256:12"] in page.rows("Settings of the study")


# ---- Numbers -----------------------------------------------------------------------------------


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
            cells[2:7], ("map", "chance", "ceiling", "relative", "ec"), strict=True
        ):
            used = mine if name in ("map", "relative", "ec") else scored
            want = summarize([r[name] for r in used], [r["group"] for r in used])
            shown = f"{shown_as(want.low)} to {shown_as(want.high)} small_sample"
            assert cell == f"{shown_as(want.mean)}{shown}"


def test_moved_maps_are_those_of_shift_null(tmp_path, rng):
    study = tmp_path / "s"
    report_studies.make(study, 6, regions=list(rng.random((6, *SIZE)) < 0.5), chance_test=True)
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
    assert page.rows("Means by method")[1][7] == f"{want.p_value:.3f}5 maps"


def test_chance_and_ceiling_are_of_images_that_have_a_map():
    rows = [row("a", group=1), row("b", group=2), row("c", group=3, chance=0.9, ceiling=1.0)]
    rows[2] |= {"map": math.nan, "relative": math.nan, "status": "no_activation"}
    [part] = summed([Series("m", rows, 0)])
    assert part["chance"] == pytest.approx(0.1)
    assert part["ceiling"] == pytest.approx(0.7)
    assert (part["ec_n"], part["map_n"], part["rows"]) == (3, 2, 3)


def test_maps_too_large_to_move_are_named(tmp_path):
    big = np.random.default_rng(0).integers(0, 256, (2, 70, 70, 3), np.uint8)
    evaluate(
        {"bright <i>": lambda rgb: rgb.mean(axis=-1)},
        big, big[..., 0] < 90, out=tmp_path / "s", chance_test=True,
    )  # fmt: skip
    page = page_of(tmp_path / "s", tmp_path)
    assert "Maps above 4096 pixels were not tested: bright <i>." in words(page)
    assert page.rows("Means by method")[1][7] == "–0 maps"


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
        "id", "group", "method", "score", "<b>", "status", "map", "chance", "ceiling", "relative",
    ]  # fmt: skip
    assert set(table["columns"]) - set(table["shown"]) == {"class", "flags", "error"}
    for got, want in zip(table["rows"], rows, strict=True):
        for value, expected in zip(got, want.values(), strict=True):
            undefined = isinstance(expected, float) and math.isnan(expected)
            assert value == (None if undefined else expected)
    assert [patch["number"] for patch in table["patches"]] == list(range(6))
    assert table["patches"][1]["rows"] == list(range(5, 10))


# ---- Images ------------------------------------------------------------------------------------


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
    ranked = [row for row in rows if math.isfinite(row["relative"]) and row["method"] == "noise"]
    least = min(ranked, key=lambda row: row["relative"])["key"]
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
    assert page.rows("Means by method")[1][2:] == ["–"] * 5
    table = page.json("table-data")
    errors = [values[table["columns"].index("error")] for values in table["rows"]]
    assert sum(SCRIPT in error for error in errors) == 1
    assert "No image has a relative MAP." in words(page)
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


# ---- Series and cases --------------------------------------------------------------------------


def row(key, method="m", label=None, relative=0.5, group=None, **more):
    return {"id": key, "group": group, "method": method, "class": label, "map": 0.4, "chance": 0.1,
            "ceiling": 0.7, "relative": relative, "status": "ok", "ec": 0.9, "key": key,
            **more}  # fmt: skip


def test_classes_are_apart_only_where_an_image_has_several():
    one_each = [row("a", label="0"), row("b", label="3+")]
    assert [one.name for one in series_of(one_each)] == ["m"]
    several = [row("a", label="0"), row("a", label="3+"), row("b", "n", "0"), row("b", label="0")]
    found = series_of(several)
    assert [(one.name, len(one.rows), one.number) for one in found] == [
        ("m, class 0", 2, 0), ("m, class 3+", 1, 1), ("n", 1, 2),
    ]  # fmt: skip


def test_rows_of_an_image_stay_together_in_the_order_of_methods():
    rows = [row("b", "m"), row("a", "m"), row("a", "n"), row("b", "n")]
    assert [(r["key"], r["method"]) for r in by_image(rows)] == [
        ("b", "m"), ("b", "n"), ("a", "m"), ("a", "n"),
    ]  # fmt: skip


def test_a_class_that_counts_as_false_is_a_class(tmp_path):
    found = series_of([row("a", label=0), row("a", label=1)])
    assert [one.name for one in found] == ["m, class 0", "m, class 1"]


def test_values_are_in_natural_order_and_not_too_many():
    rows = [row("a", score=value) for value in ("x10", "x2", None, "x2", math.nan, 40, 5)]
    assert values_of(rows, "score") == [5, 40, "x2", "x10"]
    assert values_of([row("a", score=x) for x in ("3+", "0", "2+", "1+")], "score") == [
        "0", "1+", "2+", "3+",
    ]  # fmt: skip
    assert len(values_of([row("a", n=i) for i in range(12)], "n")) == 12
    assert values_of([row("a", n=i) for i in range(13)], "n") == []


def test_groups_are_known_only_if_all_are():
    assert groups_of([row("a", group=0), row("b", group="x")]) == [0, "x"]
    assert groups_of([row("a", group="x"), row("b")]) is None
    assert groups_of([row("a", group="x"), row("b", group=math.nan)]) is None


@given(st.lists(st.floats(-1, 1) | st.just(math.nan), max_size=20), st.integers(1, 8))
def test_cases_are_the_ends_and_no_row_twice(values, count):
    rows = [row(f"{i:02}", relative=value) for i, value in enumerate(values)]
    low, high = cases_of(Series("m", rows, 0), count)
    known = sorted(x for x in values if not math.isnan(x))
    got = [r["relative"] for r in low], [r["relative"] for r in high]
    assert got[0] == known[: len(low)]
    assert got[1] == known[::-1][: len(high)]
    assert len(low) == min(count, -(-len(known) // 2))
    assert len(high) == min(count, len(known) - len(low))


# ---- Figures -----------------------------------------------------------------------------------


def test_positions_by_hand():
    axis = Axis(-1, 1)
    assert [axis.at(x) for x in (-1, 0, 1, 2, -3)] == [6, 220, 434, 434, 6]
    assert axis.ticks() == ((6, "−1"), (113, "−0.5"), (220, "0"), (327, "0.5"), (434, "1"))
    assert [text for _, text in Axis(0, 0.3).ticks()] == [
        "0", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3",
    ]  # fmt: skip
    assert [above(x) for x in ([0.31], [0.3], [1.7], [math.nan], [0.0])] == [0.4, 0.3, 1, 1, 0.1]


def test_numbers_as_text():
    shown = [_chart.number(x) for x in (-0.0004, -0.0006, 1.0, math.nan)]
    assert shown == ["0.000", "−0.001", "1.000", "–"]
    assert _chart.number(0.126, 2) == "0.13"


def test_long_names_are_cut_and_kept():
    cut = _chart.line("m" * 60, 0, 0, "")
    assert (cut.label, cut.full) == ("m" * 37 + "…", "m" * 60)
    whole = _chart.line("m" * 38, 0, 0, "")
    assert (whole.label, whole.full) == ("m" * 38, "")
    assert _chart.heading(3, "h" * 60).full == "h" * 60


def summed(series):
    return summaries_of(series, draws=10_000, seed=0)


def test_mean_between_chance_and_ceiling_by_hand():
    rows = [row("a", group=1), row("b", group=2), row("c", group=3)]
    chart = context_chart(summed([Series("m", rows, 0)]))
    axis = Axis(0, 0.7)
    [drawn] = chart.lines
    assert drawn.band == (axis.at(0.1), axis.at(0.7)) == (67.1, 434.0)
    assert drawn.dot == axis.at(0.4)
    assert drawn.note == "0.400"
    assert chart.text == "m: MAP 0.400, chance 0.100, ceiling 0.700."


def test_distributions_by_hand():
    values = [0.0, 0.1, 0.2, 0.3, 0.4]
    rows = [row(str(i), score="0", relative=x) for i, x in enumerate(values)]
    rows += [row("x", score="3+", relative=-2.0)]
    maps, relative = distribution_charts([Series("m", rows, 0)], "score")
    assert (maps.axis, relative.axis) == ("MAP", "relative MAP")
    assert [one.label for one in relative.lines] == ["score 0", "m", "score 3+", "m"]
    axis = Axis(-1, 1)
    first, last = relative.lines[1], relative.lines[3]
    assert first.whisker == (axis.at(0.1), axis.at(0.3))
    assert first.middle == axis.at(0.2)
    assert [x for x, _ in first.points] == [axis.at(x) for x in values]
    assert first.note == "median 0.200, n 5"
    assert last.note == "1 further left, median −2.000, n 1"
    assert {name: x for x, name in maps.lines[1].marks} == {
        "chance": Axis(0, 0.7).at(0.1), "ceiling": Axis(0, 0.7).at(0.7),
    }  # fmt: skip
    assert not relative.lines[1].marks
    assert [one.y for one in relative.lines] == [0, 28, 80, 108]
    assert relative.height == 160 + 36


def test_many_values_are_a_histogram():
    values = [0.01] * 30 + [0.99] * 15
    rows = [row(str(i), relative=x) for i, x in enumerate(values)]
    chart = distribution_charts([Series("m", rows, 0)], None)[1]
    [drawn] = chart.lines
    assert drawn.area == "M6 0V-16.0H16.7V0z M423.3 0V-8.0H434V0z"
    assert not drawn.points


def test_undefined_scores_are_drawn_as_words():
    rows = [row("a", relative=math.nan) | {"map": math.nan, "ec_flip": math.nan}]
    series = [Series("m", rows, 0)]
    assert distribution_charts(series, None)[0].lines[0].note == "none of 1 defined"
    assert context_chart(summed(series)).lines[0].note == "undefined"
    assert ec_chart(summed(series), ["ec_flip"]) is None
    assert ec_chart(summed([Series("m", [row("a")], 0)]), []) is None


def test_consistency_by_perturbation():
    rows = [row(str(i), group=i) | {"ec_flip": x, "ec_blur_um": math.nan}
            for i, x in enumerate([-0.2, 0.2, 0.6])]  # fmt: skip
    chart = ec_chart(summed([Series("m", rows, 3)]), ["ec_flip", "ec_blur_um"])
    assert [one.label for one in chart.lines] == ["flip", "m", "blur um", "m"]
    drawn, undefined = chart.lines[1], chart.lines[3]
    want = summarize([-0.2, 0.2, 0.6], [0, 1, 2])
    low = -1 if want.low < -0.5 else -0.5
    assert drawn.dot == Axis(low, 1).at(0.2)
    assert drawn.whisker == (Axis(low, 1).at(want.low), Axis(low, 1).at(want.high))
    assert (drawn.note, drawn.number) == ("0.200, n 3", 3)
    assert (undefined.note, undefined.dot) == ("undefined", None)


def test_every_figure_has_title_and_description(study, tmp_path):
    page = page_of(study, tmp_path)
    figures = page.all("svg")
    assert len(figures) == 1 + 2 * 3 + 1  # means; by method, score and <b>; EC
    for one in figures:
        title, text = one["attrs"]["aria-labelledby"].split()
        assert one["attrs"]["role"] == "img"
        assert page.by_id(title)["text"]
        assert "noise" in page.by_id(text)["text"]


# ---- Bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [-1, 1.5, "10", None, True])
def test_most_is_checked(study, tmp_path, most):
    with pytest.raises(InvalidInputError, match=r"most is .*; it takes a non-negative integer"):
        write_html_report(study, tmp_path / "r.html", most=most)


def test_no_study(tmp_path):
    with pytest.raises(InvalidInputError, match=r"study is '.*none'; no study has been kept there"):
        write_html_report(tmp_path / "none", tmp_path / "r.html")
    (tmp_path / "manifest.json").write_text('{"settings": {}, "numbers": []}')
    with pytest.raises(InvalidInputError, match=r"study is '.*'; it has no rows yet"):
        write_html_report(tmp_path, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_jinja_is_named_where_it_is_missing(study, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingDependencyError, match=r"membrane-xai\[report\]"):
        write_html_report(study, tmp_path / "r.html")
