"""Controls of EC between magnifications, and cells that do not lie at half-pixel centres."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from toy_maps import blurred, brown, luminance

from membrane_xai import CamGrid, magnification_consistency
from membrane_xai.datasets import synthetic_her2
from membrane_xai.errors import InvalidInputError
from membrane_xai.explanation_consistency._fields import (
    tiled,
)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (3, 24, 40, 3), np.uint8)


# Controls

FIELD = synthetic_her2("3+", size=512, mpp=0.25, seed=5).rgb  # 128 um
MPPS = (1.0, 0.5, 0.25)
INPUT = 64


def shrunk(rgb):
    """What a network of 64 pixels sees that resizes whatever it is given."""
    size = (INPUT, INPUT)
    return np.stack(
        [np.asarray(Image.fromarray(one).resize(size, 2, reducing_gap=3)) for one in rgb]
    )


def of_pixels(rgb):
    """Explain by structures of some pixels' width, whatever a pixel is."""
    return blurred(brown(rgb), 2) - blurred(brown(rgb), 4)


def of_resized(rgb):
    return of_pixels(shrunk(rgb))


def of_micrometres():
    """Explain by structures of some micrometres' width; it knows each objective's pixels."""
    sizes = iter(MPPS)

    def explain(rgb):
        mpp = next(sizes)
        return blurred(brown(rgb), 2 / mpp) - blurred(brown(rgb), 4 / mpp)

    return explain


def test_whole_fields_resized_agree_whatever_the_explainer_and_are_refused():
    views = [tiled(FIELD, 0.25, m, None).tiles[0] for m in (10, 20, 40)]
    maps = [of_resized(view[None])[0] for view in views]
    assert min(np.corrcoef([one.ravel() for one in maps])[0, 1:]) > 0.98  # the same picture
    with pytest.raises(InvalidInputError, match="window is None, and explain has no input_size"):
        magnification_consistency(of_resized, [FIELD], mpp=0.25)
    words = (
        "maps of 64 cells a side for images of 128 and of 256 pixels, so it resizes them: "
        "micrometres per pixel at its input are then the same at each magnification"
    )
    with pytest.raises(InvalidInputError, match=words):
        magnification_consistency(of_resized, [FIELD], mpp=0.25, window="any")


def test_an_explainer_of_micrometres_scores_high_and_one_of_pixels_low():
    options = {"mpp": 0.25, "window": INPUT, "batch_size": 1000}
    high = magnification_consistency(of_micrometres(), [FIELD], **options)
    low = magnification_consistency(of_pixels, [FIELD], **options)
    told = magnification_consistency(of_resized, [FIELD], **options)
    assert high.similarity.min() > 0.95
    assert low.similarity.max() < 0.9
    assert low.similarity[0, 1] < 0.5  # 10x and 40x, which differ most
    np.testing.assert_allclose(told.similarity, low.similarity)  # nothing is left to resize


def test_a_habit_of_looking_at_the_centre_of_the_input_is_not_consistent():
    y, x = np.mgrid[:8, :8] - 3.5
    blob = np.exp(-(y**2 + x**2) / 8)
    found = magnification_consistency(
        lambda rgb: np.repeat(blob[None], len(rgb), axis=0), [FIELD], mpp=0.25, window=INPUT
    )
    assert found.cells.tolist() == [[[16, 16], [16, 16], [32, 32]]]
    assert found.similarity.max() < 0.4  # not 0: all mosaics are dark along the field's border


def test_maps_of_one_grid_are_refused_only_if_no_stride_makes_them():
    def strided(rgb):
        height, width = (-(-side // 32) for side in rgb.shape[1:3])
        return np.arange(len(rgb) * height * width, dtype=float).reshape(-1, height, width)

    image = np.zeros((1, 192, 192, 3), np.uint8)
    options = {"mpp": 1.0, "window": "any"}
    found = magnification_consistency(strided, image, magnifications=(10, 8.4), **options)
    assert found.cells.tolist() == [[[6, 6]]]  # 192 and 161 pixels
    with pytest.raises(InvalidInputError, match="explain returned maps of 6 cells a side"):
        magnification_consistency(
            lambda rgb: strided(rgb[:, :192, :192].repeat(192 // rgb.shape[1] + 1, 1)[:, :192, :192]
                                .repeat(2, 2)[:, :, :192]),
            image, magnifications=(10, 8.3), **options,
        )  # fmt: skip


def test_the_explainers_input_size_is_its_window(images):
    class Network:
        input_size = 12

        def __call__(self, rgb):
            assert rgb.shape[1:3] == (12, 12)
            return luminance(rgb)

    options = {"mpp": 0.5, "magnifications": (10, 20)}
    found = magnification_consistency(Network(), images, **options)
    told = magnification_consistency(luminance, images, window=12, **options)
    np.testing.assert_array_equal(found.similarity, told.similarity)
    magnification_consistency(Network(), images, window=12, **options)
    for other in (24, "any"):
        with pytest.raises(InvalidInputError, match=f"window is '?{other}'?.*has input_size=12"):
            magnification_consistency(Network(), images, window=other, **options)


# Where the cells lie

STRIDE = 8


def like_a_resnet(rgb):
    """See blurred brownness around pixels 0, 8, 16 and so on, without the half cell."""
    return blurred(brown(rgb), STRIDE / 4)[:, ::STRIDE, ::STRIDE]


def symmetric(rgb):
    """See the same around the middles of cells."""
    return blurred(brown(rgb), STRIDE / 4)[:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]


RESNET = CamGrid(STRIDE, 0, INPUT)


@pytest.mark.parametrize("window", [INPUT, "any"])
def test_a_network_like_a_resnet_agrees_with_itself_once_registered(window):
    options = {"mpp": 0.25, "window": window, "batch_size": 100}
    taken = magnification_consistency(like_a_resnet, [FIELD], **options)
    told = magnification_consistency(like_a_resnet, [FIELD], grid=RESNET, **options)
    half = magnification_consistency(symmetric, [FIELD], **options)
    assert (told.similarity > taken.similarity + 0.02).all()
    assert told.ec[0] > 0.98
    assert told.ec[0] == pytest.approx(half.ec[0], abs=0.01)  # registered, it is as good
    np.testing.assert_array_equal(told.cells, taken.cells)


def test_the_explainers_grid_is_taken():
    class Network:
        grid = RESNET
        input_size = INPUT

        def __call__(self, rgb):
            return like_a_resnet(rgb)

    class Other(Network):
        grid = "of another library"

    options = {"mpp": 0.25, "magnifications": (10, 20)}
    told = magnification_consistency(
        like_a_resnet, [FIELD], grid=RESNET, window=INPUT, **options
    )  # fmt: skip
    found = magnification_consistency(Network(), [FIELD], **options)
    np.testing.assert_array_equal(found.similarity, told.similarity)
    plain = magnification_consistency(like_a_resnet, [FIELD], window=INPUT, **options)
    other = magnification_consistency(Other(), [FIELD], **options)
    np.testing.assert_array_equal(other.similarity, plain.similarity)
    assert (plain.similarity != told.similarity).all()


def test_a_grid_scales_with_the_input_and_not_with_any():
    options = {"mpp": 0.25, "magnifications": (10, 20)}

    def similarity(grid, window):
        found = magnification_consistency(
            like_a_resnet, [FIELD], grid=grid, window=window, **options
        )
        return found.similarity

    twice = RESNET.scaled((2 * INPUT, 2 * INPUT))
    np.testing.assert_allclose(similarity(twice, INPUT), similarity(RESNET, INPUT), atol=1e-12)
    np.testing.assert_array_equal(
        similarity(CamGrid(STRIDE, 0, 7 * INPUT), "any"), similarity(RESNET, "any")
    )


@given(
    cells=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    window=st.sampled_from((12, 24, "any")),
    seed=st.integers(0, 99),
)
def test_half_pixel_centres_said_or_not_give_the_same_bits(cells, window, seed):
    image = np.random.default_rng(seed).integers(0, 256, (1, 48, 72, 3), np.uint8)
    step = 4  # of 24 and 36 pixels at 10x, 48 and 72 at 20x

    def explain(rgb):
        if window == "any":
            return luminance(rgb)[:, ::step, ::step] ** 2
        start = np.random.default_rng(len(rgb)).random((len(rgb), *cells))
        return start + luminance(rgb).mean(axis=(1, 2))[:, None, None]

    said = CamGrid.half_pixel(cells, (30, 30))
    grid = CamGrid(step, (step - 1) / 2, 24) if window == "any" else said
    options = {"mpp": 0.5, "magnifications": (10, 20), "window": window}
    told, taken = (
        magnification_consistency(explain, image, grid=one, **options) for one in (grid, None)
    )
    np.testing.assert_array_equal(told.similarity, taken.similarity)
    np.testing.assert_array_equal(told.cells, taken.cells)


@pytest.mark.parametrize(
    ("grid", "window", "words"),
    [
        (CamGrid(16, 0, 64), 64, r"grid has room for 4x4 cells .* the CAM has 8x8"),
        (CamGrid(4, 0, 64), "any", r"grid has room for 32x32 cells .* the CAM has 16x16"),
        ("32,0,224", 64, "grid is '32,0,224'"),
    ],
)
def test_a_grid_that_does_not_fit(grid, window, words):
    with pytest.raises(InvalidInputError, match=words):
        magnification_consistency(like_a_resnet, [FIELD], mpp=0.25, window=window, grid=grid)
