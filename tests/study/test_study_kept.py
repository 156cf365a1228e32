"""Studies in a folder: going on after a stop, and what is computed anew."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from study_cases import METHODS, STEPS, Counting, darkness, same

from membrane_xai import evaluate
from membrane_xai.errors import InvalidInputError
from membrane_xai.study import read_study, read_view


@pytest.mark.parametrize("stop", [0, 1, 4, 5])
def test_a_stopped_run_goes_on(images, masks, tmp_path, stop):
    options = {"batch_size": 2, "out": tmp_path / "study", "groups": list("aabbc")}
    masks[1] = False  # an undefined score survives the file
    expected = evaluate({"m": darkness}, images, masks, groups=list("aabbc")).rows
    if stop < 5:
        with pytest.raises(KeyboardInterrupt):
            evaluate({"m": Counting(stop)}, images, masks, **options)
    finished = stop // 2 * 2 if stop < 5 else 0
    again = Counting()
    result = evaluate({"m": again}, images, masks, **options)
    same(result.rows, expected)
    assert again.seen == [image.tobytes() for image in images[finished:]]
    silent = Counting(stop=0)
    same(evaluate({"m": silent}, images, masks, **options).rows, expected)


def test_only_what_changed_is_done_again(images, masks, tmp_path):
    out = tmp_path / "study"
    evaluate({"m": darkness}, images, masks, out=out, ids="abcde")
    changed, other = images.copy(), masks.copy()
    changed[1, 0, 0, 0] ^= 1
    other[3, 0, 0] ^= True
    counting = Counting()
    result = evaluate({"m": counting}, changed, other, out=out, ids="abcde")
    assert counting.seen == [changed[1].tobytes(), changed[3].tobytes()]
    same(result.rows, evaluate({"m": darkness}, changed, other, ids="abcde").rows)
    counting = Counting()
    result = evaluate({"m": Counting(0), "new": counting}, changed, other, out=out, ids="abcde")
    assert len(counting.seen) == 5
    assert [row["method"] for row in result.rows[:2]] == ["m", "new"]


def test_regions_are_part_of_what_is_kept(images, masks, rng, tmp_path):
    regions = rng.random((5, 8, 8)) < 0.5
    evaluate({"m": darkness}, images, masks, regions=regions, out=tmp_path / "study")
    regions[2, 0, 0] ^= True
    counting = Counting()
    evaluate({"m": counting}, images, masks, regions=regions, out=tmp_path / "study")
    assert counting.seen == [images[2].tobytes()]


def test_labels_are_part_of_what_is_kept(images, masks, tmp_path):
    out = tmp_path / "study"
    evaluate({"m": darkness}, images, masks, out=out)
    counting = Counting()
    evaluate({"m": counting}, images, masks, out=out, groups=list("vwxyz"))
    assert len(counting.seen) == 5
    evaluate({"m": lambda rgb, _: counting(rgb)}, images, masks, out=out, targets=range(5))
    assert len(counting.seen) == 10


def test_files_are_known_by_their_bytes(images, masks, tmp_path):
    path = tmp_path / "image.png"
    PIL.Image.fromarray(images[0]).save(path)
    out = tmp_path / "study"
    evaluate({"m": darkness}, [path], masks[:1], out=out)
    evaluate({"m": Counting(0)}, [path], masks[:1], out=out)
    PIL.Image.fromarray(images[1]).save(path)
    counting = Counting()
    evaluate({"m": counting}, [path], masks[:1], out=out)
    assert len(counting.seen) == 1


def test_errors_are_tried_again(images, masks, tmp_path):
    def broken(rgb):
        raise RuntimeError("busy")

    out = tmp_path / "study"
    first = evaluate({"m": broken}, images, masks, out=out)
    assert first.summary()[0]["error"] == 5
    same(
        evaluate({"m": darkness}, images, masks, out=out).rows,
        evaluate({"m": darkness}, images, masks).rows,
    )
    evaluate({"m": Counting(0)}, images, masks, out=out)


def test_a_folder_of_other_settings_is_refused(images, masks, tmp_path):
    out = tmp_path / "study"
    evaluate({"m": darkness}, images, masks, out=out)
    with pytest.raises(InvalidInputError, match="there similarity is 'pearson', now 'cosine'"):
        evaluate({"m": darkness}, images, masks, out=out, similarity="cosine")
    with pytest.raises(InvalidInputError, match="there perturbations is"):
        evaluate({"m": darkness}, images, masks, out=out, perturbations=STEPS)


def test_the_folder_holds_json_lines_and_a_manifest(images, masks, tmp_path):
    out = tmp_path / "study"
    masks[0] = False
    evaluate({"m": darkness}, images, masks, out=out, batch_size=2)
    assert sorted(path.name for path in out.iterdir()) == [
        "manifest.json",
        "rows.jsonl",
    ]
    lines = (out / "rows.jsonl").read_text().splitlines()
    assert len(lines) == len(images)
    row = json.loads(lines[0])["rows"][0]
    assert row["map"] is None
    assert json.loads((out / "manifest.json").read_text())["settings"]["similarity"] == "pearson"


KILLED = """
import sys, time
import numpy as np
from membrane_xai import evaluate

def slow(rgb):
    time.sleep(0.02)
    return 255.0 - rgb.mean(axis=-1)

images = list(np.load(sys.argv[1]))
evaluate({"m": slow}, images, [image[..., 0] < 128 for image in images],
         out=sys.argv[2], batch_size=1, views=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_a_killed_study_goes_on(rng, tmp_path):
    images = rng.integers(0, 255, (40, 8, 8, 3), np.uint8)
    masks = [image[..., 0] < 128 for image in images]
    np.save(tmp_path / "images.npy", images)
    out = tmp_path / "study"
    words = [sys.executable, "-c", KILLED, str(tmp_path / "images.npy"), str(out)]
    with subprocess.Popen(words) as process:
        deadline = time.monotonic() + 60
        while not (out / "rows.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    kept = read_study(out).rows
    assert 0 < len(kept) < 40
    explained = []

    def counted(rgb):
        explained.extend(rgb)
        return 255.0 - rgb.mean(axis=-1)

    rows = evaluate({"m": counted}, images, masks, out=out, batch_size=7, views=True).rows
    assert len(explained) == 40 - len(kept)
    np.testing.assert_equal(rows, evaluate({"m": darkness}, images, masks).rows)
    np.testing.assert_equal(rows[: len(kept)], kept)
    np.testing.assert_array_equal(read_view(out, rows[20]["key"]).rgb, images[20])


def test_draws_and_seed_are_kept_and_may_change(images, masks, tmp_path):
    first = evaluate(METHODS, images, masks, out=tmp_path, draws=150, seed=3)
    assert {name: read_study(tmp_path).settings[name] for name in ("draws", "seed")} == {
        "draws": 150, "seed": 3,
    }  # fmt: skip
    same(read_study(tmp_path).summary(), first.summary())
    same(first.summary(), first.summary(draws=150, seed=3))
    evaluate(METHODS, images, masks, out=tmp_path, draws=160)
    assert read_study(tmp_path).settings["draws"] == 160
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == len(first.rows)
    with pytest.raises(InvalidInputError, match="draws is 10; it takes an integer of at least 100"):
        evaluate(METHODS, images, masks, draws=10)


def test_rows_of_other_weights_are_refused(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    methods = {"m": lambda rgb: rgb[..., 0].astype(float)}
    evaluate(methods, [image], [np.eye(4, dtype=bool)], out=tmp_path, about={"weights": "a"})
    with pytest.raises(InvalidInputError, match=r"there about\.weights is 'a', now 'b'"):
        evaluate(methods, [image], [np.eye(4, dtype=bool)], out=tmp_path, about={"weights": "b"})


def broken(_images):
    raise ValueError("no such device")


def test_a_study_that_scored_nothing_leaves_its_folder_free(images, masks, tmp_path):
    out = tmp_path / "study"
    steps = {"perturbations": STEPS, "views": True}
    slip = evaluate({"m": broken}, images, masks, out=out, k=0.3, similarity="cosine", **steps)
    assert {row["status"] for row in slip.rows} == {"error"}
    told = {"out": out, "k": 0.2, **steps}
    result = evaluate({"m": darkness}, images, masks, **told)
    clean = evaluate({"m": darkness}, images, masks, **{**told, "out": tmp_path / "clean"})
    same(result.rows, clean.rows)
    same(read_study(out).rows, clean.rows)
    names = {path.relative_to(out) for path in out.rglob("*")}
    clean_names = {path.relative_to(tmp_path / "clean") for path in (tmp_path / "clean").rglob("*")}
    assert names == clean_names
    # One that has scored an image keeps it.
    with pytest.raises(InvalidInputError, match=r"there similarity is 'pearson', now 'cosine'"):
        evaluate({"m": broken}, images, masks, **{**told, "similarity": "cosine"})
    same(read_study(out).rows, clean.rows)


def test_a_study_whose_folder_was_taken_meanwhile_mixes_nothing_in(images, masks, tmp_path):
    out = tmp_path / "study"

    def taken(rgb):
        if not (out / "rows.jsonl").exists():
            evaluate({"m": darkness}, images[:1], masks[:1], out=out, similarity="cosine")
        return darkness(rgb)

    with pytest.raises(InvalidInputError, match=r"there similarity is 'cosine', now 'pearson'"):
        evaluate({"m": taken}, images, masks, out=out, batch_size=1)
    assert len(read_study(out).rows) == 1
