"""Images that show the same are found whatever was done to the file; others are not."""

import io

import numpy as np
import PIL.Image
import pytest
from PIL.Image import Transpose

from her2_models.data import Manifest, Record, check, discover
from her2_models.data._alike import alike, look_of
from membrane_xai.datasets import synthetic_her2

SCORES = ("0", "1+", "2+", "3+")


@pytest.fixture(scope="module")
def fields():
    """Eight fields of one slide's stain, none like another."""
    return [synthetic_her2(SCORES[i % 4], size=256, mpp=0.5, seed=i).rgb for i in range(8)]


def jpeg(rgb, quality):
    file = io.BytesIO()
    PIL.Image.fromarray(rgb).save(file, "JPEG", quality=quality)
    return np.asarray(PIL.Image.open(file))


def resized(rgb, width, height):
    return np.asarray(PIL.Image.fromarray(rgb).resize((width, height)))


def turned(rgb, way):
    return np.asarray(PIL.Image.fromarray(rgb).transpose(way))


MADE = {
    "again": lambda rgb: rgb,
    "JPEG 75": lambda rgb: jpeg(rgb, 75),
    "JPEG 30": lambda rgb: jpeg(rgb, 30),
    "half": lambda rgb: resized(rgb, 128, 128),
    "larger": lambda rgb: resized(rgb, 333, 333),
    "squeezed": lambda rgb: resized(rgb, 256, 240),
    "cropped": lambda rgb: rgb[8:-8, 8:-8],
    "cropped aside": lambda rgb: rgb[:-10, 10:],
    "darker": lambda rgb: (rgb * 0.8).astype(np.uint8),
    "warmer": lambda rgb: np.clip(rgb * np.array([1.1, 0.95, 0.9]), 0, 255).astype(np.uint8),
    "all at once": lambda rgb: jpeg(resized(rgb[4:-2, 3:-5], 200, 200)[::-1, ::1], 60),
} | {way.name: lambda rgb, way=way: turned(rgb, way) for way in Transpose}


@pytest.mark.parametrize("made", MADE)
def test_copies_are_found_and_only_they(fields, made):
    looks = {("own", i): look_of(rgb) for i, rgb in enumerate(fields)}
    looks |= {
        ("copy", i): look_of(np.ascontiguousarray(MADE[made](rgb))) for i, rgb in enumerate(fields)
    }
    assert {frozenset(same) for same in alike(looks)} == {
        frozenset({("own", i), ("copy", i)}) for i in range(len(fields))
    }


def test_every_way_to_turn_is_its_own_inverse_or_another(fields):
    """All eight views of one field are one set, whichever is compared with which."""
    views = [np.rot90(one, k) for one in (fields[0], fields[0][:, ::-1]) for k in range(4)]
    (same,) = alike({i: look_of(np.ascontiguousarray(view)) for i, view in enumerate(views)})
    assert sorted(same) == list(range(8))


def test_fields_of_one_stain_are_not_alike(fields):
    assert alike({i: look_of(rgb) for i, rgb in enumerate(fields)}) == []
    halves = {
        (i, j): look_of(rgb[:, j : j + 128]) for i, rgb in enumerate(fields) for j in (0, 128)
    }
    assert alike(halves) == []


def test_one_outline_of_tissue_is_not_enough(fields):
    """Cores of a tissue array are all round: coarse waves agree, what is in them does not."""
    y, x = np.mgrid[:256, :256] - 127.5
    inside = (np.hypot(x, y) < 110)[..., None]
    pale = [(rgb * 0.5 + 60).astype(np.uint8) for rgb in fields]
    cores = {i: look_of(np.where(inside, rgb, np.uint8(245))) for i, rgb in enumerate(pale)}
    waves = np.stack([look.waves.ravel() for look in cores.values()])
    assert (waves @ waves.T)[np.triu_indices(8, 1)].max() > 0.6  # candidates they are
    assert alike(cores) == []


def test_flat_images_are_not_compared():
    rng = np.random.default_rng(0)
    glass = 240 + rng.normal(0, 2, (2, 256, 256, 3))
    shade = np.linspace(0, 12, 256)[:, None, None]  # of the lamp
    assert look_of(np.full((9, 9, 3), 7, np.uint8)) is None
    for one in glass:
        assert look_of((one - shade).astype(np.uint8)) is None


def test_nothing_to_compare(fields):
    assert alike({}) == []
    assert alike({"a": look_of(fields[0])}) == []


def save(rgb, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.ascontiguousarray(rgb)).save(path)
    return path


def test_the_check_tells_copies_within_and_across_splits(tmp_path, fields):
    for i, rgb in enumerate(fields):
        split = ("train", "test")[i // 4]
        save(rgb, tmp_path / split / f"class_{i % 4}" / f"S{i}" / "a.png")
    across = save(fields[0][::-1], tmp_path / "test" / "class_0" / "S9" / "b.jpg")
    inside = save(fields[5][3:-3, 3:-3], tmp_path / "test" / "class_1" / "S5" / "b.png")
    report = check(discover(tmp_path))
    first, fifth = tmp_path / "train/class_0/S0/a.png", tmp_path / "test/class_1/S5/a.png"
    assert {frozenset(same) for same in report.near_duplicates} == {
        frozenset({across, first}),
        frozenset({inside, fifth}),
    }
    assert report.near_across_splits == ((across, first),)
    assert report.duplicates == report.across_splits == ()
    assert report.problems == (
        f"1 set of images that look alike in several splits: {across} = {first}",
    )
    assert report.notes == (f"1 sets of images look alike within a split, like {fifth} = {inside}",)
    assert report.patient_safe.startswith("no: images that show the same in several splits: 1, ")
    assert report.leak_safe == "no"
    assert "\nsplit: 1 set of images that show the same lies on both sides: b.jpg = a.png\n" in str(
        report
    )
    assert report.to_dict()["near_across_splits"] == [[str(across), str(first)]]
    quick = check(discover(tmp_path), decode=False)
    assert quick.near_duplicates == ()
    assert (quick.leak_safe, quick.split) == ("yes", "by slide")


def test_identical_files_are_told_once(tmp_path, fields):
    one, two, made = (tmp_path / f"{name}.png" for name in "abc")
    for path in (one, two):
        save(fields[0], path)
    records = [Record(one, 1), Record(two, 1)]
    report = check(Manifest(records))
    assert (len(report.duplicates), report.near_duplicates) == (1, ())
    save(fields[0][:, ::-1], made)
    report = check(Manifest([*records, Record(made, 1)]))
    assert (report.duplicates, report.near_duplicates) == (((one, two),), ((one, two, made),))
