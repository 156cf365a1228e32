"""Model-randomisation check: MAP and EC of networks with shuffled weights."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2_models.explain._work import ImageFile, Prediction, Work
from her2_models.models import MODES, Stage, layer_groups, randomized, stages
from membrane_xai import ec_score
from membrane_xai.study import StudyResult, evaluate, read_view

__all__ = ["evenly", "randomization_rows"]

Rows = list[dict[str, Any]]

_TRAINED = Stage("trained", "", ())


def evenly(count: int, most: int) -> list[int]:
    """Return `most` of `count` places, or all, evenly over them."""
    most = min(most, count)
    return [i * count // most for i in range(most)]


def randomization_rows(
    work: Work,
    images: Sequence[ImageFile],
    predictions: Sequence[Prediction | None],
    options: Mapping[str, Any],
    seed: int,
) -> Rows:
    """Explain images by the network as it is, then stage by stage without what it learned.

    What is explained stays the score of the study, as the trained network predicts it. `options`
    are those of :func:`membrane_xai.evaluate` for the study, masks included.
    """
    known = [(i, p) for i, p in zip(images, predictions, strict=True) if p is not None]
    if not known:
        return []
    trained: Rows = []
    rows: Rows = []
    for place, stage in enumerate(_all_stages(work)):
        study = _explained(work, known, options, stage, place, seed)
        trained = trained or study.rows
        for means in study.summary():
            alike = _similarity(work, place, means["method"], study.rows, trained)
            rows.append({"mode": stage.mode, "layers": stage.reached, **means, **alike})
    return rows


def _all_stages(work: Work) -> Iterator[Stage]:
    groups = layer_groups(work.backbone.network)
    yield _TRAINED
    for mode in MODES:
        yield from stages(groups, mode)


def _explained(
    work: Work,
    known: Sequence[tuple[ImageFile, Prediction]],
    options: Mapping[str, Any],
    stage: Stage,
    place: int,
    seed: int,
) -> StudyResult:
    network = work.backbone.network
    lost = randomized(network, stage.parameters, seed=seed) if stage.parameters else nullcontext()
    about = work.about() | {"lost": stage._asdict(), "seed": seed}
    with lost:
        return evaluate(
            replace(work, every_class=False).explainers(),
            [image.path for image, _ in known],
            targets=[prediction.explained for _, prediction in known],
            about=about,
            out=_folder(work, place),
            **options,
        )


def _folder(work: Work, place: int) -> Path:
    return work.out / "randomization" / f"{place:02d}"


def _similarity(work: Work, place: int, method: str, rows: Rows, trained: Rows) -> dict[str, Any]:
    """Compare CAMs with those of the trained network for the same images."""
    pairs = [
        (now, before)
        for now, before in zip(rows, trained, strict=True)
        if now["method"] == method and "error" not in (now["status"], before["status"])
    ]
    alike = [
        ec_score(np.stack([_cam(work, place, now), _cam(work, 0, before)])) for now, before in pairs
    ]
    defined = [one for one in alike if np.isfinite(one)]
    similarity = float(np.mean(defined)) if defined else float("nan")
    return {"compared": len(defined), "similarity_to_trained": similarity}


def _cam(work: Work, place: int, row: Mapping[str, Any]) -> NDArray[Any]:
    return read_view(_folder(work, place), row["key"]).maps[row["method"]][row["class"]]
