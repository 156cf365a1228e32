"""``permutation_null``: MAP of a set of CAMs against that of the same CAMs on other patients."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations as orders
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import (
    Array,
    as_array,
    from_numpy,
    is_array_list,
    listed,
    to_numpy,
)
from membrane_xai._backend.checks import check_seed, is_count
from membrane_xai._backend.containers import CAM_MASK, is_dataarray, over_arrays
from membrane_xai._backend.labels import group_codes
from membrane_xai._backend.status import as_words
from membrane_xai.errors import InvalidInputError
from membrane_xai.metrics._map import shape_of
from membrane_xai.metrics._mass import check_negative
from membrane_xai.statistics._clusters import count_reasons
from membrane_xai.statistics._shifts import prepared

__all__ = ["PermutationNull", "permutation_null"]

Floats = NDArray[np.float64]

_FEWEST = 4
"""Patients: three can be put in 6 orders, and no p is below 1/6; four in 24."""
_ROOM = 1e-10  # within which two excesses tie, relative to the largest
_BLOCK = 1 << 22  # numbers of CAMs held at a time
RULES_OUT = (
    "CAMs that would lie as well on the masks of other patients: a favourite place, a favourite "
    "size or shape, chance"
)
LEAVES_OPEN = (
    "what goes with the membrane in each image, such as tumour against stroma where the region "
    "holds both, or the insides of the cells"
)


@dataclass(frozen=True, slots=True)
class PermutationNull:
    """How far a set of CAMs is toward the ideal, beside what it would be on other patients.

    Attributes
    ----------
    score : float
        ``sum(MAP - chance) / sum(ideal - chance)``: 0 chance, 1 CAMs that follow the masks exactly.
        The sums run over patients, of each the mean over its samples.
    p_value : float
        One-sided, in (0, 1]: the share of orders of the patients, the given one included, in which
        the CAMs score as well on the masks. NaN with fewer than four patients, see `status`.
    null_mean, null_sd : float
        Mean and standard deviation of the score over the orders: what a favourite place is worth.
    n_null : int
        Orders compared with, the given one included.
    exact : bool
        Whether these are all orders.
    least_p : float
        The least p that so many patients, or orders, can give.
    n, n_groups : int
        Samples and patients that went in.
    n_undefined : int
        Samples left out because their MAP is undefined.
    undefined : dict of str to int
        The same by status.
    status : str
        "ok"; "few_groups" with fewer than four patients, whose least p is above 0.05; "flat_masks"
        where no mask leaves anything to be had above chance.
    rules_out, leaves_open : str
        What a small p speaks against, and what it does not.
    """

    score: float
    p_value: float
    null_mean: float
    null_sd: float
    n_null: int
    exact: bool
    least_p: float
    n: int
    n_groups: int
    n_undefined: int
    undefined: Mapping[str, int]
    status: str
    rules_out: str = RULES_OUT
    leaves_open: str = LEAVES_OPEN


class _OnGrid(NamedTuple):
    """CAMs, masks and regions of the samples of one patient, (m, h w) each."""

    cams: Floats
    inside: Floats
    region: Floats


def permutation_null(
    cams: Any,
    masks: Any,
    groups: Any,
    *,
    region: Any = None,
    permutations: int = 9999,
    negative: str = "clip",
    seed: int = 0,
) -> PermutationNull:
    r"""Compare the MAP of a set with that of the same CAMs laid on the masks of other patients.

    A network that looks at the centre of every patch, where the tumour is, scores above chance and
    against its own CAMs moved about, and knows nothing of a membrane. Its CAMs fit the masks of
    other patients as well as their own. Whole patients change places, masks and regions stay.

    Parameters
    ----------
    cams, masks, region
        Batches of N, as in :func:`membrane_xai.map_score`, with CAMs of one grid. Masks whose cells
        lie elsewhere than at half-pixel centres are pooled first:
        ``pooled = pool_mask(masks, grid)``, then `pooled.mask` and `pooled.region`.
    groups : sequence of N labels
        The patient (or slide) of each sample.
    permutations : int
        Orders of patients to draw, from 100; all of them where there are no more, as of seven
        patients.
    negative
        As in :func:`membrane_xai.map_score`.
    seed : int
        From 0, for the orders.

    Returns
    -------
    PermutationNull
        Score, p-value, and what they do and do not say.

    Raises
    ------
    InvalidInputError
        As in :func:`membrane_xai.map_score`; groups that do not fit, unknown options.

    Notes
    -----
    The samples of the patient who gives the CAMs meet those of the patient who has the masks in
    their order, from the start again if there are fewer; a CAM without activation in the region of
    another patient counts as chance there. Each patient weighs alike, and orders change no
    denominator. The test is exact where patients have equally many samples, and nearly so
    otherwise [1]_. Time goes with N times the number of patients.

    References
    ----------
    .. [1] Phipson and Smyth, "Permutation p-values should never be zero", Statistical Applications
       in Genetics and Molecular Biology 9 (2010), 39.

    Examples
    --------
    Six patients, each with a membrane of its own; CAMs that know it a little:

    >>> import numpy as np
    >>> from membrane_xai.statistics import permutation_null
    >>> membranes = np.random.default_rng(0).random((12, 6, 6)) < 0.3
    >>> patients = np.repeat(list("ABCDEF"), 2)
    >>> result = permutation_null(1 + membranes, membranes, patients)
    >>> result.n_null, result.exact, round(result.p_value, 4)
    (720, True, 0.0014)

    One and the same CAM, whatever the image, has nothing that other patients have not:

    >>> centre = np.zeros((12, 6, 6))
    >>> centre[:, 2:4, 2:4] = 1
    >>> permutation_null(centre, membranes, patients).p_value
    1.0

    Three patients cannot give a p below 0.05:

    >>> fewer = permutation_null(1 + membranes[:6], membranes[:6], patients[:6])
    >>> fewer.p_value, fewer.status, round(fewer.least_p, 3)
    (nan, 'few_groups', 0.167)
    """
    check_negative(negative)
    if not is_count(permutations) or permutations < 100:
        raise InvalidInputError(
            f"permutations is {permutations!r}; it takes an integer of at least 100"
        )
    rng = np.random.default_rng(check_seed(seed))
    table, words = _on_grid(cams, masks, region, negative)
    codes = group_codes(groups, len(table))[0]
    ok = words == "ok"
    reasons = count_reasons(~ok, words)
    patients = [
        _OnGrid(*np.split(table[ok & (codes == code)], 3, axis=1)) for code in np.unique(codes[ok])
    ]
    count = len(patients)
    every = math.factorial(count) if count < 20 else math.inf
    exact = every <= permutations
    n_null = int(every) if exact else int(permutations) + 1
    facts: dict[str, Any] = {
        "exact": exact,
        "least_p": 1 / n_null,
        "n": int(ok.sum()),
        "n_groups": count,
        "n_undefined": int((~ok).sum()),
        "undefined": reasons,
    }
    nothing: dict[str, Any] = {
        "p_value": math.nan,
        "null_mean": math.nan,
        "null_sd": math.nan,
        "n_null": 0,
    }
    room = sum(_room_above_chance(patient) for patient in patients)
    excess = np.stack([_excess(patients, owner) for owner in patients], axis=1) if count else None
    if excess is None or room <= 0:
        status = "flat_masks" if count >= _FEWEST else "few_groups"
        return PermutationNull(score=math.nan, status=status, **nothing, **facts)
    score = float(np.trace(excess)) / room
    if count < _FEWEST:
        return PermutationNull(score=score, status="few_groups", **nothing, **facts)
    scores = _scores(excess, int(permutations), exact, rng) / room
    tie = _ROOM * max(float(np.abs(excess).max()) * count / room, abs(score))
    return PermutationNull(
        score=score,
        p_value=float((scores >= score - tie).mean()),
        null_mean=float(scores.mean()),
        null_sd=float(scores.std()),
        n_null=n_null,
        status="ok",
        **facts,
    )


def _on_grid(cams: Any, masks: Any, region: Any, negative: str) -> tuple[Floats, Any]:
    """Return CAMs, masks and regions of all samples, (N, 3 h w), and statuses."""
    cams = listed(cams)
    one = cams[0] if is_array_list(cams) else cams if is_dataarray(cams) else as_array(cams, "cam")
    pixels = math.prod(shape_of(one))

    def core(cam: Array, mask: Array, within: Array | None) -> Array:
        block = prepared(cam, mask, within, negative)
        n = len(block.cam)
        parts = [
            np.broadcast_to(x.reshape(len(x), -1), (n, pixels))
            for x in (block.cam, block.inside, block.region)
        ]
        return from_numpy(cam, np.column_stack([*parts, block.codes]).astype(np.float64))

    found = over_arrays(core, CAM_MASK, (cams, masks, region), 3 * pixels + 1)
    table = np.asarray(to_numpy(found.data if is_dataarray(found) else found), np.float64)
    if table.ndim == 1:
        raise InvalidInputError("cams and masks are a single pair; they are batches of N")
    return table[:, :-1], np.asarray(as_words(table[:, -1].astype(int)))


def _excess(patients: list[_OnGrid], owner: _OnGrid) -> Floats:
    """Return for each patient how far its CAMs exceed chance on the owner's masks, on average."""
    each = np.arange(len(owner.inside))
    chance = owner.inside.sum(axis=1) / owner.region.sum(axis=1)
    step = max(1, _BLOCK // owner.inside.size)
    found = []
    for start in range(0, len(patients), step):
        drawn = np.stack([p.cams[each % len(p.cams)] for p in patients[start : start + step]])
        top = np.vecdot(drawn, owner.inside)
        whole = np.vecdot(drawn, owner.region)
        seen = whole > 0
        score = np.where(seen, top / np.where(seen, whole, 1), chance)
        found.append((score - chance).mean(axis=1))
    return np.concatenate(found)


def _room_above_chance(owner: _OnGrid) -> float:
    """Return how far the ideal exceeds chance on the owner's masks, on average."""
    seen = owner.region > 0
    share = np.where(seen, owner.inside / np.where(seen, owner.region, 1), 0)
    ideal = np.vecdot(share, owner.inside) / owner.inside.sum(axis=1)
    chance = owner.inside.sum(axis=1) / owner.region.sum(axis=1)
    return float((ideal - chance).mean())


def _scores(excess: Floats, permutations: int, exact: bool, rng: np.random.Generator) -> Floats:
    """Return the sum of excesses in each order of the patients, the given one included."""
    owners = np.arange(len(excess))
    if exact:
        return _sums(excess, np.array(list(orders(range(len(excess))))))
    step = max(1, _BLOCK // len(excess))
    found = [_sums(excess, owners[None])]
    for start in range(0, permutations, step):
        rows = min(step, permutations - start)
        found.append(_sums(excess, rng.permuted(np.tile(owners, (rows, 1)), axis=1)))
    return np.concatenate(found)


def _sums(excess: Floats, givers: NDArray[np.intp]) -> Floats:
    sums: Floats = excess[givers, np.arange(len(excess))].sum(axis=1)
    return sums
