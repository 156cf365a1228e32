"""Explanation Consistency between magnifications, image by image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from her2_models.explain._explainers import CamExplainer
from her2_models.explain._work import ImageFile, Prediction, Work
from membrane_xai import magnification_consistency
from membrane_xai.cli import progress
from membrane_xai.io import read_image
from membrane_xai.results import KeptRows

__all__ = ["magnification_ec"]


def magnification_ec(
    work: Work,
    images: Sequence[ImageFile],
    predictions: Sequence[Prediction | None],
    magnifications: Sequence[float],
) -> dict[tuple[str, str], float]:
    """Return EC between magnifications by image's path and method; empty without any.

    What is explained is the score of the study. The results are kept one by one.
    """
    if not magnifications:
        return {}
    kept = KeptRows(work.out / "magnifications.jsonl", ["path", "method", "class", "of"])
    named = " ".join(f"{one:g}x" for one in magnifications)
    found: dict[tuple[str, str], float] = {}
    readable = [(i.path, p) for i, p in zip(images, predictions, strict=True) if p is not None]
    with progress(len(readable), shown=work.progress) as show:
        for start in range(0, len(readable), work.batch_size):
            batch = readable[start : start + work.batch_size]
            for method, options in work.methods.items():
                explain = CamExplainer(
                    work.backbone,
                    method,
                    work.input_size,
                    options=options,
                    normalize=not work.published_protocol,
                )
                rows = [kept.get(str(p), method, call.explained, named) for p, call in batch]
                missing = [one for one, row in zip(batch, rows, strict=True) if row is None]
                new = _measure(explain, missing, magnifications, work.mpp)
                kept.add([{**row, "method": method, "of": named} for row in new])
                for row in [row for row in rows if row is not None] + new:
                    found[row["path"], method] = row["ec"]
            show(start + len(batch), "magnifications")
    return found


def _measure(
    explain: CamExplainer,
    images: Sequence[tuple[Path, Prediction]],
    magnifications: Sequence[float],
    mpp: float,
) -> list[dict[str, Any]]:
    if not images:
        return []
    found = magnification_consistency(
        explain,
        [read_image(path, mpp=mpp).rgb for path, _ in images],
        mpp=mpp,
        magnifications=magnifications,
        targets=[prediction.explained for _, prediction in images],
        batch_size=len(images),
    )
    rows = zip(images, found.ec.tolist(), found.similarity.tolist(), strict=True)
    return [
        {
            "path": str(path),
            "class": prediction.explained,
            "ec": ec,
            **dict(zip(found.pairs, pairs, strict=True)),
        }
        for (path, prediction), ec, pairs in rows
    ]
