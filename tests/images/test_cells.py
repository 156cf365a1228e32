"""Nuclei, territories and completeness of drawn cells whose membrane is known."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.ndimage import label as label_pieces

from membrane_xai import membrane_completeness, segment_nuclei
from membrane_xai.cells import cell_territories
from membrane_xai.datasets import synthetic_her2
from membrane_xai.errors import InvalidInputError
from membrane_xai.stain import HDAB, StainDensities, combine_stains

MPP = 0.5
SIDE = 80  # pixels: 40 micrometres
NUCLEUS, RADIUS = 3.0, 7.0  # micrometres


def polar(centre=(SIDE / 2, SIDE / 2), shape=(SIDE, SIDE)):
    """Return distance in micrometres and direction in degrees, from 0 to the right, clockwise."""
    row, column = np.indices(shape)
    down, across = (row - centre[0]) * MPP, (column - centre[1]) * MPP
    return np.hypot(down, across), np.degrees(np.arctan2(down, across)) % 360


def measured(membrane, nuclei, **options):
    dab = options.pop("dab", np.where(membrane, 0.6, 0.0))
    return membrane_completeness(membrane, nuclei, mpp=MPP, dab=dab, **options)


def one_cell(arc=360.0, width=1.5, start=0.0):
    distance, direction = polar()
    membrane = (np.abs(distance - RADIUS) <= width / 2) & ((direction - start) % 360 < arc)
    return membrane, (distance < NUCLEUS).astype(np.int32)


@pytest.mark.parametrize("arc", [0, 45, 90, 180, 270, 360])
def test_completeness_is_the_share_of_the_circle_that_is_drawn(arc):
    cells = measured(*one_cell(arc))
    assert cells.completeness[0] == pytest.approx(arc / 360, abs=1.5 / 72)
    assert np.isnan(cells.dab[0]) == np.isnan(cells.width_um[0]) == (arc == 0)


def test_a_ring_has_its_density_and_width_and_place():
    cells = measured(*one_cell(width=2.0))
    assert cells.dab[0] == pytest.approx(0.6)
    assert cells.width_um[0] == pytest.approx(2.0, abs=0.25)
    assert (cells.row[0], cells.col[0]) == (SIDE / 2, SIDE / 2)
    assert not cells.touches_border[0]


def test_density_is_that_of_the_crest():
    membrane, nuclei = one_cell(width=3.0)
    distance, _ = polar()
    dab = 0.8 - 0.2 * np.abs(distance - RADIUS)
    assert measured(membrane, nuclei, dab=dab).dab[0] == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize(
    ("dab", "intensity"),
    [(0.19, 0), (0.21, 1), (0.49, 1), (0.5, 2), (0.89, 2), (0.91, 3), (2.0, 3)],
)
def test_intensity_classes_begin_at_their_thresholds(dab, intensity):
    membrane, nuclei = one_cell()
    cells = measured(membrane, nuclei, dab=np.where(membrane, dab, 0.0))
    assert cells.intensity[0] == intensity


def test_unstained_cells_are_negative():
    cells = measured(*one_cell(0))
    assert (cells.completeness[0], cells.intensity[0]) == (0, 0)


def test_a_shared_wall_belongs_to_both_cells_and_no_further():
    """Three cells in a row; the wall between the first two is stained."""
    shape = (80, 120)
    nuclei = np.zeros(shape, np.int32)
    for label, column in enumerate((30, 54, 78), start=1):
        nuclei[polar((40, column), shape)[0] < NUCLEUS] = label
    membrane = np.zeros(shape, bool)
    membrane[30:51, 41:44] = True
    left, middle, right = measured(membrane, nuclei).completeness
    # Seen from a nucleus 6 micrometres away, a wall of 10.5 spans 2 * atan(5.25 / 6) = 82 degrees.
    assert left == pytest.approx(82 / 360, abs=0.05)
    assert middle == pytest.approx(left, abs=2 / 72)
    assert right == 0


def test_the_wall_of_the_next_cell_but_one_does_not_count():
    shape = (40, 120)
    nuclei = np.zeros(shape, np.int32)
    for label, column in enumerate((20, 44), start=1):
        nuclei[polar((20, column), shape)[0] < NUCLEUS] = label
    membrane = np.zeros(shape, bool)
    membrane[10:31, 54:57] = True  # beyond the second cell
    assert measured(membrane, nuclei).completeness[0] == 0


def test_stain_on_another_nucleus_is_no_membrane():
    membrane, nuclei = one_cell(0)
    other = polar((SIDE / 2, SIDE / 2 + 10))[0] < 1.5
    nuclei[other] = 2
    assert measured(membrane | other, nuclei).completeness[0] == 0


def test_membrane_beyond_reach_is_not_the_cells():
    membrane, nuclei = one_cell()
    assert measured(membrane, nuclei, reach=1.0).completeness[0] == 0


def test_cells_cut_by_the_border_are_measured_by_what_is_in_view():
    membrane, nuclei = one_cell()
    cut = SIDE // 2 + 2
    cells = measured(membrane[:, :cut], nuclei[:, :cut])
    assert cells.touches_border[0]
    assert cells.completeness[0] == pytest.approx(1, abs=2 / 36)


def test_rays_that_leave_the_image_do_not_count_even_where_they_met_membrane():
    membrane, nuclei = one_cell(width=2.0)
    cut = SIDE // 2 + round(RADIUS / MPP)  # along the middle of the membrane
    cells = measured(membrane[:, :cut], nuclei[:, :cut])
    assert cells.touches_border[0]
    assert cells.completeness[0] == 1


def test_a_cell_that_is_cut_a_little_is_cut():
    membrane, nuclei = one_cell()
    whole = SIDE // 2 + round((RADIUS + 2) / MPP)
    # The territory, 8 micrometres around the nucleus, ends 11 from the middle.
    for cut, touches in ((SIDE // 2 + 24, False), (SIDE // 2 + 21, True)):
        cells = measured(membrane[:, :cut], nuclei[:, :cut])
        assert whole < cut
        assert cells.touches_border[0] == touches


def test_eight_sectors_are_enough():
    assert measured(*one_cell(180), sectors=8).completeness[0] == 0.5


def test_density_off_the_membrane_does_not_count():
    membrane, nuclei = one_cell()
    dab = np.where(membrane, 0.6, 0.0) + (nuclei > 0)
    assert measured(membrane, nuclei, dab=dab).dab[0] == pytest.approx(0.6)


def by_the_definition(membrane, nuclei, dab, label, sectors, reach=8.0, step=0.25):
    """Follow each ray of a cell step by step: completeness, density, width, whether all is in."""
    territories = cell_territories(membrane, nuclei, mpp=MPP, reach=reach)
    middle = np.argwhere(nuclei == label).mean(axis=0)
    rays = []
    for sector in range(sectors):
        turn = (sector + 0.5) * 2 * np.pi / sectors
        ray, last = [], -1
        for i in range(int((reach + 7) / step)):
            away = (i + 0.5) * step / MPP
            at = tuple(np.rint(middle + away * np.array([np.sin(turn), np.cos(turn)])).astype(int))
            inside = all(0 <= x < n for x, n in zip(at, membrane.shape, strict=True))
            ray.append(at if inside else None)
            if inside and territories[at] == label:
                last = i
        if ray[last + 1] is None:
            continue
        hits = [at for at in ray[: last + 5] if at and membrane[at] and nuclei[at] in (0, label)]
        rays.append([dab[at] for at in hits])
    found = [ray for ray in rays if ray]
    if not found:
        return (0.0 if rays else np.nan), np.nan, np.nan, len(rays) < sectors
    density = np.mean([max(ray) for ray in found])
    width = np.mean([len(ray) for ray in found]) * step
    return len(found) / len(rays), density, width, len(rays) < sectors


@pytest.mark.parametrize("seed", range(3))
def test_every_number_is_that_of_the_definition_ray_by_ray(seed):
    """Nuclei of any shape, close to each other and to the border, and membrane anywhere."""
    rng = np.random.default_rng(seed)
    blobs = gaussian_filter(rng.standard_normal((60, 70)), 2.0)
    nuclei, count = label_pieces(blobs > 0.12)
    membrane = gaussian_filter(rng.standard_normal((60, 70)), 1.2) > 0.12
    dab = rng.random((60, 70))
    cells = measured(membrane, nuclei, dab=dab, sectors=40)
    assert count > 15
    expected = [by_the_definition(membrane, nuclei, dab, i, 40) for i in range(1, count + 1)]
    columns = (cells.completeness, cells.dab, cells.width_um, cells.touches_border)
    for column, values in zip(columns, zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(column.astype(float), np.array(values, float), atol=1e-6)


def test_labels_keep_their_names_and_order():
    membrane, nuclei = one_cell(180)
    shifted = np.where(np.roll(nuclei, 25, axis=1) > 0, 9, 0)
    cells = measured(membrane, np.where(nuclei > 0, 40, shifted))
    assert cells.id.tolist() == [9, 40]
    assert cells.completeness[1] == pytest.approx(0.5, abs=1.5 / 72)
    assert set(cells.to_dict()) == {
        "id", "row", "col", "completeness", "dab", "intensity", "width_um", "touches_border",
    }  # fmt: skip


def test_a_field_without_nuclei_has_an_empty_table():
    membrane, nuclei = one_cell()
    cells = measured(membrane, np.zeros_like(nuclei))
    assert len(cells) == 0
    assert cells.completeness.dtype == float


def test_a_field_all_of_one_label_is_one_cell():
    cells = measured(np.zeros((9, 9), bool), np.full((9, 9), 3))
    assert cells.id.tolist() == [3]
    assert cells.touches_border.tolist() == [True]


def test_more_cells_than_are_followed_at_once_change_nothing(monkeypatch):
    field = synthetic_her2("3+", size=256, mpp=0.5, seed=1)
    whole = measured(field.membrane, field.nuclei, dab=field.stains.dab)
    monkeypatch.setattr("membrane_xai.cells._rays._CELLS_AT_ONCE", 7)
    parts = measured(field.membrane, field.nuclei, dab=field.stains.dab)
    for name, column in whole.to_dict().items():
        np.testing.assert_array_equal(column, parts.to_dict()[name])


@settings(max_examples=25, deadline=None)
@given(
    arc=st.floats(0, 360),
    start=st.floats(0, 360),
    turns=st.integers(0, 3),
    mirror=st.booleans(),
)
def test_turning_and_mirroring_the_image_changes_no_number(arc, start, turns, mirror):
    membrane, nuclei = one_cell(arc, start=start)
    turned = [np.rot90(plane, turns) for plane in (membrane, nuclei)]
    turned = [np.ascontiguousarray(p[:, ::-1] if mirror else p) for p in turned]
    before, after = measured(membrane, nuclei), measured(*turned)
    assert after.completeness[0] == pytest.approx(before.completeness[0], abs=2 / 72)


@settings(max_examples=25, deadline=None)
@given(arc=st.floats(0, 300), more=st.floats(0, 60))
def test_more_membrane_is_never_less_complete(arc, more):
    less, nuclei = one_cell(arc)
    cells = measured(less, nuclei), measured(one_cell(arc + more)[0], nuclei)
    assert cells[0].completeness[0] <= cells[1].completeness[0]


def test_completeness_of_synthetic_fields_is_that_of_their_table():
    """Written independently: the table counts pixels of the border between territories."""
    field = synthetic_her2("2+", size=400, mpp=0.5, seed=5)
    cells = measured(field.membrane, field.nuclei, dab=field.stains.dab)
    row = {label: i for i, label in enumerate(field.cells["id"])}
    here = np.array([row[label] for label in cells.id])
    counted = field.cells["tumour"][here] & ~cells.touches_border
    error = np.abs(cells.completeness - field.cells["completeness"][here])[counted]
    assert counted.sum() > 100
    assert error.mean() < 0.04


def test_territories_meet_in_the_middle_of_the_membrane():
    nuclei = np.zeros((21, 41), np.int32)
    nuclei[8:13, 4:9] = 1
    nuclei[8:13, 24:29] = 2
    membrane = np.zeros(nuclei.shape, bool)
    membrane[:, 19:22] = True  # nearer to the second nucleus than to the first
    cells = cell_territories(membrane, nuclei, mpp=0.5)
    assert cells[10, 18] == 1
    assert cells[10, 22] == 2
    plain = cell_territories(np.zeros_like(membrane), nuclei, mpp=0.5)
    assert plain[10, 18] == 2


def test_territories_end_at_reach():
    nuclei = np.zeros((1, 41), np.int32)
    nuclei[0, 20] = 7
    cells = cell_territories(np.zeros((1, 41), bool), nuclei, mpp=0.5, reach=3.0)
    assert np.flatnonzero(cells[0] == 7).tolist() == list(range(14, 27))


def stained_nuclei(centres, shape=(120, 120), mpp=MPP, density=0.5, radius=4.0, spots=()):
    row, column = (np.indices(shape) + 0.5) * mpp
    amount = np.zeros(shape, np.float32)
    drawn = [(centre, radius, density) for centre in centres]
    for (down, across), size, value in (*drawn, *spots):
        amount[np.hypot(row - down, column - across) < size] = value
    none = np.zeros_like(amount)
    return combine_stains(StainDensities(amount, none, none), background=(240, 240, 240))


def test_every_nucleus_is_found_at_its_place_touching_ones_too():
    centres = [(12, 12), (14, 40), (40, 20), (42, 27.5)]
    labels = segment_nuclei(stained_nuclei(centres), mpp=MPP)
    at = [labels[round(down / MPP), round(across / MPP)] for down, across in centres]
    assert at == [1, 2, 3, 4]  # in reading order
    assert labels.max() == 4
    assert labels.dtype == np.int32
    areas = np.bincount(labels.ravel())[1:] * MPP**2
    assert areas == pytest.approx(np.pi * 4**2, rel=0.25)


def test_small_nuclei_that_touch_are_two():
    assert segment_nuclei(stained_nuclei([(30, 25), (30, 30.1)], radius=3.0), mpp=MPP).max() == 2


def test_specks_and_faint_blue_are_no_nuclei():
    """A speck of 10 square micrometres is below the least area, 15; 0.05 below the least stain."""
    assert segment_nuclei(stained_nuclei([(30, 30)], radius=1.8), mpp=MPP).max() == 0
    assert segment_nuclei(stained_nuclei([(30, 30)], density=0.05), mpp=MPP).max() == 0
    assert segment_nuclei(stained_nuclei([(30, 30)], density=0.1), mpp=MPP).max() == 1


def test_a_pale_centre_is_part_of_the_nucleus():
    pale = stained_nuclei([(30, 30)], radius=5.5, spots=[((30, 30), 1.5, 0.0)])
    assert segment_nuclei(pale, mpp=MPP)[60, 60] > 0


def test_a_black_spot_does_not_shrink_the_nucleus_around_it():
    image = stained_nuclei([(30, 30)], density=0.75, radius=4.5, spots=[((30, 30), 1.5, 2.2)])
    area = (segment_nuclei(image, mpp=MPP) > 0).sum() * MPP**2
    assert area == pytest.approx(np.pi * 4.5**2, rel=0.05)


def test_pixels_left_over_by_the_coarser_grid_belong_to_the_nucleus_beside_them():
    shape = (121, 123)  # blocks of 2 leave a row and a column
    image = stained_nuclei([(30, 30)], shape=shape, mpp=0.25, radius=6.0)
    labels = segment_nuclei(image, mpp=0.25)
    assert labels[-1].any()
    assert labels[:, -1].any()


def test_nuclei_take_other_stain_vectors_and_glass():
    amount = np.zeros((60, 60), np.float32)
    amount[20:34, 20:34] = 0.8
    none = np.zeros_like(amount)
    brown = combine_stains(StainDensities(none, amount, none), background=(240, 240, 240))
    assert segment_nuclei(brown, mpp=MPP, stain_matrix=HDAB[::-1]).max() == 1
    with pytest.raises(InvalidInputError, match="background"):
        segment_nuclei(brown, mpp=MPP, background="white")


def test_nuclei_do_not_depend_on_the_pixels():
    coarse = segment_nuclei(stained_nuclei([(15, 15), (40, 40)]), mpp=0.5)
    fine = segment_nuclei(
        stained_nuclei([(15, 15), (40, 40)], shape=(481, 483), mpp=0.125), mpp=0.125
    )
    assert fine.shape == (481, 483)
    assert coarse.max() == fine.max() == 2
    assert (fine > 0).sum() * 0.125**2 == pytest.approx((coarse > 0).sum() * 0.25, rel=0.05)


def test_dab_glass_and_tiny_images_hold_no_nuclei():
    amount = np.zeros((60, 60), np.float32)
    amount[20:34, 20:34] = 0.8
    none = np.zeros_like(amount)
    brown = combine_stains(StainDensities(none, amount, none), background=(240, 240, 240))
    assert segment_nuclei(brown, mpp=MPP).max() == 0
    for shape in [(1, 1, 3), (1, 50, 3), (3, 2, 3)]:
        glass = np.full(shape, 240, np.uint8)
        for mpp in (0.1, 1.0):
            labels = segment_nuclei(glass, mpp=mpp)
            assert labels.shape == shape[:2]
            assert labels.max() == 0


def test_nuclei_of_synthetic_fields_are_found():
    field = synthetic_her2("2+", size=400, mpp=0.5, seed=8)
    labels = segment_nuclei(field.rgb, mpp=0.5)
    overlap = np.zeros((field.nuclei.max() + 1, labels.max() + 1))
    np.add.at(overlap, (field.nuclei.ravel(), labels.ravel()), 1)
    either = overlap.sum(1, keepdims=True) + overlap.sum(0) - overlap
    matched = (overlap / either)[1:, 1:] > 0.3
    large = overlap.sum(1)[1:] * 0.25 > 15
    assert matched.any(axis=1)[large].mean() > 0.95
    assert matched.any(axis=0).mean() > 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"membrane": np.zeros((4, 4))}, "membrane has dtype float64 and shape (4, 4)"),
        ({"membrane": np.zeros((4, 4, 1), bool)}, "membrane has dtype bool and shape (4, 4, 1)"),
        ({"nuclei": np.zeros((4, 4))}, "nuclei has dtype float64 and shape (4, 4)"),
        ({"nuclei": np.zeros((4, 5), int)}, "it takes integers of shape (4, 4), that of membrane"),
        ({"nuclei": np.full((4, 4), -1)}, "nuclei has the label -1"),
        ({"dab": np.zeros((4, 5))}, "dab has dtype float64 and shape (4, 5)"),
        ({"dab": np.full((4, 4), np.nan)}, "dab has values that are not finite"),
        ({"mpp": 0}, "mpp is 0; it takes a positive number"),
        ({"reach": -1}, "reach is -1; it takes a positive number, micrometres"),
        ({"sectors": 7}, "sectors is 7; it takes an integer of at least 8"),
        ({"sectors": 72.0}, "sectors is 72.0"),
        ({"thresholds": (0.2, 0.2, 0.4)}, "thresholds is (0.2, 0.2, 0.4); it takes"),
    ],
)  # fmt: skip
def test_bad_input_is_named(change, message):
    good = {
        "membrane": np.zeros((4, 4), bool),
        "nuclei": np.zeros((4, 4), int),
        "dab": np.zeros((4, 4)),
        "mpp": 0.5,
    }
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        membrane_completeness(**(good | change))


def test_nuclei_need_a_scale_that_shows_them():
    with pytest.raises(InvalidInputError, match="nuclei cannot be seen above"):
        segment_nuclei(np.zeros((4, 4, 3), np.uint8), mpp=2.0)
