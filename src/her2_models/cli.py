"""The command ``her2``: data sets, training, evaluation, explanations."""

import sys
from collections.abc import Sequence
from types import ModuleType

from membrane_xai.cli import command_parser, run_command
from membrane_xai.errors import MissingDependencyError

__all__ = ["main"]


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
    try:
        commands = _commands()
    except MissingDependencyError as error:
        print(f"her2: {error}", file=sys.stderr)
        return 2
    parser = command_parser(
        "her2",
        commands,
        description="HER2 scoring networks: data, training, evaluation, explanation. "
        "Research use only.",
        epilog="for example:\n  her2 train --config demo --out runs/demo",
    )
    message = "interrupted; the same command goes on from the last epoch or batch"
    return run_command(parser, argv, interrupted=message)


def _commands() -> dict[str, ModuleType]:
    """Import the commands: the script `her2` is installed without their dependencies, too."""
    from her2_models._commands import data, evaluate, explain, train

    return {
        "data": data,
        "train": train,
        "evaluate": evaluate,
        "explain": explain,
    }


if __name__ == "__main__":
    sys.exit(main())
