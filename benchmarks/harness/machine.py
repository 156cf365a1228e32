"""Processor, memory, BLAS and environment of the machine that measures."""

import os
import platform
import re
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

_THREAD_VARIABLES = re.compile(r"(OPENBLAS|OMP|MKL|BLIS|VECLIB|NPY)_")


def machine() -> dict[str, Any]:
    """Return processor, memory, BLAS, and the environment variables that steer them."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average": os.getloadavg(),
        "blas": [
            {
                key: pool.get(key)
                for key in ("internal_api", "version", "architecture", "num_threads")
            }
            for pool in threadpool_info()
        ],
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if _THREAD_VARIABLES.match(name)
        },
    }


def _cpu_model() -> str:
    """Return the processor's name: Linux keeps it where `platform` does not look."""
    listing = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", listing.read_text()) if listing.exists() else []
    return names[0] if names else platform.processor()
