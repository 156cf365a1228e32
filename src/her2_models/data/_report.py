"""`DataReport`: counts, duplicates, leaks and unreadable files of a data set."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from membrane_xai.her2_rule import GRADES

__all__ = ["DataReport"]

_SHOWN = 5  # items named with each problem


@dataclass(frozen=True, slots=True)
class DataReport:
    """What :func:`check` found.

    Attributes
    ----------
    counts : dict
        By split, the images of score 0, 1+, 2+ and 3+.
    sources : dict
        By source, the number of images.
    unlike_published : tuple of str
        Counts that differ from the published ones, as sentences.
    label_conflicts : tuple of Path
        Images whose name says another score than their folder or table; in HER2-IHC-40x-Patch,
        whose names carry the slide's score and folders the patch's, that is one of the `notes`.
    duplicates : tuple of tuple of Path
        Images that are identical byte by byte.
    across_splits : tuple of tuple of Path
        Those of them that lie in more than one split.
    near_duplicates : tuple of tuple of Path
        Images that look alike though their bytes differ: written anew, resized, cropped by a few
        per cent, turned or flipped. Flat ones, such as empty glass, are not compared.
    near_across_splits : tuple of tuple of Path
        Those of them that lie in more than one split.
    unreadable : tuple of (Path, str)
        Images that are missing, truncated, damaged, grey or too large, with the reason.
    empty_classes : tuple of str
        Scores without an image, of each split.
    patient_safe : str
        "yes" only if every image has a group, and no group and no image, by its bytes or its looks,
        lies in two splits; else "no: ", and why.
    pairs : tuple of Path
        Images of BCI, whose patches are square, that are twice as wide as high: H&E and IHC side by
        side. Others of such a shape are one of the `notes`.
    leak_safe, split : str
        Verdict and reason of :func:`leak_safety` on the test split, copies included.
    groups_across_splits : tuple of str
        Groups that lie in more than one split.
    notes : tuple of str
        What to know, though nothing is wrong.
    nuclear_diameters : dict of str to float
        By source and pixel size, the median diameter in micrometres of the nuclei of up to 20
        images; those where nuclei could be told apart.
    pixel_sizes : tuple of str
        Sources and pixel sizes whose nuclei are too small or too large (below 4 or above 12
        micrometres, at least 30 of them), as sentences.

    Examples
    --------
    >>> from her2_models.data import Manifest, Record, check
    >>> report = check(Manifest([Record("her2-0-score_train_04.png", 3)]))
    >>> report.ok
    False
    >>> print(report)
    split      0    1+    2+    3+
    none       0     0     0     1
    problem: 1 image whose name says another score: her2-0-score_train_04.png
    problem: 1 unreadable image: her2-0-score_train_04.png (there is no such file)
    problem: no image of score 0, 1+, 2+ in none
    patient-safe: no: names carry no group
    """

    counts: dict[str, tuple[int, int, int, int]]
    sources: dict[str, int]
    unlike_published: tuple[str, ...]
    label_conflicts: tuple[Path, ...]
    duplicates: tuple[tuple[Path, ...], ...]
    across_splits: tuple[tuple[Path, ...], ...]
    unreadable: tuple[tuple[Path, str], ...]
    empty_classes: tuple[str, ...]
    patient_safe: str
    groups_across_splits: tuple[str, ...]
    notes: tuple[str, ...]
    nuclear_diameters: dict[str, float] = field(default_factory=dict)
    pixel_sizes: tuple[str, ...] = ()
    near_duplicates: tuple[tuple[Path, ...], ...] = ()
    near_across_splits: tuple[tuple[Path, ...], ...] = ()
    pairs: tuple[Path, ...] = ()
    leak_safe: str = "unknown"
    split: str = ""

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, a sentence each; that names carry no group is a limit, not a fault."""
        copies = [" = ".join(map(str, paths)) for paths in self.duplicates]
        across = [" = ".join(map(str, paths)) for paths in self.across_splits]
        near = [" = ".join(map(str, paths)) for paths in self.near_across_splits]
        damaged = [f"{path} ({why})" for path, why in self.unreadable]
        named = (
            _listed(self.label_conflicts, "image{} whose name says another score"),
            _listed(across, "set{} of identical images in several splits"),
            _listed(near, "set{} of images that look alike in several splits"),
            _listed(copies, "set{} of identical images in all"),
            _listed(damaged, "unreadable image{}"),
            _listed(self.pairs, "image{} of BCI with H&E and IHC side by side"),
            _listed(self.groups_across_splits, "group{} in several splits"),
        )
        return (
            *self.unlike_published,
            *filter(None, named),
            *self.empty_classes,
            *self.pixel_sizes,
        )

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON.

        Returns
        -------
        dict
            The attributes, ``ok`` and ``problems``.
        """
        values = {"ok": self.ok, "problems": self.problems, **asdict(self)}
        return {name: _plain(value) for name, value in values.items()}

    def __str__(self) -> str:
        width = len("split ")
        lines = ["split".ljust(width) + "".join(name.rjust(6) for name in GRADES)]
        for split, row in self.counts.items():
            lines.append(split.ljust(width) + "".join(str(count).rjust(6) for count in row))
        lines += [f"problem: {problem}" for problem in self.problems]
        lines += [f"note: {note}" for note in self.notes]
        if {"train", "val"} & self.counts.keys() and "test" in self.counts:
            lines.append(f"split: {self.split}")
        return "\n".join([*lines, f"patient-safe: {self.patient_safe}"])


def _listed(items: Any, what: str) -> str:
    if not items:
        return ""
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    text = what.format("" if len(items) == 1 else "s")
    return f"{len(items)} {text}: {'; '.join(map(str, items[:_SHOWN]))}{more}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
