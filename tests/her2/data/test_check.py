"""What is wrong with a data set is found, and what is right is not complained about."""

import json

import PIL.Image
import pytest
from data_sets import SCORE_FOLDERS, bci, image

from her2_models.data import Manifest, Record, _check, check, discover, split_manifest
from membrane_xai.cells import measure_nuclei
from membrane_xai.datasets import synthetic_her2


@pytest.fixture
def root(tmp_path):
    value = 0
    for split in ("train", "test"):
        for folder in SCORE_FOLDERS:
            for i in range(2):
                value += 1
                image(tmp_path / "data" / split / folder / f"{split}{i}" / f"{i}.png", value)
    return tmp_path / "data"


def test_a_sound_data_set(root):
    report = check(discover(root))
    assert report.ok
    assert report.problems == report.notes == ()
    assert report.patient_safe == "yes"
    assert report.counts == {"train": (2, 2, 2, 2), "test": (2, 2, 2, 2)}
    assert str(report).splitlines() == [
        "split      0    1+    2+    3+",
        "train      2     2     2     2",
        "test       2     2     2     2",
        "split: by slide",
        "patient-safe: yes",
    ]


def test_max_pixels_is_the_only_limit(root, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 1)
    report = check(discover(root), max_pixels=8 * 6)
    assert report.ok
    assert not report.unreadable


def test_label_conflicts(root):
    odd = image(root / "train" / "class_2+" / "train0" / "her2-0-score_train_04.png", 99)
    image(root / "train" / "class_0" / "train0" / "her2-0-score_train_05 (1).png", 98)
    also = image(root / "train" / "class_1+" / "train0" / "HER2_0+_score_train_5 (1).png", 97)
    report = check(discover(root))
    assert set(report.label_conflicts) == {odd, also}
    assert report.problems == (f"2 images whose name says another score: {also}; {odd}",)


def test_names_of_the_patch_variant_carry_the_slides_score(tmp_path):
    folders = {"patch": tmp_path / "train_data_patch", "wsi": tmp_path / "train_data_wsi"}
    odd = {
        kind: image(folder / "class_2+" / "her2-3+-score_train_01.png", i)
        for i, (kind, folder) in enumerate(folders.items())
    }
    for i, folder in enumerate(folders.values()):
        image(folder / "class_0" / "her2-0-score_train_02.png", 10 + i)
    report = check(discover(tmp_path), decode=False)
    assert report.sources == {"her2-ihc-40x-patch": 2, "her2-ihc-40x-wsi": 2}
    assert report.label_conflicts == (odd["wsi"],)
    assert report.notes == (
        "1 of 2 patches of HER2-IHC-40x have another score than their names say, like "
        "her2-3+-score_train_01.png; names carry the score of the slide, and the patch's own "
        "counts",
    )
    alone = check(discover(folders["patch"]), decode=False)
    assert not any("another score" in problem for problem in alone.problems)


def test_copies_within_and_across_splits(root):
    inside = image(root / "train" / "class_0" / "train0" / "copy.png", 1)
    across = image(root / "test" / "class_1+" / "test0" / "copy.png", 3)
    report = check(discover(root))
    first, third = root / "train/class_0/train0/0.png", root / "train/class_1+/train0/0.png"
    assert {frozenset(same) for same in report.duplicates} == {
        frozenset({inside, first}),
        frozenset({across, third}),
    }
    assert [set(same) for same in report.across_splits] == [{across, third}]
    assert "1 set of identical images in several splits" in str(report)


def test_unreadable_images(root):
    whole = (root / "train/class_0/train0/0.png").read_bytes()
    folder = root / "train" / "class_3+" / "train0"
    (folder / "cut.png").write_bytes(whole[:45])
    (folder / "end.png").write_bytes(whole[:-13])  # all pixels are there, and one byte is not
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_bytes(b"no image")
    found = dict(check(discover(root)).unreadable)
    assert {path.name: why.split(":")[0] for path, why in found.items()} == {
        "cut.png": "is truncated or damaged",
        "end.png": "is truncated or damaged",
        "empty.png": "is empty",
        "text.png": "is text, and is not a PNG, JPEG, BMP or TIFF image",
    }
    assert not any(str(folder) in why for why in found.values())
    quick = check(discover(root), decode=False)
    assert [path.name for path, _ in quick.unreadable] == ["empty.png"]


def test_other_formats_than_png(tmp_path):
    for ending in ("jpg", "bmp", "tif"):
        (tmp_path / "2+").mkdir(exist_ok=True)
        PIL.Image.new("RGB", (9, 9), (ord(ending[0]), 9, 9)).save(tmp_path / "2+" / f"a.{ending}")
    assert check(discover(tmp_path)).unreadable == ()


def test_the_count_of_pixels_is_bounded(root):
    report = check(discover(root), max_pixels=47)
    assert len(report.unreadable) == 16
    assert "more than max_pixels=47" in report.unreadable[0][1]


def test_missing_files_of_a_table(tmp_path):
    report = check(Manifest([Record(tmp_path / "no.png", 1, "train", "S1")]))
    assert report.unreadable == ((tmp_path / "no.png", "there is no such file"),)
    assert report.empty_classes == ("no image of score 0, 2+, 3+ in train",)


def safety(*pairs):
    records = [Record(f"{i}.png", 1, split, group) for i, (split, group) in enumerate(pairs)]
    return check(Manifest(records), decode=False)


def test_patient_safe_only_if_every_image_says_so():
    assert safety(("train", None), ("test", None)).patient_safe == "no: names carry no group"
    assert safety(("train", "a"), ("test", "b")).patient_safe == "yes"
    assert safety(("train", "a"), ("test", None)).patient_safe == "no: 1 of 2 images carry no group"
    assert (
        safety(("train", "a"), (None, "b")).patient_safe == "no: there are images without a split"
    )
    report = safety(("train", "a"), ("val", "a"), ("test", "b"))
    assert report.patient_safe == "no: groups in several splits: 1, such as a"
    assert report.groups_across_splits == ("a",)
    assert "1 group in several splits: a" in report.problems


def test_equal_groups_of_two_sources_are_two():
    records = [
        Record("a.png", 1, "train", "1", source="one"),
        Record("b.png", 1, "test", "1", source="two"),
    ]
    assert check(Manifest(records), decode=False).patient_safe == "yes"


def published_bci(tmp_path, counts):
    return Manifest(
        [
            Record(tmp_path / f"{split}{score}_{i}.png", score, split, source="bci")
            for split, row in counts.items()
            for score, count in enumerate(row)
            for i in range(count)
        ]
    )


def test_published_counts(tmp_path):
    # BCI: 3896 and 977 images; HER2-IHC-40x: 2200 test patches, the rows of the authors' matrix
    assert {key: sum(row) for key, row in _check.PUBLISHED.items()} == {
        ("bci", "train"): 3896,
        ("bci", "test"): 977,
        ("her2-ihc-40x-patch", "test"): 2200,
    }
    matrix = [[732, 26, 0, 0], [24, 502, 12, 0], [0, 21, 203, 2], [0, 0, 3, 675]]
    assert _check.PUBLISHED["her2-ihc-40x-patch", "test"] == tuple(map(sum, matrix))
    right = {"train": (202, 919, 1697, 1078), "test": (38, 235, 446, 258)}
    manifest = published_bci(tmp_path, right)
    assert check(manifest, decode=False).unlike_published == ()
    carved = {"train": (200, 919, 1697, 1078), "val": (2, 0, 0, 0), "test": (38, 235, 446, 258)}
    assert check(published_bci(tmp_path, carved), decode=False).unlike_published == ()
    wrong = published_bci(tmp_path, right | {"test": (37, 235, 446, 258)})
    assert check(wrong, decode=False).unlike_published == (
        "bci test has 37 / 235 / 446 / 258, published are 38 / 235 / 446 / 258",
    )
    again = manifest.with_splits(["test"] * len(manifest), "blocks 0.2, seed 0")
    assert check(again, decode=False).unlike_published == ()


def test_a_small_bci_is_unlike_the_published_one(tmp_path):
    report = check(discover(bci(tmp_path) / "IHC"))
    assert len(report.unlike_published) == 2
    assert report.patient_safe == "no: names carry no group"
    assert report.sources == {"bci": 16}


def test_names_of_another_split_are_noted_but_no_fault():
    name = "her2-3+-score_train_1120.png"
    report = check(Manifest([Record(name, 3, "test")]), decode=False)
    assert report.notes == (
        f"1 images lie in another split than their names say, like {name}; "
        f"scheme 'origin' goes by the names",
    )
    assert not check(Manifest([Record(name, 3, "val")]), decode=False).notes
    assert not check(Manifest([Record("her2-3+-score_test_1.png", 3)]), decode=False).notes


def test_many_of_a_kind_are_cut_short():
    records = [Record(f"her2-0-score_train_{i:02}.png", 3, "train") for i in range(8)]
    text = str(check(Manifest(records), decode=False))
    assert "8 images whose name says another score" in text
    assert "score_train_04.png and 3 more" in text
    assert "score_train_05" not in text.split("unreadable")[0]


def test_the_report_as_json(root):
    image(root / "test" / "class_1+" / "test0" / "copy.png", 3)
    report = check(discover(root))
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["ok"] is False
    assert plain["counts"]["test"] == [2, 3, 2, 2]
    assert plain["across_splits"] == [[str(path) for path in report.across_splits[0]]]
    assert plain["patient_safe"] == (
        "no: images that show the same in several splits: 1, such as copy.png = 0.png"
    )
    assert (plain["leak_safe"], plain["split"]) == (
        "no", "1 set of images that show the same lies on both sides: copy.png = 0.png"
    )  # fmt: skip


def test_an_empty_manifest():
    report = check(Manifest([]))
    assert (report.counts, report.ok) == ({}, True)


def test_a_split_manifest_is_checked_like_any(root):
    manifest = split_manifest(discover(root), "official", validation_share=0.5)
    assert check(manifest).patient_safe == "yes"


@pytest.mark.parametrize(
    ("stated", "diameter"), [({"mpp": 0.5}, 6.8), ({"magnification": 20.0}, 6.8)]
)
def test_nuclei_agree_with_a_true_pixel_size(tmp_path, stated, diameter):
    fields(tmp_path)
    report = check(discover(tmp_path, **stated))
    assert list(report.nuclear_diameters) == ["folder, 0.5 um/px"]
    assert report.nuclear_diameters["folder, 0.5 um/px"] == pytest.approx(diameter, rel=0.1)
    assert report.pixel_sizes == ()


def test_a_wrong_pixel_size_is_a_problem(tmp_path):
    fields(tmp_path)
    report = check(discover(tmp_path, mpp=1.0))
    (problem,) = report.pixel_sizes
    assert problem.startswith("pixel size of folder, 1 um/px: its nuclei would measure 1")
    assert problem.endswith("not 4 to 12")
    assert problem in report.problems
    assert problem in json.loads(json.dumps(report.to_dict()))["problems"]
    assert check(discover(tmp_path, mpp=1.0), decode=False).pixel_sizes == ()
    assert check(discover(tmp_path, mpp=2.0)).nuclear_diameters == {}  # too coarse to tell
    assert check(discover(tmp_path)).nuclear_diameters == {}  # nothing is said of pixels


def test_few_nuclei_in_many_small_images_speak_together(tmp_path):
    """None of the tiles has enough nuclei by itself."""
    rgb = synthetic_her2("1+", size=384, mpp=0.5, seed=4).rgb
    tiles = [rgb[i : i + 96, j : j + 96] for i in range(0, 384, 96) for j in range(0, 384, 96)]
    assert not any(measure_nuclei(tile, mpp=1.0).implausible for tile in tiles)
    for i, tile in enumerate(tiles):
        path = image(tmp_path / "1+" / f"{i}.png")
        PIL.Image.fromarray(tile).save(path)
    assert len(check(discover(tmp_path, mpp=1.0)).pixel_sizes) == 1


def fields(root):
    for score in ("1+", "3+"):
        path = image(root / score / "a.png")
        PIL.Image.fromarray(synthetic_her2(score, size=320, mpp=0.5, seed=3).rgb).save(path)
