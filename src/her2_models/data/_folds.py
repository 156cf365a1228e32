"""Stratified folds that keep groups whole."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from her2_models.data._manifest import Record
from membrane_xai.errors import InvalidInputError, missing
from membrane_xai.her2_rule import GRADES

__all__ = ["one_fold", "split_folds"]


def split_folds(
    records: Sequence[Record], n_folds: int, fold: int, seed: int, allow_ungrouped: bool
) -> list[str]:
    """Return "test" for the records of one fold, "train" for the rest."""
    held_out = one_fold(records, n_folds, fold, seed, allow_ungrouped=allow_ungrouped)
    return ["test" if i in held_out else "train" for i in range(len(records))]


def one_fold(
    records: Sequence[Record], n_folds: int, fold: int, seed: int, *, allow_ungrouped: bool
) -> frozenset[int]:
    """Return the positions of the records of one fold."""
    try:
        from sklearn.model_selection import (  # type: ignore[import-untyped]
            StratifiedGroupKFold,
        )
    except ImportError as error:
        raise missing(error, "a split by group", extra="her2") from error
    keys = _group_keys(records, allow_ungrouped)
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    _check_enough(records, len(numbers), n_folds)
    grades = np.array([record.score for record in records])
    groups = np.array([numbers[key] for key in keys])
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    held_out = list(folds.split(grades, grades, groups))[fold][1]
    if not held_out.size:
        raise InvalidInputError(
            f"fold is {fold} of {n_folds}, and empty: a few groups hold most records; "
            f"it takes fewer folds"
        )
    return frozenset(held_out.tolist())


def _group_keys(records: Sequence[Record], allow_ungrouped: bool) -> list[Hashable]:
    """Return what must stay together; a record without group stands alone, if that is allowed."""
    missing = sum(record.group is None for record in records)
    if missing and not allow_ungrouped:
        raise InvalidInputError(
            f"manifest has {missing} of {len(records)} records without a group, so patches of one "
            f"slide could lie on both sides and scores would be too good; it takes a CSV with the "
            f"column group, group_pattern (--group-pattern), scheme 'blocks', or "
            f"allow_ungrouped=True (--allow-ungrouped)"
        )
    return [record.whole_group or i for i, record in enumerate(records)]


def _check_enough(records: Sequence[Record], n_groups: int, n_folds: int) -> None:
    if n_groups < n_folds:
        raise InvalidInputError(
            f"manifest has {n_groups} groups; it takes one for each of {n_folds} folds"
        )
    counts = Counter(record.score for record in records)
    for grade, count in sorted(counts.items()):
        if count < n_folds:
            raise InvalidInputError(
                f"manifest has {count} records of score {GRADES[grade]}; "
                f"it takes one for each of {n_folds} folds, or none"
            )
