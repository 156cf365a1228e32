"""Directive ``example-scripts``: each script of examples/, and what it prints.

Nothing runs here: the output is kept in examples/output, and tests/package/test_examples.py runs
every script and compares. Running them at each build would take minutes.
"""

import ast
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

EXAMPLES = Path(__file__).parents[2] / "examples"


class ExampleScripts(SphinxDirective):
    """Show the scripts in the order of their names, or in the order given as content."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return a section for each script; those that are not named come last."""
        found = {path.stem: path for path in sorted(EXAMPLES.glob("*.py"))}
        first = [found.pop(name.strip()) for name in self.content if name.strip()]
        return [self._section(path) for path in [*first, *found.values()]]

    def _section(self, path: Path) -> nodes.section:
        code = path.read_text()
        summary, _, _ = (ast.get_docstring(ast.parse(code)) or "").partition("\n\n")
        section = nodes.section(ids=[nodes.make_id(path.stem)], names=[path.stem])
        section += nodes.title("", f"{path.stem}.py")
        section += nodes.paragraph("", summary.replace("\n", " "))
        section += _block(code, "python")
        output = path.parent / "output" / f"{path.stem}.txt"
        for read in (path, output):
            self.env.note_dependency(str(read))
        if output.exists():
            section += nodes.paragraph("", "It prints:")
            section += _block(output.read_text(), "text")
        return section


def _block(text: str, language: str) -> nodes.literal_block:
    text = text.rstrip("\n")  # Sphinx highlights only what it finds unaltered
    return nodes.literal_block(text, text, language=language)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("example-scripts", ExampleScripts)
    return {"parallel_read_safe": True}
