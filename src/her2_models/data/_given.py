"""Splits that somebody else made: by folders or a table, and by the names of files."""

from collections.abc import Sequence

from her2_models.data._manifest import Record
from her2_models.data._names import read_file_name
from membrane_xai.errors import InvalidInputError

__all__ = ["split_official", "split_origin"]


def split_official(records: Sequence[Record]) -> list[str]:
    """Return the splits that the records have, or raise if one has none."""
    return _complete(records, [record.split for record in records], "a split: scheme 'official'")


def split_origin(records: Sequence[Record]) -> list[str]:
    """Return the splits that tokens such as ``_test_`` in the names of files say."""
    tokens = [read_file_name(record.path.stem).origin for record in records]
    splits = _complete(records, tokens, "the token _train_, _val_ or _test_: scheme 'origin'")
    sides: dict[tuple[str, str], str] = {}
    for record, split in zip(records, splits, strict=True):
        group = record.whole_group
        if group and sides.setdefault(group, split) != split:
            raise InvalidInputError(
                f"manifest has group {record.group!r} in {sides[group]} and in {split} by the "
                f"names of its files; it takes scheme 'kfold', which keeps groups whole"
            )
    return splits


def _complete(records: Sequence[Record], splits: Sequence[str | None], what: str) -> list[str]:
    found = [split for split in splits if split is not None]
    if len(found) < len(records):
        first = records[splits.index(None)].path
        raise InvalidInputError(
            f"manifest has {len(records) - len(found)} of {len(records)} records without {what} "
            f"needs it on each; the first is {first}"
        )
    return found
