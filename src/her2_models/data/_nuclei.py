"""Whether nuclei have the size that they should at the pixel size of a data set."""

import warnings
from collections.abc import Sequence

import numpy as np

from her2_models.data._manifest import Record
from membrane_xai.cells import NuclearSize, measure_nuclei
from membrane_xai.cli import progress
from membrane_xai.errors import MembraneXAIError, MembraneXAIWarning
from membrane_xai.io import MPP_AT_1X, read_image

__all__ = ["nuclear_sizes"]

_SAMPLE = 20  # images of each source and pixel size: some hundred nuclei, in seconds
_COARSEST = 1.5  # micrometres per pixel: nuclei are hardly a few pixels wide


def nuclear_sizes(
    records: Sequence[Record], max_pixels: int
) -> dict[tuple[str, float], NuclearSize]:
    """Measure the nuclei of a sample of images, by source and micrometres per pixel.

    The pixel size is that of the record, or the nominal one of its objective. Images that cannot be
    read are left out.
    """
    groups: dict[tuple[str, float], list[Record]] = {}
    for record in records:
        mpp = _mpp_of(record)
        if mpp is not None and mpp <= _COARSEST:
            groups.setdefault((record.source, mpp), []).append(record)
    samples = {key: _spread(group) for key, group in groups.items()}
    found: dict[tuple[str, float], list[NuclearSize]] = {key: [] for key in samples}
    with progress(sum(map(len, samples.values()))) as show:
        done = 0
        for key, sample in samples.items():
            for record in sample:
                found[key] += _measured(record, key[1], max_pixels)
                done += 1
                show(done, "measuring nuclei")
    return {key: NuclearSize.together(sizes) for key, sizes in found.items()}


def _mpp_of(record: Record) -> float | None:
    if record.mpp is not None or record.magnification is None:
        return record.mpp
    return MPP_AT_1X / record.magnification


def _spread(records: Sequence[Record]) -> list[Record]:
    """Return records at equal distances, so that no class or slide is left out."""
    at = np.linspace(0, len(records) - 1, min(_SAMPLE, len(records))).round().astype(int)
    return [records[i] for i in at]


def _measured(record: Record, mpp: float, max_pixels: int) -> list[NuclearSize]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MembraneXAIWarning)  # of another pixel size
            image = read_image(record.path, mpp=mpp, max_pixels=max_pixels)
        return [measure_nuclei(image.rgb, mpp=mpp)]
    except (MembraneXAIError, OSError, MemoryError):
        return []  # the check of the files says why
