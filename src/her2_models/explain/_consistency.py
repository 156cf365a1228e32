"""Explanation Consistency between magnifications, image by image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from her2_models.explain._explainers import CamExplainer
from her2_models.explain._work import ImageFile, Prediction, Work
from membrane_xai import magnification_consistency
from membrane_xai.cli import progress
from membrane_xai.io import read_image
from membrane_xai.results import KeptRows

__all__ = ["Magnified", "magnification_ec"]


class Magnified(NamedTuple):
    """EC between magnifications."""

    ec: dict[tuple[str, str], float]
    """By image's path and method."""
    rows: list[dict[str, Any]]
    """One for each image, method and pair of magnifications."""


def magnification_ec(
    work: Work,
    images: Sequence[ImageFile],
    predictions: Sequence[Prediction | None],
    magnifications: Sequence[float],
) -> Magnified:
    """Compare what is explained at several magnifications; empty without any.

    What is explained is the score of the study, in tiles as large as the network's input. The
    results are kept one by one.
    """
    found = Magnified({}, [])
    if not magnifications:
        return found
    kept = KeptRows(work.out / "magnifications.jsonl", ["path", "method", "class", "of"])
    named = f"{' '.join(f'{one:g}x' for one in magnifications)} in tiles of {work.input_size} px"
    named += f" by {work.about()['weights']}"
    readable = [(i.path, p) for i, p in zip(images, predictions, strict=True) if p is not None]
    with progress(len(readable), shown=work.progress) as show:
        for start in range(0, len(readable), work.batch_size):
            batch = readable[start : start + work.batch_size]
            for method in work.methods:
                explain = work.explainer(method)
                rows = [kept.get(str(p), method, call.explained, named) for p, call in batch]
                missing = [one for one, row in zip(batch, rows, strict=True) if row is None]
                new = _measure(explain, missing, magnifications, work)
                kept.add([{**row, "method": method, "of": named} for row in new])
                for row in [row for row in rows if row is not None] + new:
                    about = {"id": row["path"], "method": method, "class": row["class"]}
                    found.ec[row["path"], method] = row["ec"]
                    found.rows.extend({**about, **pair} for pair in row["pairs"])
            show(start + len(batch), "magnifications")
    return found


def _measure(
    explain: CamExplainer,
    images: Sequence[tuple[Path, Prediction]],
    magnifications: Sequence[float],
    work: Work,
) -> list[dict[str, Any]]:
    if not images:
        return []
    found = magnification_consistency(
        explain,
        [read_image(path, mpp=work.mpp).rgb for path, _ in images],
        mpp=work.mpp,
        magnifications=magnifications,
        targets=[prediction.explained for _, prediction in images],
        grid=explain.grid,
        batch_size=work.batch_size,
    )
    pairs: list[list[dict[str, Any]]] = [[] for _ in images]
    for row in found.table():
        pairs[row["image"]].append({name: row[name] for name in row if name not in ("image", "ec")})
    return [
        {"path": str(path), "class": prediction.explained, "ec": ec, "pairs": of_image}
        for (path, prediction), ec, of_image in zip(images, found.ec.tolist(), pairs, strict=True)
    ]
