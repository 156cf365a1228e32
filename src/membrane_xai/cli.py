"""The command ``membrane-xai``.

Sub-commands are the library's own and plug-ins found by entry point, so that the core offers a demo
with a neural network without importing one. A command is a module with ``add_arguments(parser)``
and ``run(args) -> int``.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from membrane_xai import __version__
from membrane_xai.errors import MembraneXAIError, MissingDependencyError

__all__ = ["main"]

GROUP = "membrane_xai.commands"
_OWN = (EntryPoint("mask", "membrane_xai._mask_command", GROUP),)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``membrane-xai`` and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        0 done; 1 the work failed; 2 wrong arguments or a missing extra; 130 interrupted.

    Examples
    --------
    >>> from membrane_xai.cli import main
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
        return _fail("interrupted; files that are there are complete", 130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="membrane-xai",
        description="Score explanations of HER2 networks against the stained cell membrane.",
        epilog="example: membrane-xai demo --out demo-output",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for point in sorted([*_OWN, *entry_points(group=GROUP)]):
        _add(commands, point)
    return parser


def _add(commands: Any, point: EntryPoint) -> None:
    module = point.load()
    summary, _, rest = (module.__doc__ or "").partition("\n")
    command = commands.add_parser(
        point.name,
        help=summary[:1].lower() + summary[1:].rstrip("."),
        description=f"{summary}\n{rest}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(command)
    command.set_defaults(run=module.run)


def _fail(message: str, status: int) -> int:
    print(f"membrane-xai: {message}", file=sys.stderr)
    return status
