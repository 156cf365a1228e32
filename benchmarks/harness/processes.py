"""A part of a benchmark in a process of its own, so that its peak of memory is its own."""

import json
import os
import subprocess
import sys
from typing import Any


def run_apart(module: str, *words: object, **environment: str) -> Any:
    """Run a module with arguments in a new process, and return the JSON that it prints."""
    command = [sys.executable, "-m", module, *map(str, words)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment
    )
    return json.loads(done.stdout)
