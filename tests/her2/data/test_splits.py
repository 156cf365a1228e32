"""Splits: complete, disjoint by group, stratified, repeatable, and refused where they would lie."""

import itertools
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from her2_models.data import Manifest, Record, check, discover, split_manifest, write_splits
from membrane_xai.errors import InvalidInputError, MissingDependencyError


def counted(n=40, *, scores=(0, 1, 2, 3), split=None, **values):
    """Records of HER2-IHC-40x names, `n` of each score, in no order."""
    pairs = sorted(itertools.product(scores, range(n)), key=lambda pair: hash(pair) % 97)
    return Manifest(
        [
            Record(f"her2-{('0', '1+', '2+', '3+')[s]}-score_train_{i:02}.png", s, split, **values)
            for s, i in pairs
        ]
    )


@st.composite
def grouped(draw):
    """Records of many small groups, of one score each or of several."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=24, max_size=40))
    mixed = draw(st.booleans())
    records = []
    for number, size in enumerate(sizes):
        for i in range(size):
            score = (number + i * mixed) % 4
            records.append(Record(f"{number}_{i}.png", score, group=f"S{number}"))
    return Manifest(draw(st.permutations(records)))


def groups_of(records):
    return {record.whole_group for record in records}


@given(grouped(), st.integers(2, 4), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.25, 0.5]))
def test_folds_are_complete_and_never_cut_a_group(manifest, n_folds, seed, share):
    tested = Counter()
    for fold in range(n_folds):
        options = {"n_folds": n_folds, "fold": fold, "seed": seed, "validation_share": share}
        try:
            split = split_manifest(manifest, "kfold", **options)
        except InvalidInputError as error:
            if "a few groups hold most records" not in str(error):
                raise
            reject()  # rare cohorts cannot be cut so, and are refused
        assert [r.path for r in split.records] == [r.path for r in manifest.records]
        parts = split.by_split()
        assert sum(map(len, parts.values())) == len(manifest)
        assert parts["train"]
        assert parts["test"]
        assert bool(parts["val"]) == bool(share)
        for one, other in itertools.combinations(parts.values(), 2):
            assert not groups_of(one) & groups_of(other)
        tested.update(record.path for record in parts["test"])
        assert check(split, decode=False).patient_safe == "yes"
    assert tested == Counter(record.path for record in manifest.records)  # each once


@given(st.integers(0, 1000), st.integers(2, 6))
def test_folds_are_stratified(seed, n_folds):
    records = [
        Record(f"{s}_{g}_{i}.png", s, group=f"{s}-{g}")
        for s in range(4)
        for g in range(5 * n_folds)
        for i in range(1 + s)
    ]
    split = split_manifest(Manifest(records), "kfold", n_folds=n_folds, seed=seed)
    # Groups are of one size in each score, so a fold can hold its exact share of each
    assert split.counts()["test"] == (5, 10, 15, 20)


@given(
    st.lists(st.integers(2, 60), min_size=1, max_size=4),
    st.floats(0.02, 0.5),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.integers(0, 2**32 - 1),
)
def test_blocks_are_runs_of_counters_in_each_score(sizes, share, validation, seed):
    records = [
        Record(f"her2-{s}-score_train_{i:03}.png", s) for s, n in enumerate(sizes) for i in range(n)
    ]
    split = split_manifest(
        Manifest(records), "blocks", test_share=share, validation_share=validation, seed=seed
    )
    for score, n in enumerate(sizes):
        marks = [record.split for record in split.records if record.score == score]
        runs = [(name, len(list(run))) for name, run in itertools.groupby(marks)]
        [tested] = [length for name, length in runs if name == "test"]
        assert tested == max(1, min(round(share * n), n - 1))
        # The validation run may lie around the test run
        assert sum(name == "val" for name, _ in runs) <= 2
        assert "train" in marks
        rest = n - tested
        assert marks.count("val") == (
            min(max(1, round(validation * rest)), rest - 1) if validation else 0
        )


def test_blocks_sort_by_counter_and_not_by_text():
    records = [Record(f"{i}_train_2+.png", 2) for i in (10, 9, 100, 11, 8, 99)]
    split = split_manifest(Manifest(records), "blocks", test_share=0.5, seed=3)
    order = sorted(split.records, key=lambda record: int(record.path.name.split("_")[0]))
    assert [name for name, _ in itertools.groupby(order, key=lambda r: r.split)].count("test") == 1


def test_series_of_counters_are_kept_apart():
    records = [
        Record(f"her2-0-score_{origin}_{i:02}.png", 0)
        for i in range(10)
        for origin in ("train", "test")
    ]
    split = split_manifest(Manifest(records), "blocks", test_share=0.25, seed=1)
    order = sorted(split.records, key=lambda r: r.path.name)  # test_00 .. test_09, train_00 ..
    assert [name for name, _ in itertools.groupby(order, key=lambda r: r.split)].count("test") == 1


def test_blocks_refuse_names_without_counter_and_groups():
    with pytest.raises(InvalidInputError, match=r"manifest has a.png, a name without a counter"):
        split_manifest(Manifest([Record("a.png", 0), Record("b.png", 0)]), "blocks")
    with pytest.raises(InvalidInputError, match="a run of counters would cut through groups"):
        split_manifest(counted(group="S1"), "blocks")


def test_the_last_image_of_a_score_stays_in_train():
    split = split_manifest(Manifest([Record("a_1.png", 0), Record("b_1.png", 3)]), "blocks")
    assert split.counts() == {"train": (1, 0, 0, 1)}


@pytest.mark.parametrize("scheme", ["kfold", "blocks"])
def test_seeds_repeat_and_differ(scheme):
    manifest = counted()
    options = {"allow_ungrouped": True, "validation_share": 0.2}
    first = split_manifest(manifest, scheme, seed=7, **options)
    assert split_manifest(manifest, scheme, seed=7, **options) == first
    other = split_manifest(manifest, scheme, seed=8, **options).by_split()
    for name, records in first.by_split().items():
        assert other[name] != records


def test_the_order_of_records_does_not_move_blocks():
    manifest = counted()
    turned = Manifest(manifest.records[::-1])
    first, second = (
        split_manifest(m, "blocks", seed=5, validation_share=0.1) for m in (manifest, turned)
    )
    assert set(first.records) == set(second.records)


def test_official_keeps_what_is_there():
    manifest = counted(split="train")
    assert split_manifest(manifest, "official").records == manifest.records
    with pytest.raises(
        InvalidInputError, match="160 of 160 records without a split: scheme 'official'"
    ):
        split_manifest(counted(), "official")


def test_origin_goes_by_the_token():
    records = [
        Record("her2-3+-score_train_1120.png", 3, "test"),
        Record("her2-3+-score_test_7.png", 3, "train"),
        Record("00003_test_2+.png", 2),
        Record("slide_test_9.png", 1),
        Record("Slide-Val-9.png", 1),
    ]
    split = split_manifest(Manifest(records), "origin")
    assert [record.split for record in split.records] == ["train", "test", "test", "test", "val"]
    for name in ("latest_9.png", "train_test_1.png", "testing_1.png"):
        with pytest.raises(InvalidInputError, match=f"1 of 6 records without the token .* {name}"):
            split_manifest(Manifest([*records, Record(name, 1)]), "origin")


def test_origin_cuts_no_group():
    records = [Record(f"S1_{token}_{i}.png", 0, group="S1") for token in ("train", "test")
               for i in range(2)]  # fmt: skip
    with pytest.raises(InvalidInputError, match="has group 'S1' in train and in test by the names"):
        split_manifest(Manifest(records), "origin")
    apart = [Record(r.path, 0, group=r.path.name[:6], source="mine") for r in records]
    assert split_manifest(Manifest(apart), "origin").counts() == {
        "train": (2, 0, 0, 0), "test": (2, 0, 0, 0)
    }  # fmt: skip


@given(st.integers(2, 30), st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.3, 0.5]))
def test_copies_of_an_image_stay_together(n, seed, share):
    """In any folder, under any label."""
    names = [f"her2-1+-score_train_{i:02}" for i in range(n)]
    places = [("a/{}.png", 1), ("b/{}.png", 1), ("a/{} (1).png", 1), ("c/{}.png", 3)]
    records = [Record(p.format(name), score) for p, score in places for name in names]
    for options in ({"scheme": "blocks", "test_share": share, "validation_share": 0.2},
                    {"scheme": "origin", "validation_share": share}):  # fmt: skip
        split = split_manifest(Manifest(records), seed=seed, **options)
        sides = {}
        for record in split.records:
            sides.setdefault(record.path.stem.removesuffix(" (1)"), set()).add(record.split)
        assert all(len(found) == 1 for found in sides.values())
        assert {"train"} in sides.values()
        held_out = sum(found != {"train"} for found in sides.values())
        assert held_out  # and no more of them than of single images
        alone = split_manifest(Manifest(records[:n]), seed=seed, **options)
        assert [r.split for r in split.records[:n]] == [r.split for r in alone.records]


@pytest.mark.parametrize("scheme", ["official", "origin", "blocks", "kfold"])
def test_validation_takes_nothing_of_test(scheme):
    records = [
        Record(f"her2-{s}-score_{origin}_{i:02}.png", s, origin)
        for s in range(4)
        for origin in ("train", "test")
        for i in range(20)
    ]
    manifest = Manifest(records)
    plain = split_manifest(manifest, scheme, allow_ungrouped=True)
    carved = split_manifest(manifest, scheme, allow_ungrouped=True, validation_share=0.25)
    assert carved.by_split()["test"] == plain.by_split()["test"]
    held = {record.path for record in carved.by_split()["val"]}
    assert held < {record.path for record in plain.by_split()["train"]}
    assert carved.counts()["val"] == tuple(round(n * 0.25) for n in plain.counts()["train"])


def test_validation_keeps_groups_whole():
    records = [
        Record(f"{g}_{i}.png", g % 4, "test" if g > 24 else "train", f"S{g}")
        for g in range(32)
        for i in range(3)
    ]
    parts = split_manifest(Manifest(records), "official", validation_share=0.2).by_split()
    assert len(parts["val"]) == 15
    assert not groups_of(parts["val"]) & groups_of(parts["train"])
    assert groups_of(parts["test"]) == {("folder", f"S{g}") for g in range(25, 32)}


def test_validation_of_partly_grouped_images_is_refused():
    records = [*counted(split="train").records, Record("x.png", 0, "train", "S1")]
    with pytest.raises(
        InvalidInputError, match=r"validation_share is 0.2: manifest has 160 of 161"
    ):
        split_manifest(Manifest(records), "official", validation_share=0.2)


def test_validation_of_names_without_counter_needs_leave():
    records = [Record(f"{'abcdefgh'[i]}{s}x.png", s, "train") for s in range(4) for i in range(8)]
    manifest = Manifest(
        [
            Record(r.path.name.replace(str(r.score), "q" * r.score), r.score, "train")
            for r in records
        ]
    )
    with pytest.raises(InvalidInputError, match="a name without a counter"):
        split_manifest(manifest, "official", validation_share=0.25)
    split = split_manifest(manifest, "official", validation_share=0.25, allow_ungrouped=True)
    assert split.counts()["val"] == (2, 2, 2, 2)


def test_validation_once():
    manifest = counted(split="train")
    with pytest.raises(InvalidInputError, match="there is no training split"):
        split_manifest(counted(split="test"), "official", validation_share=0.1)
    once = split_manifest(manifest, "official", validation_share=0.1)
    with pytest.raises(InvalidInputError, match="there is a validation split already; it takes 0"):
        split_manifest(once, "official", validation_share=0.1)
    assert split_manifest(once, "official") == once  # and keeps how it was made


def test_ungrouped_folds_are_refused_with_the_reason():
    with pytest.raises(InvalidInputError, match="patches of one slide could lie on both sides"):
        split_manifest(counted(), "kfold")
    split = split_manifest(counted(), "kfold", allow_ungrouped=True)
    assert split.counts() == {"train": (32, 32, 32, 32), "test": (8, 8, 8, 8)}
    assert check(split, decode=False).patient_safe == "no: names carry no group"


def test_equal_group_names_of_two_sources_may_part():
    records = [
        Record(f"{source}{g}{s}.png", s, group=f"S{g}", source=source)
        for source in ("one", "two")
        for g in range(8)
        for s in range(4)
    ]
    parts = split_manifest(Manifest(records), "kfold", n_folds=4).by_split()
    assert len(groups_of(parts["test"])) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"scheme": "random"},
            "scheme is 'random'; it takes one of official, origin, kfold, blocks",
        ),
        ({"validation_share": 0.6}, "validation_share is 0.6; it takes a number from 0 to 0.5"),
        ({"validation_share": float("nan")}, "validation_share is nan"),
        (
            {"scheme": "blocks", "test_share": 0},
            "test_share is 0; it takes a number above 0 to 0.5",
        ),
        ({"seed": -1}, "seed is -1; it takes an integer from 0"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"n_folds": 1}, "n_folds is 1; it takes an integer from 2"),
        ({"n_folds": 2.5}, "n_folds is 2.5"),
        ({"fold": True}, "fold is True; it takes 0 to 4"),
        ({"fold": 5}, "fold is 5; it takes 0 to 4"),
        ({"n_folds": 41}, "40 records of score 0; it takes one for each of 41 folds"),
        ({"n_folds": 161}, "160 groups; it takes one for each of 161 folds"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InvalidInputError, match=message):
        split_manifest(counted(), **{"scheme": "kfold", "allow_ungrouped": True, **options})


def test_no_records():
    with pytest.raises(InvalidInputError, match="manifest has no records"):
        split_manifest(Manifest([]), "kfold")


def test_one_huge_group_leaves_no_fold_empty():
    records = [Record(f"a{i}.png", 0, group="big") for i in range(50)]
    records += [Record(f"b{i}.png", 0, group=f"S{i}") for i in range(2)]
    sizes = [
        split_manifest(Manifest(records), "kfold", n_folds=3, fold=fold).counts()["test"][0]
        for fold in range(3)
    ]
    assert sorted(sizes) == [1, 1, 50]


def test_an_empty_fold_would_be_refused(monkeypatch):
    from sklearn.model_selection import StratifiedGroupKFold

    nothing = [(np.arange(160), np.array([], int))] * 5
    monkeypatch.setattr(StratifiedGroupKFold, "split", lambda *args: nothing)
    with pytest.raises(InvalidInputError, match="fold is 0 of 5, and empty"):
        split_manifest(counted(), "kfold", allow_ungrouped=True)


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    with pytest.raises(MissingDependencyError, match=r"membrane-xai\[her2\]"):
        split_manifest(counted(), "kfold", allow_ungrouped=True)
    split_manifest(counted(), "blocks", validation_share=0.1)  # needs none


def test_splits_saved_beside_a_run_come_back(tmp_path):
    split = split_manifest(counted(), "blocks", validation_share=0.1, seed=3)
    path = write_splits(split, tmp_path / "run")
    back = discover(path)
    assert back.scheme == split.scheme == "blocks 0.2, seed 3; validation 0.1 of train, seed 3"
    assert [r.split for r in back.records] == [r.split for r in split.records]
    with pytest.raises(InvalidInputError, match="160 of 160 records without a split"):
        write_splits(counted(), tmp_path)
