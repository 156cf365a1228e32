"""EC, its zero and its skill: a trained network, networks that know nothing, and trivial maps.

Test fields of 2+ and 3+ of the synthetic slides that RUN was trained on, one of each slide, under
the standard perturbations, registered. What is explained is the score that the trained network
predicts. Also the scatter of the skill of maps that have none, in a simulation.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmarks.harness.images import Cases, of_images
from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Goal, Row
from her2_models.evaluate import trained_backbone
from her2_models.explain import CamExplainer, inputs_of, predict
from her2_models.models import Backbone, randomized, register
from her2_models.train import Run
from membrane_xai import CamGrid, PerturbationConsistency, perturbation_consistency
from membrane_xai.baselines import TRIVIAL_MAPS
from membrane_xai.her2_rule import GRADES
from membrane_xai.io import read_image
from membrane_xai.perturb import stain_jitter, standard_perturbations

_METHODS = {"Grad-CAM": "GradCAM", "Layer-CAM": "LayerCAM"}
_SEEDS = (0, 1)
_UNTRAINED = {"EfficientNet-Lite0": "tf_efficientnet_lite0", "ResNet18": "resnet18"}
_TRIVIAL = ("center", "darkness", "brownness")
_LEAST, _NOTHING = Goal(">=", 0.5), Goal("<=", 0.1)
_NO_SKILL = Goal("<=", 0)
_SIMULATED, _SETS, _GRID, _VIEWS, _SMOOTH = (8, 24), 200, 8, 8, 1.0

Explain = Callable[..., Any]
Consistency = Callable[[Explain], PerturbationConsistency]


def scatter(sets: int) -> Iterator[Row]:
    """Yield how far skill lies from 0 by chance: each view of each image gets a map of its own."""
    rng = np.random.default_rng(0)

    def explain(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
        drawn = rng.normal(size=(len(rgb), _GRID, _GRID))
        return gaussian_filter(drawn, (0, _SMOOTH, _SMOOTH))

    views = [stain_jitter(seed=i) for i in range(_VIEWS)]
    for count in _SIMULATED:
        images = np.zeros((count, _GRID, _GRID, 3), np.uint8)
        found = [perturbation_consistency(explain, images, views) for _ in range(sets)]
        head = f"no skill, {count} images, {_VIEWS} views, {_GRID}x{_GRID}"
        each = float(np.mean([np.std(one.skill) for one in found]))
        together = float(np.std([one.mean_skill for one in found]))
        yield Row(f"{head}: standard deviation of the skill of an image", "", [each])
        yield Row("  of the set", "", [together])


def consistency(run: Run, backbone: Backbone, count: int) -> Consistency:
    """Return what measures an explainer on fields that are spread over the two scores."""
    config = run.config
    records = [one for one in run.manifest.by_split()["test"] if GRADES[one.score] in ("2+", "3+")]
    slides = list({one.whole_group: one for one in records}.values())
    chosen = [slides[i * len(slides) // count] for i in range(min(count, len(slides)))]
    mpp = config.data.synthetic.mpp
    images = [read_image(one.path, mpp=mpp).rgb for one in chosen]
    calls = predict(backbone, inputs_of(backbone, images, config.model.input_size)).argmax(1)
    return partial(
        perturbation_consistency,
        images=images,
        perturbations=standard_perturbations(mpp=mpp),
        targets=[GRADES[i] for i in calls],
        groups=[one.whole_group for one in chosen],
    )


def untrained(name: str, like: Backbone, seed: int) -> Backbone:
    """Return a network of random weights whose inputs are those of another."""
    torch.manual_seed(seed)
    network = timm.create_model(name, num_classes=len(GRADES)).eval()
    layer = network.feature_info[-1]["module"]
    return Backbone(
        name, "random", network, network.get_submodule(layer), layer, like.mean, like.std
    )


def lines(name: str, found: Mapping[str, PerturbationConsistency], goal: str = "") -> list[Cases]:
    """Return the lines of an explainer, with a value for each draw of its weights."""

    def line(
        what: str, value: Callable[[PerturbationConsistency], float], *of: Goal
    ) -> list[Cases]:
        values = {case: value(one) for case, one in found.items()}
        known = {case: one for case, one in values.items() if np.isfinite(one)}
        return [of_images(what, "", known, *of)] if known else []

    nowhere = [_NO_SKILL] if goal == "undefined" else []
    lines = [
        line(f"{name}: EC", lambda one: float(np.nanmean(one.ec))),
        line("  EC0", lambda one: float(np.nanmean(one.ec0))),
        line("  images with a geometric skill", _with_skill, *nowhere),
        line("  geometric skill", _geometric, *([_LEAST] if goal == "skilled" else [])),
        line("  photometric skill", lambda one: one.photometric.mean_skill),
    ]
    if goal == "none":
        lines.append(
            line("  geometric skill, whatever its sign", lambda one: abs(_geometric(one)), _NOTHING)
        )
    return [one for line in lines for one in line]


def _with_skill(found: PerturbationConsistency) -> int:
    return int((found.geometric.status == "ok").sum())


def _geometric(found: PerturbationConsistency) -> float:
    return found.geometric.mean_skill


def measure(run: Run, count: int) -> Iterator[Row]:
    """Measure explainer by explainer; where the cells lie is measured once for each network."""
    trained, size = trained_backbone(run), run.config.model.input_size
    of = consistency(run, trained, count)
    grid = registered(trained, size)
    everything = [key for key, _ in trained.network.named_parameters()]
    for name, method in _METHODS.items():
        explain = CamExplainer(trained, method, size, grid=grid)
        yield from lines(f"{name}, trained", {"trained": of(explain)}, "skilled")
        found = {}
        for seed in _SEEDS:
            with randomized(trained.network, everything, seed=seed):
                found[f"seed {seed}"] = of(explain)
        yield from lines(f"{name}, weights shuffled", found, "none")
    for name, known_as in _UNTRAINED.items():
        drawn = [untrained(known_as, trained, seed) for seed in _SEEDS]
        grids = [registered(one, size) for one in drawn]
        for cam, method in _METHODS.items():
            explainers = [
                CamExplainer(one, method, size, grid=grid)
                for one, grid in zip(drawn, grids, strict=True)
            ]
            found = {f"seed {i}": of(one) for i, one in zip(_SEEDS, explainers, strict=True)}
            yield from lines(f"{cam}, {name} of random weights", found, "none")
    cells = (size // 32, size // 32)  # as many as the last layer of the networks has
    for name in _TRIVIAL:
        goal = "undefined" if name == "center" else ""
        explain = partial(TRIVIAL_MAPS[name], cells=cells)
        yield from lines(f"{name}, no network", {name: of(explain)}, goal)


def registered(backbone: Backbone, size: int) -> CamGrid:
    """Return where the cells of a network's maps lie, as its explainers measure it."""
    return register(backbone.network, backbone.target_layer, size).grid


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser("python -m benchmarks.study.skill", description=__doc__)
    parser.add_argument("run", type=Path, help="what `her2 train --config demo` made")
    parser.add_argument("--images", type=int, default=16, help="how many (default: 16)")
    parser.add_argument("--sets", type=int, default=_SETS, help="simulated (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [*measure(Run(args.run), args.images), *scatter(args.sets)]
    publish(
        rows,
        "skill",
        ("torch", "timm", "grad-cam"),
        network="demo configuration",
        images=args.images,
        seeds=_SEEDS,
        sets=args.sets,
        threads=1,
    )


if __name__ == "__main__":
    main()
