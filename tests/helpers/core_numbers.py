"""All that the core computes without labels, once."""

import json
from pathlib import Path

import numpy as np

import membrane_xai as mx
from membrane_xai.cli import main


def numbers_of_the_core(folder):
    """Go once through what needs no labels; return the numbers as JSON."""
    folder = Path(folder)
    rng = np.random.default_rng(0)
    cams, masks = rng.random((8, 4, 4)), rng.random((8, 8, 8)) < 0.3
    groups = list("AABBCCDD")
    result = mx.alignment(cams, masks, on_undefined="raise")
    interval = mx.summarize(result.map, groups, draws=200)
    accumulator = mx.MapAccumulator().update(cams, masks)
    fields = [mx.datasets.synthetic_her2("3+", 128, mpp=0.5, seed=seed).rgb for seed in range(2)]
    mask = mx.extract_membrane_mask(fields[0], mpp=0.5)
    nuclei = mx.segment_nuclei(fields[0], mpp=0.5)
    study = mx.evaluate(
        {"dark": lambda rgb: 1 - rgb.mean(axis=-1) / 255}, np.stack(fields), "extract", mpp=0.5,
        perturbations=[mx.perturb.horizontal_flip()],
    )  # fmt: skip
    write_images(folder, fields)
    options = ["--mpp", "0.5", "--no-report", "--draws", "200", "--out", str(folder / "out")]
    given = ["audit", "--images", str(folder / "images"), "--cams", str(folder / "cams")]
    assert main([*given, *options]) == 0
    found = {
        "alignment": result.to_dict(),
        "map": mx.map_score(list(cams), list(masks)).tolist(),
        "pointing": mx.pointing_game(cams, masks).tolist(),
        "auc": mx.pixel_auc(cams, masks).tolist(),
        "ec": mx.consistency(cams, groups=groups).ec.tolist(),
        "mean": accumulator.compute().map,
        "interval": [interval.mean, interval.low, interval.high],
        "paired": mx.compare_paired(result.map, result.chance, groups=groups).p_value,
        "null": mx.shift_null(cams[0], masks[0]).p_value,
        "mask": int(mask.mask.sum()),
        "nuclei": int(nuclei.max()),
        "study": [[row["map"], row["ec"]] for row in study.rows],
        "audit": [[row["map"], row["status"]] for row in mx.study.read_study(folder / "out").rows],
    }
    return json.dumps(found)


def write_images(folder, fields):
    from PIL import Image

    for place in ("images", "cams"):
        (folder / place).mkdir(parents=True)
    for number, rgb in enumerate(fields):
        Image.fromarray(rgb).save(folder / "images" / f"{number}.png")
        np.save(folder / "cams" / f"{number}.npy", 1 - rgb[::16, ::16].mean(axis=-1) / 255)
