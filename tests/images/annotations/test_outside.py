"""Outlines outside their image: how many, how much, and what is no slip."""

import warnings

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import LineString, Point, box

from membrane_xai.annotations import Annotation, rasterize
from membrane_xai.annotations._outside import outside
from membrane_xai.annotations._window import Window
from membrane_xai.errors import MembraneXAIWarning

IMAGE = Window((64, 64), (0.0, 0.0), 1.0)


def measured(*polygons, window=IMAGE):
    return outside(np.array(polygons, dtype=object), window)


def test_counts_and_share_by_hand():
    inside, half, beyond = box(10, 10, 30, 20), box(54, 0, 74, 10), box(100, 0, 120, 10)
    found = measured(inside, half, beyond)
    assert found == (3, 1, 1, 0.5)  # 10 x 10 of one and 20 x 10 of another, of 600
    assert str(found) == "1 wholly and 1 partly of 3 (50.0% of their area)"
    assert str(measured(beyond)) == "1 wholly of 1 (100.0% of their area)"
    assert not measured(inside)
    assert not measured()


@pytest.mark.parametrize(
    ("reach", "side", "counts"),
    [(1, 64, False), (5, 64, False), (5.1, 64, True), (9, 2000, False), (11, 2000, True)],
)
def test_tools_may_reach_over_the_edge_by_a_few_pixels(reach, side, counts):
    window = Window((side, side), (0.0, 0.0), 1.0)
    for shape in (
        box(-reach, 10, 40, 20),
        box(10, -reach, 40, 20),
        box(40, 10, side + reach, 20),
        box(10, 40, 20, side + reach),
    ):
        assert bool(measured(shape, window=window)) == counts


def test_what_lies_wholly_outside_counts_however_near():
    assert measured(box(-2, 10, -1, 11)).wholly == 1
    assert measured(box(64, 10, 66, 11)).wholly == 1  # touches


def test_in_a_window_the_limit_is_in_its_own_pixels():
    window = Window((64, 64), (1000.0, 0.0), 4.0)
    assert not measured(box(985, 0, 1100, 10), window=window)  # 15 of the slide are 3.75 here
    assert measured(box(975, 0, 1100, 10), window=window).partly == 1


@given(st.lists(st.tuples(*[st.integers(-40, 100)] * 2, *[st.integers(1, 50)] * 2), min_size=1))
def test_against_the_same_boxes_pixel_by_pixel(boxes):
    found = measured(*(box(x, y, x + w, y + h) for x, y, w, h in boxes))
    wholly = partly = lost = 0
    for x, y, w, h in boxes:
        inside = max(0, min(x + w, 64) - max(x, 0)) * max(0, min(y + h, 64) - max(y, 0))
        reach = max(-x, -y, x + w - 64, y + h - 64)
        wholly += inside == 0
        counts = inside == 0 or reach > 5
        partly += counts and inside > 0
        lost += (w * h - inside) * counts
    assert found[:3] == (len(boxes), wholly, partly)
    assert found.share == pytest.approx(lost / sum(w * h for *_, w, h in boxes))


def test_rasterize_warns_for_a_whole_image_alone():
    shapes = [box(-20, 0, 20, 10), box(100, 100, 120, 120), Point(500, 500)]
    words = "1 wholly and 1 partly of 2"
    with (
        pytest.warns(MembraneXAIWarning, match="points"),
        pytest.warns(MembraneXAIWarning, match=words),
    ):
        rasterize(shapes, (64, 64))
    with pytest.warns(MembraneXAIWarning, match="1 partly of 1"):
        rasterize(LineString([(0, 30), (90, 30)]), (64, 64), mpp=1, line_width=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rasterize(shapes[:2], (64, 64), offset=(0, 0))  # a window of a slide has neighbours


def test_rasterize_warns_of_regions_among_others():
    shapes = [Annotation(box(0, 0, 4, 4), "Membrane"), Annotation(box(0, 0, 9, 9), "Ignore*")]
    with pytest.warns(MembraneXAIWarning, match=r"outlines of 'Ignore\*', which are regions"):
        assert rasterize(shapes, (9, 9)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rasterize(shapes, (9, 9), classes="Membrane").sum() == 16
        assert rasterize(shapes[1:], (9, 9)).all()
        assert rasterize(shapes, (9, 9), classes=["Membrane", "Ignore*"]).all()


def test_an_outline_around_the_image_is_partly_outside():
    found = measured(shapely.box(-64, -64, 128, 128))
    assert found[:3] == (1, 0, 1)
    assert found.share == pytest.approx(8 / 9)


def test_cores_of_a_microarray_among_others_are_warned_of():
    core = Annotation(box(0, 0, 20, 20), properties={"objectType": "tmaCore"})
    found = [core, Annotation(box(0, 0, 5, 5))]
    with pytest.warns(MembraneXAIWarning, match="outlines of 'TMA core', which are regions"):
        assert rasterize(found, (20, 20)).sum() == 400
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rasterize([core], (20, 20)).sum() == 400
