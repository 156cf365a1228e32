"""What a new interpreter has loaded after some code."""

import json
import subprocess
import sys

HEAVY = {"torch", "pandas", "xarray", "matplotlib", "skimage", "scipy", "dask", "jinja2", "PIL"}

FRAMEWORKS = {"torch", "timm", "jax", "cupy", "tensorflow", "pytorch_grad_cam", "her2_models"}


def modules_after(code):
    """Run code in a new interpreter and return the top-level packages it has loaded."""
    report = "import json, sys; print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))
