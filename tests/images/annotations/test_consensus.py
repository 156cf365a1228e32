"""Masks of several annotators into one."""

import re

import numpy as np
import pytest
import shapely

from membrane_xai import map_score
from membrane_xai.annotations import consensus, rasterize
from membrane_xai.errors import InvalidInputError


def test_consensus_is_a_mask_for_map_score():
    three = [shapely.box(0, 0, 2, 1), shapely.box(0, 0, 1, 1), shapely.box(0, 0, 1, 1)]
    masks = [rasterize(one, (1, 4)) for one in three]
    looked = [rasterize(shapely.box(0, 0, x, 1), (1, 4)) for x in (3, 2, 1)]
    both = consensus(masks, regions=looked)
    assert both.annotators.tolist() == [[3, 2, 1, 0]]
    assert both.mask.tolist() == [[1, 0.5, 0, 0]]
    assert both.region.tolist() == [[True, True, True, False]]
    assert map_score(np.ones((1, 4)), both.mask, region=both.region) == pytest.approx(1.5 / 3)
    np.testing.assert_allclose(consensus(masks).mask, [[1, 1 / 3, 0, 0]])


@pytest.mark.parametrize(
    ("masks", "regions", "message"),
    [
        ([], None, "masks is empty; it takes one map for each annotator"),
        (
            [np.ones((2, 2)), np.ones((2, 3))],
            None,
            "masks[1] has shape (2, 3), masks[0] has (2, 2)",
        ),
        ([np.full((2, 2), 255)], None, "masks[0] has values from 255 to 255"),
        ([np.full((2, 2), np.nan)], None, "masks[0] has NaN"),
        ([np.ones((2, 2))], [np.ones((2, 2))] * 2, "regions has 2 of shape (2, 2); it takes 1"),
    ],
)
def test_consensus_refuses(masks, regions, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        consensus(masks, regions=regions)
