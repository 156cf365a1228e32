"""A validation split, carved out of what is there to learn from."""

from collections.abc import Sequence

from her2_models.data._blocks import blocks
from her2_models.data._folds import one_fold
from her2_models.data._manifest import Record
from her2_models.data._names import read_file_name
from membrane_xai.errors import InvalidInputError

__all__ = ["carve_validation"]


def carve_validation(
    records: Sequence[Record],
    splits: Sequence[str],
    share: float,
    seed: int,
    allow_ungrouped: bool,
) -> list[str]:
    """Return `splits` with a share of "train" turned into "val"."""
    if "val" in splits:
        raise InvalidInputError(
            f"validation_share is {share!r}, and there is a validation split already; it takes 0"
        )
    train = [i for i, split in enumerate(splits) if split == "train"]
    if not train:
        raise InvalidInputError(f"validation_share is {share!r}, and there is no training split")
    chosen = _choose(records, train, share, seed, allow_ungrouped)
    return ["val" if i in chosen else split for i, split in enumerate(splits)]


def _choose(
    records: Sequence[Record], train: list[int], share: float, seed: int, allow_ungrouped: bool
) -> frozenset[int]:
    """Choose whole groups, else runs of counters, else, if that is allowed, single records."""
    grouped = any(records[i].group is not None for i in train)
    counted = all(read_file_name(records[i].path.stem).counter is not None for i in train)
    if not grouped and (counted or not allow_ungrouped):
        return blocks(records, train, share, seed)
    inside = [records[i] for i in train]
    try:
        fold = one_fold(inside, round(1 / share), 0, seed, allow_ungrouped=allow_ungrouped)
    except InvalidInputError as error:
        raise InvalidInputError(f"validation_share is {share!r}: {error}") from None
    return frozenset(train[i] for i in fold)
