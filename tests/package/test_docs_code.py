"""Code in pages that no doctest runs, because it needs a network of the reader's, is right too."""

import ast
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts),
]
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """Return the blocks of a page that are plain code and not sessions with `>>>`."""
    found = [textwrap.dedent(one) for one in FENCE.findall(page.read_text())]
    return [one for one in found if not one.startswith(">>>")]


PLAIN = [(page, code) for page in PAGES for code in blocks(page)]


@pytest.mark.parametrize(
    ("page", "code"), PLAIN, ids=[f"{page.stem}-{i}" for i, (page, _) in enumerate(PLAIN)]
)
def test_cams_are_called_with_targets(page, code):
    """pytorch-grad-cam, as pip installs it, has no default for `targets`."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "cam":
            named = {word.arg for word in node.keywords}
            assert len(node.args) > 1 or "targets" in named, f"{page.name}: {ast.unparse(node)}"


def test_readmes_network_example_runs(capsys):
    torch = pytest.importorskip("torch")
    pytest.importorskip("pytorch_grad_cam")
    from membrane_xai.datasets import synthetic_her2

    (code,) = [one for one in blocks(ROOT / "README.md") if "pytorch_grad_cam" in one]
    torch.manual_seed(0)
    model = torch.nn.Sequential()
    model.layer4 = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=8), torch.nn.ReLU())
    model.head = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 3)
    )
    rgb = synthetic_her2("3+", size=128, mpp=0.25, seed=0).rgb
    inputs = torch.as_tensor(np.moveaxis(rgb, -1, 0)[None] / 255, dtype=torch.float32)
    exec(code, {"model": model, "inputs": inputs, "rgb": rgb})  # noqa: S102
    assert "status='ok'" in capsys.readouterr().out
