"""The command ``her2``: data sets, training, evaluation."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from her2_models import _data_command, _evaluate_command, _train_command
from membrane_xai import __version__
from membrane_xai.errors import MembraneXAIError, MissingDependencyError

__all__ = ["main"]

_COMMANDS = {"data": _data_command, "train": _train_command, "evaluate": _evaluate_command}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``her2`` and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        0 done; 1 the work failed, or problems were found; 2 wrong arguments or a missing extra; 130
        interrupted.

    Examples
    --------
    >>> from her2_models.cli import main
    >>> main(["--version"])
    Traceback (most recent call last):
    SystemExit: 0
    """
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except MissingDependencyError as error:
        return _fail(str(error), 2)
    except (MembraneXAIError, OSError) as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on from the last epoch", 130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="her2",
        description="HER2 scoring networks: data sets, training, evaluation. Research use only.",
        epilog="example: her2 train --config demo --out runs/demo",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands: Any = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, module in _COMMANDS.items():
        summary, _, rest = (module.__doc__ or "").partition("\n")
        command = commands.add_parser(
            name,
            help=summary[:1].lower() + summary[1:].rstrip("."),
            description=f"{summary}\n{rest}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _fail(message: str, status: int) -> int:
    print(f"her2: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
