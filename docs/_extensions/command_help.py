"""Directive ``command-help``: what a command prints with ``--help``, taken at build time."""

import contextlib
import io
import os
from unittest import mock

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from her2_models import cli as her2
from membrane_xai import cli

_COMMANDS = {"membrane-xai": cli.main, "her2": her2.main}


class CommandHelp(Directive):
    """Show the help of a command, or of one below it."""

    required_arguments = 1
    optional_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return the command line and its output as one literal block."""
        command, *arguments = [*self.arguments, "--help"]
        text = f"$ {command} {' '.join(arguments)}\n{_output(command, arguments)}"
        block = nodes.literal_block(text, text)
        block["language"] = "console"
        return [block]


def _output(command: str, arguments: list[str]) -> str:
    """Run the command in this process, at a width that does not depend on the terminal."""
    text = io.StringIO()
    plain = mock.patch.dict(os.environ, {"COLUMNS": "88", "NO_COLOR": "1"})
    with plain, contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        _COMMANDS[command](arguments)
    return text.getvalue()


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}
