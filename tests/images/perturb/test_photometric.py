"""Stain, light, blur, noise, JPEG and magnification: the sizes that they say."""

import io
import math

import numpy as np
import pytest
from PIL import Image
from skimage import filters, transform

from membrane_xai.perturb import (
    blur,
    illumination,
    illumination_jitter,
    jpeg,
    magnification,
    noise,
    stain_jitter,
)
from membrane_xai.stain import HDAB


@pytest.mark.parametrize(("row", "stain"), [(0, "hematoxylin"), (1, "dab")])
def test_stain_jitter_multiplies_optical_density(row, stain):
    one = stain_jitter(0.3, seed=11)
    vector = HDAB[row] / np.linalg.norm(HDAB[row])
    rgb = np.full((20, 20, 3), 240, np.uint8)
    rgb[:10] = np.rint(240 * 10 ** (-0.4 * vector))
    expected = 240 * 10 ** (-0.4 * one.parameters[stain] * vector)
    np.testing.assert_allclose(one.apply(rgb)[:10], np.broadcast_to(expected, (10, 20, 3)), atol=1)
    assert (one.apply(rgb)[10:] == 240).all()


@pytest.mark.parametrize("seed", range(20))
def test_draws_stay_in_their_limits(seed):
    stains = stain_jitter(0.1, seed=seed).parameters
    light = illumination_jitter(0.05, tint=0.02, seed=seed).parameters
    assert all(abs(stains[name] - 1) <= 0.1 for name in ("hematoxylin", "dab"))
    assert abs(light["gain"] - 1) <= 0.05
    assert np.abs(np.array(light["tint"]) - 1).max() <= 0.02
    assert len({*light["tint"], light["gain"]}) == 4


def test_illumination_counted_by_hand():
    rgb = np.array([[[100, 200, 0], [255, 10, 3]]], np.uint8)
    changed = illumination(1.5, tint=(1, 0.5, 0.5)).apply(rgb)
    assert changed.tolist() == [[[150, 150, 0], [255, 8, 2]]]  # 7.5 to even, 2.25 down


def test_illumination_jitter_is_the_illumination_that_it_names(rgb):
    one = illumination_jitter(seed=8)
    same = illumination(one.parameters["gain"], tint=one.parameters["tint"])
    np.testing.assert_array_equal(one.apply(rgb), same.apply(rgb))


@pytest.mark.parametrize(("sigma", "mpp"), [(0.5, 0.5), (0.5, 0.25), (2, 0.4)])
def test_blur_equals_scikit_image(rgb, sigma, mpp):
    expected = filters.gaussian(
        rgb.astype(float), sigma / mpp, mode="nearest", preserve_range=True, channel_axis=-1
    )
    np.testing.assert_array_equal(blur(sigma, mpp=mpp).apply(rgb), np.rint(expected))


def test_blur_has_the_width_it_says():
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    profile = blur(0.75, mpp=0.5).apply(point)[..., 0].sum(axis=0).astype(float)
    variance = (profile * (np.arange(41) - 20) ** 2).sum() / profile.sum()
    assert math.sqrt(variance) * 0.5 == pytest.approx(0.75, rel=0.05)


def test_noise_has_the_size_it_says():
    grey = np.full((200, 200, 3), 100, np.uint8)
    noisy = noise(6, seed=2).apply(grey).astype(float) - 100
    assert noisy.mean() == pytest.approx(0, abs=0.1)
    assert noisy.std() == pytest.approx(math.sqrt(36 + 1 / 12), rel=0.02)  # 1/12: rounding
    assert abs(np.corrcoef(noisy.reshape(-1, 3).T)[0, 1]) < 0.02


@pytest.mark.parametrize("value", [30, 120, 200])
def test_photon_noise_is_that_of_poisson_counts(value, rng):
    grey = np.full((200, 200, 3), value, np.uint8)
    noisy = noise(0, photons=1000, seed=2).apply(grey).astype(float)
    counted = np.rint(rng.poisson(value / 255 * 1000, grey.shape) * 255 / 1000)
    assert noisy.mean() == pytest.approx(counted.mean(), abs=0.1)
    assert noisy.std() == pytest.approx(counted.std(), rel=0.02)


def test_noise_depends_on_seed_and_shape_only():
    one = noise(5, seed=9)
    dark, light = (np.full((30, 20, 3), value, np.uint8) for value in (90, 150))
    assert (one.apply(light) - one.apply(dark) == 60).all()
    assert (one.apply(dark) != noise(5, seed=10).apply(dark)).any()
    assert (one.apply(dark).reshape(20, 30, 3) == one.apply(dark.reshape(20, 30, 3))).all()


def test_noise_is_clipped_not_wrapped():
    ends = np.zeros((50, 50, 3), np.uint8)
    ends[25:] = 255
    noisy = noise(10, seed=1).apply(ends)
    assert noisy[:25].max() < 100
    assert noisy[25:].min() > 150


@pytest.mark.parametrize("quality", [1, 50, 95, 100])
def test_jpeg_equals_pillow(rgb, quality):
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, format="jpeg", quality=quality, subsampling=2)  # 2: 4:2:0
    expected = np.asarray(Image.open(file))
    np.testing.assert_array_equal(jpeg(quality).apply(rgb), expected)


def test_lower_quality_changes_more(rgb):
    errors = [np.square(jpeg(q).apply(rgb).astype(float) - rgb).mean() for q in (95, 70, 30, 5)]
    assert errors == sorted(errors)
    assert errors[0] > 0


def test_coarse_pixels_are_means_of_their_area():
    rgb = np.zeros((4, 4, 3), np.uint8)
    rgb[:2, :2] = [[[40], [80]], [[120], [160]]]  # mean 100
    coarse = magnification(from_mpp=0.5, to_mpp=2).apply(rgb)
    assert (coarse == 25).all()  # one pixel is left
    halved = magnification(from_mpp=0.5, to_mpp=1).apply(rgb)
    small = Image.fromarray(np.array([[100, 0], [0, 0]], np.uint8))
    expected = np.asarray(small.resize((4, 4), Image.Resampling.BICUBIC))
    assert (halved == expected[..., None]).all()


def test_magnification_agrees_with_scikit_image(rgb):
    means = transform.downscale_local_mean(rgb.astype(float), (4, 4, 1))
    back = transform.resize(means, rgb.shape, order=1, mode="edge")
    coarse = magnification(from_mpp=0.25, to_mpp=1).apply(rgb).astype(float)
    assert np.corrcoef(coarse.ravel(), back.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("to_mpp", [0.5, 0.83, 2, 100])
def test_magnification_keeps_field_and_shape(to_mpp):
    ramp = np.broadcast_to(np.linspace(10, 250, 96)[None, :, None], (64, 96, 3)).astype(np.uint8)
    coarse = magnification(from_mpp=0.25, to_mpp=to_mpp).apply(ramp)
    assert coarse.shape == ramp.shape
    assert coarse.mean() == pytest.approx(ramp.mean(), abs=1)
    if to_mpp < 1:  # nothing has moved
        middle = slice(8, -8)
        np.testing.assert_allclose(coarse[:, middle].astype(int), ramp[:, middle], atol=2)
