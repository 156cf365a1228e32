"""Split a data set into train, val and test: by folders, origin, folds or blocks."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from her2_models.data._folds import one_fold, split_folds
from her2_models.data._manifest import Manifest, Record
from her2_models.data._names import read_file_name
from membrane_xai.errors import InvalidInputError

__all__ = ["SCHEMES", "split_manifest", "write_splits"]

SCHEMES = ("official", "origin", "kfold", "blocks")
"""Ways to split: by folders, by the token in names, by grouped k-fold, by blocks of counters."""


def split_manifest(
    manifest: Manifest,
    scheme: str,
    *,
    validation_share: float = 0.0,
    seed: int = 0,
    n_folds: int = 5,
    fold: int = 0,
    test_share: float = 0.2,
    allow_ungrouped: bool = False,
) -> Manifest:
    """Put every image into "train", "val" or "test".

    Parameters
    ----------
    manifest : Manifest
        The images.
    scheme : {"official", "origin", "kfold", "blocks"}
        "official" keeps the splits that are there (folders, CSV). "origin" goes by the token
        ``_train_`` or ``_test_`` in file names, wherever the files lie. "kfold" tests on fold
        `fold` of `n_folds`; groups stay whole and scores are spread evenly. "blocks" tests on one
        run of neighbouring counters of each score, for names without groups: neighbours are likely
        of one slide, so only the two ends of a run can share one with another split. Likely is not
        surely: it lessens the leak and cannot exclude it. Copies of an image whose name tells them
        stay together.
    validation_share : float
        Share of "train" that becomes "val", from 0 to 0.5: whole groups where there are groups,
        else one run of counters of each score. Never anything of "test".
    seed : int
        Which groups or runs.
    n_folds, fold : int
        Of "kfold".
    test_share : float
        Of "blocks", above 0 to 0.5.
    allow_ungrouped : bool
        Let images without a group be split one by one, though patches of one slide may
        then lie on both sides.

    Returns
    -------
    Manifest
        The same records in the same order, and in `scheme` what was done.

    Raises
    ------
    InvalidInputError
        Another scheme, share, fold or seed; no records; records without what the scheme goes by;
        a group that "origin" would cut; a score with fewer images, or fewer groups in all, than
        folds.
    MissingDependencyError
        Groups without scikit-learn.

    Examples
    --------
    >>> from her2_models.data import Manifest, Record, split_manifest
    >>> names = [f"slide{i % 5}_{i:02}.png" for i in range(20)]
    >>> manifest = Manifest([Record(name, 2, group=name[:6]) for name in names])
    >>> split = split_manifest(manifest, "kfold", fold=1)
    >>> split.counts()
    {'train': (0, 0, 16, 0), 'test': (0, 0, 4, 0)}
    >>> len({record.group for record in split.by_split()["test"]})
    1
    >>> split_manifest(Manifest([Record(name, 2) for name in names]), "kfold")
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: manifest has 20 of 20 records without a group, ...
    """
    _check(manifest, scheme, validation_share, seed)
    if scheme == "official":
        splits = _official(manifest.records)
        made = manifest.scheme or scheme
    elif scheme == "origin":
        splits = _by_origin(manifest.records)
        made = scheme
    elif scheme == "kfold":
        _check_fold(n_folds, fold)
        splits = split_folds(manifest.records, n_folds, fold, seed, allow_ungrouped)
        made = f"kfold {fold} of {n_folds}, seed {seed}"
    else:
        _check_share("test_share", test_share, zero=False)
        splits = _by_blocks(manifest.records, test_share, seed)
        made = f"blocks {test_share:g}, seed {seed}"
    if validation_share:
        splits = _with_validation(manifest.records, splits, validation_share, seed, allow_ungrouped)
        made += f"; validation {validation_share:g} of train, seed {seed}"
    return manifest.with_splits(splits, made)


def write_splits(manifest: Manifest, folder: str | Path) -> Path:
    """Write a split manifest as ``splits.csv`` beside a run.

    Parameters
    ----------
    manifest : Manifest
        From :func:`split_manifest`.
    folder : path
        Of the run; it is made.

    Returns
    -------
    Path
        The file; :func:`discover` reads it.

    Raises
    ------
    InvalidInputError
        A record has no split.

    Examples
    --------
    >>> from her2_models.data import Manifest, Record, discover, write_splits
    >>> manifest = Manifest([Record("a.png", 2, "test")])
    >>> path = write_splits(manifest, getfixture("tmp_path"))
    >>> path.name, discover(path).counts()
    ('splits.csv', {'test': (0, 0, 1, 0)})
    """
    _official(manifest.records)
    return manifest.to_csv(Path(folder) / "splits.csv")


def _check(manifest: Manifest, scheme: str, validation_share: float, seed: int) -> None:
    if scheme not in SCHEMES:
        raise InvalidInputError(f"scheme is {scheme!r}; it takes one of {', '.join(SCHEMES)}")
    if not manifest.records:
        raise InvalidInputError("manifest has no records; it takes at least one")
    _check_share("validation_share", validation_share, zero=True)
    if not _is_count(seed) or seed >= 2**32:
        raise InvalidInputError(f"seed is {seed!r}; it takes an integer from 0 to 2**32 - 1")


def _check_share(name: str, share: float, *, zero: bool) -> None:
    if not (0 < share <= 0.5 or (zero and share == 0)):
        start = "from 0" if zero else "above 0"
        raise InvalidInputError(f"{name} is {share!r}; it takes a number {start} to 0.5")


def _check_fold(n_folds: int, fold: int) -> None:
    if not _is_count(n_folds) or n_folds < 2:
        raise InvalidInputError(f"n_folds is {n_folds!r}; it takes an integer from 2")
    if not _is_count(fold) or fold >= n_folds:
        raise InvalidInputError(f"fold is {fold!r}; it takes 0 to {n_folds - 1}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _official(records: Sequence[Record]) -> list[str]:
    """Return the splits that the records have, or raise if one has none."""
    return _complete(records, [record.split for record in records], "a split: scheme 'official'")


def _by_origin(records: Sequence[Record]) -> list[str]:
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


def _by_blocks(records: Sequence[Record], share: float, seed: int) -> list[str]:
    """Return "test" for one run of each source and score, "train" for the rest."""
    if any(record.group is not None for record in records):
        raise InvalidInputError(
            "manifest has records with a group; a run of counters would cut through groups: "
            "it takes scheme 'kfold'"
        )
    held_out = _runs(records, range(len(records)), share, seed)
    return ["test" if i in held_out else "train" for i in range(len(records))]


def _runs(
    records: Sequence[Record], among: Iterable[int], share: float, seed: int
) -> frozenset[int]:
    """Return the positions, of those in `among`, of one run of each source and score.

    A run is at least one source image, and never all; copies of one stay together.
    """
    images: dict[_Origin, list[int]] = {}
    for i in among:
        images.setdefault(_origin(records[i]), []).append(i)
    series: dict[tuple[str, int], list[_Origin]] = {}
    for origin in sorted(images):
        series.setdefault((origin.source, origin.grade), []).append(origin)
    random = np.random.default_rng(seed)
    chosen: list[int] = []
    for _, origins in sorted(series.items()):
        length = min(max(1, round(share * len(origins))), len(origins) - 1)
        start = int(random.integers(0, len(origins) - length + 1))
        for origin in origins[start : start + length]:
            chosen += images[origin]
    return frozenset(chosen)


class _Origin(NamedTuple):
    """The image that a file was made from, as far as names tell; sorts by counter."""

    source: str
    grade: int
    prefix: str
    counter: int
    path: str
    """Empty where the name alone tells, whatever folder a copy lies in."""


def _origin(record: Record) -> _Origin:
    name = read_file_name(record.path.stem)
    if name.counter is None:
        raise InvalidInputError(
            f"manifest has {record.path}, a name without a counter; blocks go by counters"
        )
    known = name.grade is not None
    return _Origin(
        record.source,
        record.score if name.grade is None else name.grade,
        name.prefix,
        name.counter,
        "" if known else record.path.as_posix(),
    )


def _with_validation(
    records: Sequence[Record],
    splits: Sequence[str],
    share: float,
    seed: int,
    allow_ungrouped: bool,
) -> list[str]:
    """Return `splits` with a share of "train" turned into "val"."""
    if "val" in splits:
        raise InvalidInputError(
            f"validation_share is {share!r}, and there is a validation split already; it takes 0 "
            f"(data.validation_share=0)"
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
        return _runs(records, train, share, seed)
    inside = [records[i] for i in train]
    try:
        fold = one_fold(inside, round(1 / share), 0, seed, allow_ungrouped=allow_ungrouped)
    except InvalidInputError as error:
        raise InvalidInputError(f"validation_share is {share!r}: {error}") from None
    return frozenset(train[i] for i in fold)
