"""Whether slides lie on both sides of a split: what is known, what is said, and what is not."""

import itertools
from dataclasses import replace

import pytest
from data_sets import bci, her2_40x_zip
from hypothesis import given
from hypothesis import strategies as st

from her2_models.data import Manifest, Record, discover, leak_safety, split_manifest


def verdict(manifest):
    """Of a manifest: test against all else."""
    splits = manifest.by_split()
    learned = (*splits["train"], *splits["val"])
    return leak_safety(learned, splits["test"], scheme=manifest.scheme)


def grouped(*pairs, **values):
    return Manifest([
        Record(f"{i}_{split}.png", i % 4, split, group, **values)
        for i, (split, group) in enumerate(pairs)
    ])  # fmt: skip


def test_slides_are_compared_where_they_are_named():
    apart = grouped(("train", "a"), ("val", "b"), ("test", "c"))
    assert verdict(apart) == ("yes", "by slide")
    one = grouped(("train", "a"), ("test", "a"))
    assert verdict(one) == ("no", "1 slide or patient lies on both sides: a")
    by_way_of_val = grouped(("train", "a"), ("val", "b"), ("test", "b"))
    assert verdict(by_way_of_val).verdict == "no"
    three = grouped(*[(split, f"S{i}") for split in ("train", "test") for i in range(3)])
    assert verdict(three).reason == "3 slides or patients lie on both sides, such as S0"
    assert verdict(grouped(("train", "a"), ("test", None))) == (
        "unknown", "unknown: 1 of 2 images carry no slide"
    )  # fmt: skip
    assert verdict(grouped(("train", None), ("test", None))).reason == (
        "unknown: names carry no slide"
    )
    assert verdict(grouped(("train", "a"))).verdict == "unknown"


@given(
    st.lists(st.tuples(st.sampled_from(["train", "val", "test"]), st.integers(0, 5)), min_size=2)
)
def test_the_verdict_is_that_of_the_definition(pairs):
    """Of all pairs of a test image and another one, none is of one slide."""
    found = verdict(grouped(*[(split, f"S{slide}") for split, slide in pairs])).verdict
    tested = [slide for split, slide in pairs if split == "test"]
    learned = [slide for split, slide in pairs if split != "test"]
    shared = any(a == b for a, b in itertools.product(tested, learned))
    assert found == ("unknown" if not tested or not learned else "no" if shared else "yes")


def test_equal_slides_of_two_data_sets_are_two():
    learned, tested = (
        [Record(f"{site}.png", 1, group="1", source=site)] for site in ("Bonn", "Porto")
    )
    assert leak_safety(learned, tested) == (
        "yes", "by data set: learned from Bonn, tested on Porto"
    )  # fmt: skip
    # How images were found does not tell two data sets apart
    for source in ("folder", "csv"):
        other = [Record("c.png", 1, source=source)]
        assert leak_safety(learned, other).verdict == "unknown"


def her2_40x(tmp_path, kind, *, dealt):
    """HER2-IHC-40x; if dealt, some patches lie in another folder than their names say."""
    root = tmp_path / f"her2-ihc-40x-{kind}"
    manifest = discover(her2_40x_zip(tmp_path, kind, per_score=4), unpack=True)
    if dealt:
        for record in manifest.records[::3]:
            there = {"train": "test", "test": "train"}[record.split]
            text = str(record.path).replace(f"{record.split}_data", f"{there}_data")
            record.path.rename(text)
    return discover(root)


@pytest.mark.parametrize("kind", ["patch", "wsi"])
@pytest.mark.parametrize("dealt", [False, True])
def test_her2_ihc_40x(tmp_path, kind, dealt):
    manifest = her2_40x(tmp_path, kind, dealt=dealt)
    official = verdict(manifest)
    assert official == verdict(split_manifest(manifest, "official"))
    if kind == "patch" or dealt:  # its makers say so, or names show it
        assert official == (
            "no", "official folders: patches of one slide lie on both sides"
        )  # fmt: skip
    else:
        assert official.verdict == "stated"
    by_origin = verdict(split_manifest(manifest, "origin", validation_share=0.3))
    assert by_origin.verdict == "stated"
    assert by_origin.reason.startswith("by origin: the makers of HER2-IHC-40x say that slides were")
    blocks = verdict(split_manifest(manifest, "blocks", seed=1))
    assert blocks == ("unknown", "unknown: names carry no slide")
    one = manifest.records[:1]
    assert leak_safety(one, one, scheme="blocks").reason.startswith("1 image lies on both sides: ")


def test_slides_that_are_known_count_more_than_names(tmp_path):
    manifest = her2_40x(tmp_path, "patch", dealt=True)
    told = [replace(record, group=record.split) for record in manifest.records]
    assert verdict(Manifest(told)) == ("yes", "by slide")


def test_bci_is_not_known(tmp_path):
    assert verdict(discover(bci(tmp_path) / "IHC")) == ("unknown", "unknown: names carry no slide")


def test_copies_of_an_image_are_one():
    """The two variants of HER2-IHC-40x hold the same patches; so may two folders."""
    mine = [Record("mine.png", 2)]
    assert leak_safety(mine, mine).reason.startswith("1 image lies on both sides: ")
    name = "her2-1+-score_test_17"
    patch = Record(f"patch/{name} (1).png", 2, source="her2-ihc-40x-patch")
    whole = Record(f"wsi/{name}.png", 1, source="her2-ihc-40x-wsi")
    other = Record("wsi/her2-1+-score_test_18.png", 1, source="her2-ihc-40x-wsi")
    assert leak_safety([patch], [whole], scheme="blocks") == (
        "no", "1 image lies on both sides: 1 test 17"
    )  # fmt: skip
    assert leak_safety([patch], [other]).verdict == "no"  # folders, and names show they were dealt
    assert leak_safety([patch], [other], scheme="blocks").verdict == "unknown"
    assert leak_safety([patch], [Record("00017_test_1+.png", 1, source="bci")]) == (
        "yes", "by data set: learned from her2-ihc-40x, tested on bci"
    )  # fmt: skip


def test_copies_that_were_seen_count():
    learned = [Record("a.png", 2, group="S1"), Record("b.png", 2, group="S2")]
    tested = [Record("c.png", 2, group="S3", source="Porto")]
    paths = [record.path for record in (*learned, *tested)]
    assert leak_safety(learned, tested, copies=[paths[:2]]) == ("yes", "by slide")
    assert leak_safety(learned, tested, copies=[paths[1:]]) == (
        "no", "1 set of images that show the same lies on both sides: b.png = c.png"
    )  # fmt: skip
    assert leak_safety(learned, tested, copies=[paths[1:], paths]).reason == (
        "2 sets of images that show the same lie on both sides, such as b.png = c.png"
    )
    elsewhere = [Record("c.png", 2, source="Porto")]
    assert leak_safety([Record("b.png", 2, source="Bonn")], elsewhere, copies=[paths[1:]]) == (
        "no", "1 set of images that show the same lies on both sides: b.png = c.png"
    )  # fmt: skip
