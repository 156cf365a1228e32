"""Directive ``command-help``: what ``membrane-xai ... --help`` prints, taken at build time."""

import contextlib
import io
import os
from unittest import mock

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from membrane_xai.cli import main


class CommandHelp(Directive):
    """Show the help of a sub-command, or of the command itself without an argument."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the command line and its output as one literal block."""
        arguments = [*self.arguments, "--help"]
        text = f"$ membrane-xai {' '.join(arguments)}\n{_output(arguments)}"
        block = nodes.literal_block(text, text)
        block["language"] = "console"
        return [block]


def _output(arguments: list[str]) -> str:
    """Run the command in this process, at a width that does not depend on the terminal."""
    text = io.StringIO()
    plain = mock.patch.dict(os.environ, {"COLUMNS": "88", "NO_COLOR": "1"})
    with plain, contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main(arguments)
    return text.getvalue()


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}
