"""Find, check, split and download data sets.

PATH is a folder, a zip or a CSV: BCI, HER2-IHC-40x, a folder of class folders, or a table with the
columns path and score. The exit status is 0 if all is well, 1 if problems were found, and 2 if PATH
or an option says nothing sensible.

for example:
  her2 data check BCI_dataset
  her2 data check her2-ihc-40x-patch.zip --unpack --csv manifest.csv
  her2 data split slides --scheme kfold --group-pattern "(S[0-9]+)_" --out splits.csv
  her2 data get her2-ihc-40x-patch --out data --unpack
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

from her2_models.data import (
    DATA_SETS,
    LABEL_LEVELS,
    SCHEMES,
    Manifest,
    check,
    discover,
    extract,
    get,
    leak_safety,
    split_manifest,
)
from membrane_xai.errors import InvalidInputError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands of ``her2 data``."""
    commands = parser.add_subparsers(metavar="ACTION", required=True)
    for name, (add, what, example) in _ACTIONS.items():
        add(
            commands.add_parser(
                name,
                help=what,
                description=f"{what[:1].upper()}{what[1:]}.",
                epilog=f"for example:\n  {example}",
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )


def run(args: argparse.Namespace) -> int:
    """Return 0 if all is well, 1 if problems were found, 2 if PATH or an option makes no sense."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            status = int(args.action(args))
        except InvalidInputError as error:
            print(f"her2 data: {error}", file=sys.stderr)
            # What was asked of `get` is checked before; what fails then is what came
            status = 1 if args.action is _get else 2
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)
    return status


def _add_check(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    add = parser.add_argument
    add("--csv", type=Path, metavar="FILE", help="write the table of images")
    add("--quick", action="store_true", help="do not decode the images")
    add("--json", action="store_true", help="print the report as JSON, for programs")
    parser.set_defaults(action=_check)


def _add_split(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    add = parser.add_argument
    add("--scheme", choices=SCHEMES, required=True,
        help="folders, token _test_ in names, grouped k-fold, blocks of counters")  # fmt: skip
    add("--out", type=Path, required=True, metavar="FILE", help="the CSV to write")
    add("--validation", type=float, default=0.0, metavar="SHARE",
        help="share of train that becomes val (default: %(default)s)")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N", help="default: %(default)s")
    add("--folds", type=int, default=5, metavar="N", help="of kfold (default: %(default)s)")
    add("--fold", type=int, default=0, metavar="N", help="which to test on (default: %(default)s)")
    add("--test", type=float, default=0.2, metavar="SHARE",
        help="of blocks (default: %(default)s)")  # fmt: skip
    add("--allow-ungrouped", action="store_true",
        help="split images without group one by one; slides may lie on both sides")  # fmt: skip
    parser.set_defaults(action=_split)


def _add_get(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", type=_name, metavar="NAME", help=f"{', '.join(DATA_SETS)}, or an address")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the file")
    add("--md5", metavar="DIGITS", help="checksum (default: as Zenodo publishes it)")
    add("--unpack", action="store_true", help="unpack the zip into a folder of its name")
    parser.set_defaults(action=_get)


def _add_source(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("path", type=Path, metavar="PATH", help="folder, zip or CSV")
    add("--mpp", type=float, metavar="UM", help="micrometres per pixel of all images")
    add("--magnification", type=float, metavar="X", help="of the objective, of all images")
    add("--group-pattern", metavar="REGEX",
        help="finds slide or patient in a path, as its first group")  # fmt: skip
    add("--label-level", choices=LABEL_LEVELS,
        help="whose scores the images bear (default: as the data set is known to)")  # fmt: skip
    add("--unpack", action="store_true", help="unpack zips beside themselves first")
    add("--follow-links", action="store_true",
        help="take images to which links lead that are outside of PATH")  # fmt: skip


def _found(args: argparse.Namespace) -> Manifest:
    return discover(
        args.path,
        group_pattern=args.group_pattern,
        mpp=args.mpp,
        magnification=args.magnification,
        label_level=args.label_level,
        unpack=args.unpack,
        follow_links=args.follow_links,
    )


def _check(args: argparse.Namespace) -> int:
    manifest = _found(args)
    if args.csv:
        manifest.to_csv(args.csv)
    report = check(manifest, decode=not args.quick)
    print(json.dumps(report.to_dict(), indent=2) if args.json else report)
    return 0 if report.ok else 1


def _split(args: argparse.Namespace) -> int:
    manifest = split_manifest(
        _found(args),
        args.scheme,
        validation_share=args.validation,
        seed=args.seed,
        n_folds=args.folds,
        fold=args.fold,
        test_share=args.test,
        allow_ungrouped=args.allow_ungrouped,
    )
    path = manifest.to_csv(args.out)
    for split, counts in manifest.counts().items():
        print(f"{split}: {sum(counts)} ({' / '.join(map(str, counts))})")
    splits = manifest.by_split()
    learned = (*splits["train"], *splits["val"])
    print(f"split: {leak_safety(learned, splits['test'], scheme=manifest.scheme).reason}")
    print(f"{manifest.scheme}; table: {path}")
    return 0


def _get(args: argparse.Namespace) -> int:
    path = get(args.name, args.out, md5=args.md5)
    print(path)
    if args.unpack:
        print(extract(path, path.with_suffix("")))
    return 0


def _name(text: str) -> str:
    if text not in DATA_SETS and not text.startswith(("http://", "https://")):
        known = ", ".join(DATA_SETS)
        raise argparse.ArgumentTypeError(f"{text!r}; it takes {known} or an address of http(s)")
    return text


_ACTIONS = {
    "check": (
        _add_check,
        "report what is wrong with a data set",
        "her2 data check her2-ihc-40x-patch.zip --unpack --csv manifest.csv",
    ),
    "split": (
        _add_split,
        "write a table with splits",
        "her2 data split slides --scheme kfold --folds 5 --out splits.csv",
    ),
    "get": (
        _add_get,
        "download a data set",
        "her2 data get her2-ihc-40x-patch --out data --unpack",
    ),
}
