"""Completion scripts for bash, zsh and tcsh, and the option that prints them."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from membrane_xai.errors import missing

__all__ = ["SHELLS", "PrintCompletion"]

SHELLS = ("bash", "zsh", "tcsh")
_FOLDERS = ("DIR", "RUN", "RESULTS")
_FILES = ("FILE", "IMAGE", "PATH", "STORE")


class PrintCompletion(argparse.Action):
    """Print the script for a shell and leave."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        _namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        _option: str | None = None,
    ) -> None:
        """Print what ``eval`` or ``source`` of the shell takes."""
        try:
            import shtab
        except ImportError as error:
            raise missing(error, "--print-completion", extra="completion") from error
        for action in _actions(parser):
            if action.metavar in _FOLDERS:
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
            elif action.metavar in _FILES or action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(parser, shell=str(values)))
        parser.exit()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the actions of a parser and of all commands below it."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
