"""The command ``membrane-xai``.

Sub-commands are the library's own and plug-ins found by entry point, so that the core offers a demo
with a neural network without importing one. A command is a module with ``add_arguments(parser)``
and ``run(args) -> int``.
"""

import argparse
import io
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from membrane_xai import __version__
from membrane_xai._commands.completion import SHELLS, PrintCompletion
from membrane_xai._disk.progress import progress
from membrane_xai.errors import MembraneXAIError, MembraneXAIWarning, MissingDependencyError

__all__ = ["command_parser", "main", "progress", "run_command"]

GROUP = "membrane_xai.commands"
_STATUSES = (
    "exit status: 0 done; 1 it failed, or problems were found; 2 wrong arguments or a missing\n"
    "extra; 130 interrupted"
)
_EXAMPLES = "\nfor example:\n"
_OWN = (
    EntryPoint("audit", "membrane_xai._commands.audit", GROUP),
    EntryPoint("mask", "membrane_xai._commands.mask", GROUP),
    EntryPoint("report", "membrane_xai._commands.report", GROUP),
    EntryPoint("score", "membrane_xai._commands.score", GROUP),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``membrane-xai`` and return its exit status.

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
    >>> from membrane_xai.cli import main
    >>> main(["--version"])
    Traceback (most recent call last):
    SystemExit: 0
    """
    points = sorted([*_OWN, *entry_points(group=GROUP)])
    parser = command_parser(
        "membrane-xai",
        {point.name: point.load() for point in points},
        description="Score explanations of HER2 networks against the stained cell membrane.",
        epilog="for example:\n"
        "  membrane-xai audit --images patches --cams cams --mpp 0.5 --out audit\n"
        "  membrane-xai demo --out demo-output",
    )
    return run_command(parser, argv, interrupted="interrupted; files that are there are complete")


def command_parser(
    prog: str, commands: Mapping[str, Any], *, description: str, epilog: str
) -> argparse.ArgumentParser:
    """Make the parser of a command with sub-commands, in one style for all of them.

    Parameters
    ----------
    prog : str
        Name of the command.
    commands : mapping of str to module
        Each with ``add_arguments(parser)`` and ``run(args) -> int``; its docstring is the help,
        with examples from a line ``for example:`` on.
    description, epilog : str
        Of the command itself.

    Returns
    -------
    argparse.ArgumentParser
        Ready for :func:`run_command`.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=f"{epilog}\n\n{_STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--version", action="version", version=f"%(prog)s {__version__}")
    add("--print-completion", action=PrintCompletion, choices=SHELLS,
        help="print the script that completes this command in a shell, and leave")  # fmt: skip
    added = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, module in commands.items():
        _add(added, name, module)
    return parser


def run_command(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, *, interrupted: str
) -> int:
    """Run what a command line asks for; errors and warnings become one line each on stderr.

    The command finds what was typed in ``args.command_line``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        From :func:`command_parser`.
    argv : sequence of str, optional
        Arguments; those of the process by default.
    interrupted : str
        What to say after Ctrl-C.

    Returns
    -------
    int
        Exit status, as of :func:`main`.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # no name of a file may break the output
    try:
        args = parser.parse_args(given)
        args.command_line = shlex.join([parser.prog, *given])
        with _short_warnings():
            return int(args.run(args))
    except MissingDependencyError as error:
        return _fail(parser.prog, str(error), 2)
    except (MembraneXAIError, OSError) as error:
        return _fail(parser.prog, str(error), 1)
    except KeyboardInterrupt:
        return _fail(parser.prog, interrupted, 130)


def _add(commands: Any, name: str, module: Any) -> None:
    text, examples, lines = (module.__doc__ or "").partition(_EXAMPLES)
    summary, _, rest = text.partition("\n")
    command = commands.add_parser(
        name,
        help=summary[:1].lower() + summary[1:].rstrip("."),
        description=f"{summary}\n{rest}",
        epilog=f"{examples}{lines}".strip() or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(command)
    command.set_defaults(run=module.run)


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Show this project's warnings as a line on stderr, without the place in the code."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", MembraneXAIWarning)
        usual = warnings.showwarning

        def show(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, MembraneXAIWarning):
                print(f"warning: {message}", file=sys.stderr)
            else:
                usual(message, category, *place, **more)

        warnings.showwarning = show
        yield


def _fail(prog: str, message: str, status: int) -> int:
    print(f"{prog}: {message}", file=sys.stderr)
    return status
