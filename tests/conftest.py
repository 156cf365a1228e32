"""One fixture for every array library, so that each metric is tested on all of them.

And what processes import that a test starts.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None, max_examples=60, print_blob=True)
settings.load_profile("default")


@dataclass(frozen=True)
class Backend:
    """How to get arrays into and out of a library."""

    name: str
    asarray: Callable[[np.ndarray], Any]
    to_numpy: Callable[[Any], np.ndarray]
    is_own: Callable[[Any], bool]


def _numpy() -> Iterator[Backend]:
    yield Backend("numpy", np.asarray, np.asarray, lambda x: isinstance(x, np.ndarray))


def _torch() -> Iterator[Backend]:
    torch = pytest.importorskip("torch")
    yield Backend(
        "torch",
        lambda x: torch.tensor(x),
        lambda x: x.numpy(),
        lambda x: isinstance(x, torch.Tensor),
    )


def _torch_cuda() -> Iterator[Backend]:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    yield Backend(
        "torch-cuda",
        lambda x: torch.tensor(x, device="cuda"),
        lambda x: x.cpu().numpy(),
        lambda x: isinstance(x, torch.Tensor) and x.is_cuda,
    )


def _cupy() -> Iterator[Backend]:
    cupy = pytest.importorskip("cupy")
    yield Backend("cupy", cupy.asarray, cupy.asnumpy, lambda x: isinstance(x, cupy.ndarray))


def _jax() -> Iterator[Backend]:
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        yield Backend("jax", jax.numpy.asarray, np.asarray, lambda x: isinstance(x, jax.Array))


def _strict() -> Iterator[Backend]:
    xp = pytest.importorskip("array_api_strict")
    own = type(xp.asarray(0))
    with xp.ArrayAPIStrictFlags(api_version="2024.12"):
        yield Backend("array-api-strict", xp.asarray, np.asarray, lambda x: isinstance(x, own))


def _dask() -> Iterator[Backend]:
    da = pytest.importorskip("dask.array")

    def asarray(x: np.ndarray) -> Any:
        return da.from_array(x, chunks=tuple(max(1, (n + 1) // 2) for n in x.shape))

    yield Backend("dask", asarray, lambda x: x.compute(), lambda x: isinstance(x, da.Array))


BACKENDS = {
    "numpy": _numpy,
    "torch": _torch,
    "torch-cuda": _torch_cuda,
    "cupy": _cupy,
    "jax": _jax,
    "array-api-strict": _strict,
    "dask": _dask,
}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    yield from BACKENDS[request.param]()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)


@pytest.fixture(scope="session", autouse=True)
def pythonpath_of_processes() -> Iterator[None]:
    """Let every process that a test starts, in any folder, import the package tested here."""
    tested = Path(find_spec("membrane_xai").origin).parents[1]
    others = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(map(os.path.abspath, (tested, *others))))
        yield
