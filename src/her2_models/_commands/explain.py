"""Explain a trained classifier's predictions, and score the explanations.

CAMs of any method of pytorch-grad-cam, for the predicted score by default, are held against the
membrane (MAP), against CAMs of perturbed images and other magnifications, and against each other
within a class (EC). The same command goes on where it was stopped.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from her2_models._commands.options import draws_from_100
from her2_models.data._manifest import WHOSE_LABELS
from membrane_xai.baselines import CONTROLS
from membrane_xai.errors import InvalidInputError
from membrane_xai.io import magnification_of, scale_text
from membrane_xai.statistics import NULLS
from membrane_xai.tables import cells_text, json_text, null_text, score_text, specificity_text

if TYPE_CHECKING:
    from her2_models.data import Record
    from her2_models.train import Run

__all__ = ["add_arguments", "run"]

EXAMPLE = (
    "for example:\n  her2 explain runs/demo --methods ScoreCAM GradCAM --most 200 --randomize 16"
)
_OBJECTIVES = (40.0, 20.0, 10.0, 5.0)
_FINER = 1.1  # as magnification_consistency allows
_ENDS = ("first", "second")
_SHOWN = (
    "toward_ideal",
    "toward_ideal_of_sums",
    "map",
    "chance",
    "ideal",
    "ec_skill_geometric",
    "ec_skill_photometric",
    "ec",
    "ec0",
    "ec_magnification",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``her2 explain``."""
    parser.epilog = EXAMPLE
    add = parser.add_argument
    add("folder", type=Path, metavar="RUN", help="folder of a training run")
    add("--methods", nargs="+", default=["ScoreCAM"], metavar="NAME",
        help="CAM methods of pytorch-grad-cam (default: ScoreCAM)")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="folder of the results (default: RUN/explained)")
    _add_images(parser)
    _add_computation(parser)
    add("--json", action="store_true", help="print the table of classes as JSON")


def _add_images(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("images").add_argument
    add("--split", default="test", choices=("train", "val", "test"),
        help="of the run's images (default: %(default)s)")  # fmt: skip
    add("--data", type=Path, metavar="PATH",
        help="a data set or a table of one, instead of the run's images; all of it where nothing "
             "there says a split")  # fmt: skip
    add("--most", type=int, metavar="N", help="explain N images, as many of every score (all)")
    add("--mpp", type=float, metavar="UM", help="micrometres per pixel, if the images do not say")
    add("--annotations", type=Path, metavar="DIR",
        help="outlines, or masks as PNG, TIFF or NPY, named like the images, or a CSV of outlines "
             "of all images (default: masks are extracted)")  # fmt: skip
    add("--annotation-class", action="append", default=[], metavar="NAME",
        help="outlines of this class are membrane; may be given several times "
             "(default: those called so, else the only class that is no region)")  # fmt: skip
    add("--tissue-class", action="append", default=[], metavar="NAME",
        help="outlines of this class are the tissue; may be given several times")  # fmt: skip
    add("--region-class", action="append", default=[], metavar="NAME",
        help="outlines of this class are the tumour; may be given several times")  # fmt: skip
    add("--regions", choices=("tissue", "tumour", "all"), default="tissue",
        help="count pixels there only; tumour is stained cells (default: %(default)s)")  # fmt: skip
    add("--controls", nargs="*", choices=CONTROLS, default=list(CONTROLS), metavar="NAME",
        help="hold CAMs against these, too: inside, nuclei, stained (default: all)")  # fmt: skip


def _add_computation(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("computation").add_argument
    add("--every-class", action="store_true", help="explain all scores, not the predicted one")
    add("--no-perturbations", action="store_true", help="leave out EC under 8 perturbations")
    add("--magnifications", nargs="*", type=float, metavar="X",
        help="for EC between objectives (default: those that images allow)")  # fmt: skip
    add("--randomize", type=int, default=0, metavar="N",
        help="make the model-randomisation check on N images (default: %(default)s)")  # fmt: skip
    add("--precision", choices=("fp32", "bf16", "auto"), help="of Score-CAM's passes (fp32)")
    add("--max-channels", type=int, metavar="N",
        help="let Score-CAM score only N channels of each image: faster, approximate")  # fmt: skip
    add("--batch-size", type=int, default=8, metavar="N", help="images at once (%(default)s)")
    add("--chance-test", nargs="?", choices=NULLS, const="permutation",
        default=False, metavar="NULL",
        help="p-values of sets: permutation, CAMs among patients; shift, each moved elsewhere "
             "in the region (default: none; without NULL: permutation)")  # fmt: skip
    add("--draws", type=draws_from_100, default=1000, metavar="N",
        help="of a bootstrap; the intervals draw nothing (default: %(default)s)")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N", help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Return 1 if an image could not be explained, else 0."""
    from her2_models.evaluate import trained_backbone
    from her2_models.explain import cam_method, explain_images, explained_images
    from her2_models.explain._work import resolve_mpp
    from her2_models.train import Run
    from membrane_xai.perturb import standard_perturbations

    _check_classes(args)
    for method in args.methods:
        cam_method(method)
    trained = Run(args.folder)
    images = explained_images(_records(trained, args), most=args.most)
    mpp = resolve_mpp(images, args.mpp)
    out = args.out or trained.folder / "explained"
    done = explain_images(
        trained_backbone(trained),
        images,
        args.methods,
        out=out,
        input_size=trained.config.model.input_size,
        every_class=args.every_class,
        annotations=args.annotations,
        mask_classes=args.annotation_class,
        region_classes=[*args.tissue_class, *args.region_class],
        regions=None if args.regions == "all" else args.regions,
        controls=args.controls,
        mpp=mpp,
        perturbations=() if args.no_perturbations else standard_perturbations(mpp=mpp),
        magnifications=_magnifications(args.magnifications, mpp),
        randomize=args.randomize,
        options={"ScoreCAM": _score_cam_options(args)},
        batch_size=args.batch_size,
        chance_test=args.chance_test,
        draws=args.draws,
        seed=args.seed,
        published_protocol=trained.config.published_protocol,
        progress=True,
    )
    _print(args, done, out, published_protocol=trained.config.published_protocol)
    return int(any(row["status"] == "error" for row in done.images))


def _check_classes(args: argparse.Namespace) -> None:
    if args.annotations is None and args.annotation_class:
        raise InvalidInputError("--annotation-class goes with --annotations")
    for where, classes in (("tissue", args.tissue_class), ("tumour", args.region_class)):
        if classes and (args.annotations is None or args.regions != where):
            option = "--tissue-class" if where == "tissue" else "--region-class"
            raise InvalidInputError(f"{option} goes with --annotations and --regions {where}")


def _records(trained: "Run", args: argparse.Namespace) -> "Sequence[Record]":
    from her2_models.data import discover

    manifest = discover(args.data) if args.data else trained.manifest
    splits = manifest.by_split()
    if args.data and not any(splits.values()):
        return manifest.records
    records = splits[args.split]
    if not records:
        raise InvalidInputError(
            f"--split is {args.split!r}, of which there are no images; there are some of "
            f"{', '.join(name for name, found in splits.items() if found)}"
        )
    return records


def _magnifications(given: Sequence[float] | None, mpp: float) -> tuple[float, ...]:
    """Return what was asked for, or the three highest usual objectives that the images allow."""
    if given is not None:
        return tuple(given)
    allowed = [one for one in _OBJECTIVES if one <= magnification_of(mpp) * _FINER][:3]
    return tuple(sorted(allowed)) if len(allowed) > 1 else ()


def _score_cam_options(args: argparse.Namespace) -> dict[str, Any]:
    given = {"precision": args.precision, "max_channels": args.max_channels}
    return {name: value for name, value in given.items() if value is not None}


def _print(args: argparse.Namespace, done: Any, out: Path, *, published_protocol: bool) -> None:
    grid = done.registration.grid
    if args.json:
        print(json_text({"out": str(out), "cam_grid": grid.to_text(), "classes": done.classes}))
        return
    print(done.registration)
    # Where they lie is said above, once, as one network made all maps.
    print(" and ".join(dict.fromkeys(cells_text({**row, "cam_grid": ""}) for row in done.classes)))
    print(f"{len(done.images)} rows; intervals by slide or patient where all are known")
    print(f"labels: {WHOSE_LABELS[done.label_level]}")
    if published_protocol:
        print("published protocol: maps of the true score, of the rescaled, not normalised image")
    seen = {row["id"]: row["input_um_per_pixel"] for row in done.images}
    print(f"at the network's input {scale_text(seen.values())}")
    for line in _magnification_lines(done.magnifications):
        print(line)
    for row in done.classes:
        print(f"{row['method']}, {row['class']}: {row['scored']} of {row['rows']} images scored")
        for name in (name for name in _SHOWN if name in row):
            print(f"  {name:<20} {score_text(row, name)}")
        for name in args.controls:
            print(f"  {f'specificity_{name}':<20} {specificity_text(row, name)}")
        print(f"  {'ec_class':<20} {row['ec_class']:z.3f}")
        print(f"  {'ec_between':<20} {row['ec_between']:z.3f}")
        if "p_value" in row:
            print(f"  {'p_value':<20} {null_text(row)}")
    _print_randomized(done.randomization)
    print(f"written to {out}")


def _magnification_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Say what each pair of magnifications shows the network, and why some are undefined."""
    lines = []
    for pair in dict.fromkeys(row["pair"] for row in rows):
        mine = [row for row in rows if row["pair"] == pair]
        ends = (scale_text([row[f"{end}_um_per_pixel"] for row in mine]) for end in _ENDS)
        undefined = Counter(row["status"] for row in mine if row["status"] != "ok")
        why = ", ".join(f"{count} {status}" for status, count in undefined.items())
        lines.append(f"{pair}: tiles at {' and '.join(ends)}" + (why and f"; undefined: {why}"))
    return lines


def _print_randomized(rows: Sequence[dict[str, Any]]) -> None:
    """Show the skill of EC of the trained network beside that of networks without its weights."""
    for row in rows:
        if row["mode"] == "independent" or "ec_skill_geometric" not in row:
            continue
        lost = f"shuffled down to {row['layers']}" if row["layers"] else "trained"
        kinds = ("geometric", "photometric")
        skills = ", ".join(f"{kind} {score_text(row, f'ec_skill_{kind}')}" for kind in kinds)
        print(f"{row['method']}, {lost}: EC skill {skills}")
