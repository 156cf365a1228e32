"""EC0 and skill of a study: as of an explainer, through stops, in summaries; EC between classes."""

import math

import numpy as np
import pytest
from study_cases import EC_COLUMNS, METHODS, STEPS, Counting, same

from membrane_xai import EcAccumulator, ec_score, evaluate, perturbation_consistency, summarize
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb import Perturbation
from membrane_xai.study import class_consistency, read_study

KINDS = ("", "_geometric", "_photometric")
COLUMNS = [f"{name}{kind}" for kind in KINDS for name in ("ec_skill", "ec", "ec0")]


def coarse(rgb, _=None):
    return METHODS["coarse"](rgb)


def spot(rgb, _=None):
    one = np.outer(np.hanning(8), np.hanning(8))
    return np.repeat(one[None], len(rgb), axis=0)


@pytest.fixture
def many(rng):
    images = rng.integers(0, 256, (8, 8, 8, 3), np.uint8)
    return images, rng.random((8, 8, 8)) < 0.5


@pytest.mark.parametrize("kept", [False, True])
def test_a_study_has_what_the_explainer_has_alone(many, tmp_path, kept):
    images, masks = many
    targets, groups = list("ababbaab"), list("11223344")
    study = evaluate({"coarse": coarse, "spot": spot}, images, masks, targets=targets,
                     groups=groups, perturbations=STEPS, out=tmp_path if kept else None,
                     batch_size=3)  # fmt: skip
    names = list(study.rows[0])
    assert [name for name in names if name.startswith("ec")] == [
        *COLUMNS, *EC_COLUMNS, "ec_status",
    ]  # fmt: skip
    for method, explain in (("coarse", coarse), ("spot", spot)):
        rows = [row for row in study.rows if row["method"] == method]
        alone = perturbation_consistency(explain, images, STEPS, targets=targets, groups=groups)
        for kind, of in zip(KINDS, (alone, alone.geometric, alone.photometric), strict=True):
            for name in ("skill", "ec", "ec0"):
                column = [row[f"{'ec_skill' if name == 'skill' else name}{kind}"] for row in rows]
                np.testing.assert_allclose(column, getattr(of, name), atol=1e-12)
        assert [row["ec_status"] for row in rows] == alone.skill_status.tolist()
    assert {row["ec_status"] for row in rows} == {"ignores_image"}
    if kept:
        same(sorted(read_study(tmp_path).rows, key=str), sorted(study.rows, key=str))


def test_a_stopped_study_goes_on_to_the_same_skill(many, tmp_path):
    images, masks = many
    whole = evaluate({"m": coarse}, images, masks, perturbations=STEPS)
    stopping = Counting(stop=18)
    options = {"perturbations": STEPS, "out": tmp_path, "batch_size": 2}
    with pytest.raises(KeyboardInterrupt):
        evaluate({"m": lambda rgb: (stopping(rgb), coarse(rgb))[1]}, images, masks, **options)
    half = read_study(tmp_path).rows
    assert {row["ec_status"] for row in half} == {"unknown"}
    assert all(math.isnan(row["ec_skill"]) for row in half)
    again = Counting()
    done = evaluate({"m": lambda rgb: (again(rgb), coarse(rgb))[1]}, images, masks, **options)
    assert len(again.seen) == (8 - len(half)) * 4
    same(done.rows, whole.rows)
    same(read_study(tmp_path).rows, whole.rows)
    same(evaluate({"m": coarse}, images, masks, **options).rows, whole.rows)


def test_one_more_image_changes_the_zero_of_all(many, tmp_path):
    images, masks = many
    options = {"perturbations": STEPS, "out": tmp_path}
    before = evaluate({"m": coarse}, images[:5], masks[:5], **options).rows
    after = evaluate({"m": coarse}, images, masks, **options).rows
    assert before[0]["ec"] == after[0]["ec"]
    assert before[0]["ec0"] != after[0]["ec0"]


def test_a_bad_image_is_no_partner(many):
    images, masks = many
    broken = [*images[:4], np.zeros((8, 8), np.uint8)]
    rows = evaluate({"m": coarse}, broken, [*masks[:4], masks[4]], perturbations=STEPS).rows
    alone = evaluate({"m": coarse}, images[:4], masks[:4], perturbations=STEPS).rows
    assert [row["ec0"] for row in rows[:4]] == [row["ec0"] for row in alone]
    assert (rows[4]["status"], rows[4]["ec_status"]) == ("error", "no_ec")


def test_the_mean_skill_is_a_ratio_of_sums_with_the_interval_of_all_means(many):
    images, masks = many
    study = evaluate({"coarse": coarse, "spot": spot}, images, masks, groups=list("aabbccdd"),
                     perturbations=STEPS, draws=200)  # fmt: skip
    mine, ignoring = study.summary()
    rows = [row for row in study.rows if row["method"] == "coarse"]
    for kind in KINDS:
        ec, ec0 = ([row[f"{name}{kind}"] for row in rows] for name in ("ec", "ec0"))
        room = 1 - np.array(ec0)
        expected = (np.array(ec) - ec0).sum() / room.sum()
        assert mine[f"ec_skill{kind}"] == pytest.approx(expected, abs=1e-12)
        interval = summarize([row[f"ec_skill{kind}"] for row in rows], list("aabbccdd"),
                             weights=room, bounds=(-math.inf, 1), draws=200)  # fmt: skip
        assert mine[f"ec_skill{kind}_low"] == interval.low
    assert (mine["ec_ignores_image"], mine["ec_too_few_images"]) == (0, 0)
    assert (ignoring["ec_ignores_image"], ignoring["ec_skill_n"]) == (8, 0)
    assert math.isnan(ignoring["ec_skill"])


def test_names_that_are_taken(many):
    images, masks = many
    skill = Perturbation("skill", lambda rgb: rgb, lambda cam: cam)
    with pytest.raises(InvalidInputError, match="column would be 'ec_skill'"):
        evaluate({"m": coarse}, images, masks, perturbations=[skill])
    with pytest.raises(InvalidInputError, match="labels has 'ec0', which the table has already"):
        evaluate({"m": coarse}, images, masks, labels={"ec0": range(8)})


# EC among a class beside that between classes


def test_ec_between_classes_is_over_all_pairs_of_two_classes(many, tmp_path):
    images, masks = many
    targets = list("ababbaac")
    study = evaluate({"m": coarse}, images, masks, targets=targets, out=tmp_path, views=True)
    maps = coarse(images)
    for row in class_consistency(study.rows, tmp_path):
        mine = [i for i in range(8) if targets[i] == row["class"]]
        scores = [
            ec_score(np.stack([maps[i], maps[j]])) for i in mine for j in range(8) if j not in mine
        ]
        assert row["ec_between"] == pytest.approx(np.mean(scores), abs=1e-12)
        assert row["pairs_between"] == len(scores)


def test_classes_of_one_image_are_not_held_against_each_other(many, tmp_path):
    images, masks = many

    def classes(rgb):
        return {"0": METHODS["coarse"](rgb), "3+": rgb[:, ::2, ::2, 1] * 1.0}

    study = evaluate({"m": classes}, images[:4], masks[:4], out=tmp_path, views=True)
    maps = classes(images[:4])
    first, second = class_consistency(study.rows, tmp_path)
    scores = [
        ec_score(np.stack([maps["0"][i], maps["3+"][j]]))
        for i in range(4) for j in range(4) if i != j
    ]  # fmt: skip
    for row in (first, second):
        assert row["ec_between"] == pytest.approx(np.mean(scores), abs=1e-12)
        assert row["pairs_between"] == 12


def test_a_single_class_has_nothing_beside_it(many, tmp_path):
    images, masks = many
    study = evaluate({"m": coarse}, images, masks, out=tmp_path, views=True)
    [row] = class_consistency(study.rows, tmp_path)
    assert math.isnan(row["ec_between"])
    assert row["pairs_between"] == 0


def test_an_accumulator_tells_ec_between_groups(rng):
    maps = rng.random((9, 4, 4))
    maps[3], maps[8, 0, 0] = 1, np.nan
    groups = list("abcabcabc")
    whole = EcAccumulator().update(maps[:5], groups=groups[:5])
    whole.merge(EcAccumulator().update(maps[5:], groups=groups[5:]))
    found = whole.compute_between()
    for label, ec, pairs in zip(found.groups, found.ec, found.n_pairs, strict=True):
        scores = [
            ec_score(np.stack([maps[i], maps[j]]))
            for i in range(9) for j in range(9) if groups[i] == label != groups[j]
        ]  # fmt: skip
        assert ec == pytest.approx(np.nanmean(scores), abs=1e-12)
        assert pairs == np.isfinite(scores).sum()
    assert (found.n_pairs + found.n_undefined).tolist() == [18, 18, 18]
