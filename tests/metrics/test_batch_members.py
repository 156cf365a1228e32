"""A batch is its members one by one, errors included, whatever is wrong with a batch-mate."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import membrane_xai as mx
from membrane_xai.annotations import vectorize
from membrane_xai.errors import InvalidInputError

INF, NAN = np.inf, np.nan
GRID, SIZE = (2, 3), (4, 6)
CAMS = {
    "plain": (), "zero": (0.0,) * 6, "nan": (NAN,), "inf": (INF,), "-inf": (-INF,),
    "negative": (-1.5,), "nan and negative": (NAN, -2.5), "inf and negative": (INF, -3.5),
}  # fmt: skip
MASKS = {
    "plain": (), "zero": (0.0,) * 24, "nan": (NAN,), "inf": (INF,), "-inf": (-INF,),
    "both": (INF, -INF), "255": (255.0,), "negative": (-0.5,), "inf and 255": (INF, 255.0),
    "-inf and negative": (-INF, -0.25), "nan and 2": (NAN, 2.0), "inf and negative": (INF, -2.0),
    "-inf and 7": (-INF, 7.0),
}  # fmt: skip
ALIGNED = ("map", "chance", "ceiling", "relative", "coverage", "cam_min", "cam_max")


def sample(kind, shape, seed, *, binary):
    rng = np.random.default_rng(seed)
    values = (rng.random(shape) < 0.6) * 1.0 if binary else rng.random(shape)
    values.flat[: len(kind)] = kind
    return values


def aligned(cam, mask, region, negative):
    found = mx.alignment(cam, mask, region=region, negative=negative)
    return [getattr(found, name) for name in ALIGNED]


MEASURES = {
    "map_score": lambda c, m, r, n: [mx.map_score(c, m, region=r, negative=n)],
    "threshold": lambda c, m, r, n: [mx.map_score(c, m, region=r, negative=n, threshold=0.5)],
    "alignment": aligned,
    "map_curve": lambda c, m, r, n: list(
        mx.map_curve(c, m, region=r, negative=n, thresholds=[0.3, 0.9])[1:3]
    ),
    "map_ceiling": lambda c, m, r, n: [mx.map_ceiling(m, GRID, region=r)],
    "rank_accuracy": lambda c, m, r, n: [mx.rank_accuracy(c, m, region=r)],
    "pointing_game": lambda c, m, r, n: [mx.pointing_game(c, m, region=r)],
}


def outcome(backend, measure, cam, mask, region, negative):
    """Return the numbers, or the text of the error."""
    own = [None if x is None else backend.asarray(x) for x in (cam, mask, region)]
    try:
        found = MEASURES[measure](*own, negative)
        return [np.asarray(x if isinstance(x, float) else backend.to_numpy(x)) for x in found]
    except InvalidInputError as error:
        return str(error)


@pytest.mark.parametrize("measure", MEASURES)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_batch_is_its_members(backend, measure, data):
    count = data.draw(st.integers(2, 4))
    kinds = st.lists(st.sampled_from(sorted(MASKS)), min_size=count, max_size=count)
    looks = st.lists(st.sampled_from(sorted(CAMS)), min_size=count, max_size=count)
    seed, negative = data.draw(st.integers(0, 99)), data.draw(st.sampled_from(["clip", "raise"]))
    places = range(seed, seed + count)
    cams, masks = (
        np.stack(
            [
                sample(known[kind], shape, i, binary=flag)
                for i, kind in zip(places, chosen, strict=True)
            ]
        )
        for known, chosen, shape, flag in (
            (CAMS, data.draw(looks), GRID, False),
            (MASKS, data.draw(kinds), SIZE, True),
        )
    )
    regions = [None] * count
    if data.draw(st.booleans()):
        regions = np.stack(
            [sample(MASKS[kind], SIZE, i + 50, binary=True)
             for i, kind in zip(places, data.draw(kinds), strict=True)]
        )  # fmt: skip
    alone = [
        outcome(backend, measure, *one, negative) for one in zip(cams, masks, regions, strict=True)
    ]
    together = outcome(
        backend, measure, cams, masks, None if regions[0] is None else regions, negative
    )
    errors = [one for one in alone if isinstance(one, str)]
    if errors:
        assert together in errors
        return
    for column, batch in enumerate(together):
        members = np.stack([one[column] for one in alone])
        np.testing.assert_allclose(batch, members, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", ["mask", "region"])
@pytest.mark.parametrize("value", [INF, -INF, NAN])
def test_what_is_not_finite_hides_no_batch_mate(backend, name, value):
    cam, given = np.ones((3, 2, 2)), {"mask": np.ones((3, 4, 4)), "region": np.ones((3, 4, 4))}
    given[name][0, 1, 1] = value
    scores = mx.map_score(backend.asarray(cam), **to(backend, given))
    assert np.isnan(backend.to_numpy(scores)).tolist() == [True, False, False]
    given[name][2] *= 255
    with pytest.raises(InvalidInputError, match=f"{name} has values from 255 to 255; it takes"):
        backend.to_numpy(mx.map_score(backend.asarray(cam), **to(backend, given)))


def to(backend, arrays):
    return {name: backend.asarray(x) for name, x in arrays.items()}


def test_the_error_is_that_of_the_first_map_that_is_wrong():
    masks = np.ones((4, 4, 4))
    masks[0], masks[1, 0, 0], masks[2] = INF, 3, 255
    with pytest.raises(InvalidInputError, match="mask has values from 1 to 3; it takes bool or"):
        mx.map_score(np.ones((4, 2, 2)), masks)


def test_a_cam_of_nan_does_not_hide_how_negative_another_is():
    cams = np.array([[[NAN]], [[-2.0]], [[-9.0]]])
    with pytest.raises(InvalidInputError, match=re.escape("cam has negative values down to -2 ")):
        mx.map_score(cams, np.ones((3, 1, 1)), negative="raise")


def test_a_region_that_is_not_finite_has_no_ranking():
    regions = np.ones((2, 2, 2))
    regions[0, 0, 0] = INF
    cams = np.arange(8.0).reshape(2, 2, 2)
    found = mx.rank_accuracy(cams, np.eye(2, dtype=bool), region=regions)
    assert np.isnan(found).tolist() == [True, False]


def test_outlines_of_infinity():
    with pytest.raises(InvalidInputError, match="mask has NaN or infinity"):
        vectorize(np.array([[INF, 0.5]]))
