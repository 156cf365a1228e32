"""Train a HER2 classifier and evaluate it on its test split.

It takes a configuration, a bundled one or a file; --set changes single values. The same
command goes on where an interrupted run stopped.

for example:
  her2 train --config demo --out runs/demo
  her2 train --config honest_40x --set data.path=her2-ihc-40x --out runs/honest
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from her2_models._commands.options import draws_or_none
from her2_models.config import Config, bundled_configs, load_config
from membrane_xai.tables import interval_text

if TYPE_CHECKING:
    from her2_models.evaluate import Evaluation
    from her2_models.train import Run

__all__ = ["add_arguments", "run"]

_SHOWN = ("accuracy", "macro_f1", "quadratic_kappa", "macro_auc", "ece")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``her2 train``."""
    add = parser.add_argument
    add("--config", required=True, metavar="FILE",
        help=f"a YAML file, or one of {', '.join(bundled_configs())}")  # fmt: skip
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
        help="change a value, as in train.epochs=3; may be given several times")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="folder of the run (default: runs/NAME)")
    add("--draws", type=draws_or_none, default=1000, metavar="N",
        help="of a bootstrap; the intervals draw nothing (default: %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run ``her2 train``."""
    config = load_config(args.config, args.overrides)
    from her2_models.evaluate import evaluate
    from her2_models.train import is_first, train

    trained = train(config, args.out or Path("runs") / config.name)
    if is_first():
        done = evaluate(trained, draws=args.draws)
        print_run(trained, config)
        print_evaluation(done)
        print(f"written to {trained.folder}")
    return 0


def print_run(trained: "Run", config: Config) -> None:
    """Print which layers learned."""
    print(f"{config.name}: {config.model.backbone}, plan {config.unfreeze.plan}")
    for line in (trained.folder / "layers.csv").read_text(encoding="utf-8").splitlines():
        print("  " + "".join(f"{cell:>22}" for cell in line.split(",")))


def print_evaluation(done: "Evaluation") -> None:
    """Print the test metrics with their intervals, and what is to be said with them."""
    metrics = done.metrics
    unit = f"{metrics.n_groups} slides" if metrics.clustered else "images taken for independent"
    note = metrics.row("accuracy")["note"]
    mark = f" ({note})" if note else ""
    print(f"test: {len(done.predictions.records)} images; intervals over {unit}{mark}")
    scale = filter(None, (done.predictions.input_scale, done.predictions.scale_note))
    print(f"  at the network's input {': '.join(scale)}")
    for line in done.caveats.lines():
        print(f"  {line}")
    for name in _SHOWN:
        row = metrics.row(name)
        print(f"  {name:<16} {interval_text(row['value'], row['low'], row['high'])}")
    if done.caveats.caution:
        print(f"  {done.caveats.caution}")
