"""Score parts one after the other, or on the workers of a dask client."""

from collections.abc import Callable, Generator
from typing import Any

from numpy.typing import NDArray

from membrane_xai.errors import InvalidInputError, MembraneXAIError
from membrane_xai.labelled._layout import Part

__all__ = ["run_parts"]

Arrays = dict[str, NDArray[Any]]
Score = Callable[[Part], Arrays]
Outcome = tuple[Part, Arrays | None, str]

_AHEAD = 2  # parts for each thread of the cluster: one at work, one that waits


def run_parts(score: Score, parts: list[Part], client: Any) -> Generator[Outcome, None, None]:
    """Give each part with its result, or with None and what went wrong, as they finish."""
    if client is None:
        return _here(score, parts)
    if not hasattr(client, "submit") or not hasattr(client, "nthreads"):
        raise InvalidInputError(
            f"client is {client!r}; it takes a dask.distributed.Client, or None to work here"
        )
    return _on_client(score, parts, client)


def _here(score: Score, parts: list[Part]) -> Generator[Outcome, None, None]:
    for part in parts:
        try:
            yield part, score(part), ""
        except (MembraneXAIError, OSError, MemoryError) as error:
            yield part, None, _text(error)


def _on_client(score: Score, parts: list[Part], client: Any) -> Generator[Outcome, None, None]:
    """Keep a few parts for each thread in flight, so that results do not pile up on workers.

    What a lost worker had in hand is given to another by the scheduler.
    """
    from distributed import as_completed

    waiting = iter(parts)
    flying: dict[Any, Part] = {}
    completed = as_completed()

    def fill() -> None:
        limit = _AHEAD * max(1, sum(client.nthreads().values()))
        while len(flying) < limit and (part := next(waiting, None)) is not None:
            future = client.submit(
                score, part, pure=False, key=f"membrane-xai-{part.number}-{id(flying)}"
            )
            flying[future] = part
            completed.add(future)

    try:
        fill()
        for future in completed:
            part = flying.pop(future)
            yield _outcome(future, part)
            future.release()
            fill()
    finally:
        client.cancel(list(flying))


def _outcome(future: Any, part: Part) -> Outcome:
    try:
        return part, future.result(), ""
    except Exception as error:  # noqa: BLE001  whatever a worker meets is the part's, and reported
        return part, None, _text(error)


def _text(error: BaseException) -> str:
    return str(error) if isinstance(error, MembraneXAIError) else f"{type(error).__name__}: {error}"
