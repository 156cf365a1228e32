"""Which images a network learns from, is chosen by, and is tested on."""

from pathlib import Path

from her2_models.data._blocks import split_blocks
from her2_models.data._folds import split_folds
from her2_models.data._given import split_official, split_origin
from her2_models.data._manifest import Manifest
from her2_models.data._validation import carve_validation
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
        splits = split_official(manifest.records)
        made = manifest.scheme or scheme
    elif scheme == "origin":
        splits = split_origin(manifest.records)
        made = scheme
    elif scheme == "kfold":
        _check_fold(n_folds, fold)
        splits = split_folds(manifest.records, n_folds, fold, seed, allow_ungrouped)
        made = f"kfold {fold} of {n_folds}, seed {seed}"
    else:
        _check_share("test_share", test_share, zero=False)
        splits = split_blocks(manifest.records, test_share, seed)
        made = f"blocks {test_share:g}, seed {seed}"
    if validation_share:
        splits = carve_validation(manifest.records, splits, validation_share, seed, allow_ungrouped)
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
    split_official(manifest.records)
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
