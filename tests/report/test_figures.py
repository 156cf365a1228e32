"""The audit figure: its panels, its scale, and the PNG."""

import sys

import numpy as np
import pytest

from membrane_xai.errors import MissingDependencyError
from membrane_xai.figures import audit_figure, write_png

pytest.importorskip("matplotlib")
HEIGHT, WIDTH = 40, 80


def drawn(cams=None, *, mpp=0.5, mask=None, rgb=None):
    if mask is None:
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[10:20] = True
    if rgb is None:
        rgb = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    if cams is None:
        cams = {"GradCAM": np.eye(4) - 0.5, "LayerCAM": np.eye(7)}
    captions = {name: f"MAP of {name}" for name in cams}
    dab = np.linspace(0, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    return audit_figure(rgb, dab, mask, cams, mpp=mpp, captions=captions, title="What is shown")


def panels(figure):
    return {ax.get_title().partition("\n")[0]: ax for ax in figure.axes if ax.get_title()}


def test_panels_and_titles():
    from matplotlib.text import Text

    figure = drawn()
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == [
        "Image",
        "DAB density",
        "Membrane mask: 25.0% of the image",
        "GradCAM\nMAP of GradCAM",
        "LayerCAM\nMAP of LayerCAM",
    ]
    assert figure.get_suptitle() == "What is shown"
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert any("optical density" in text for text in texts)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
def test_every_cam_gets_a_panel(count):
    names = [f"CAM {i}" for i in range(count)]
    figure = drawn({name: np.eye(3) for name in names})
    assert list(panels(figure))[3:] == names


def test_inputs_are_shown_as_they_are():
    axes = panels(drawn())
    assert (axes["Image"].images[0].get_array() == 200).all()
    dab = axes["DAB density"].images[0]
    assert dab.get_clim() == (0, 0.8)
    assert dab.get_array().max() == 1
    mask = axes["Membrane mask: 25.0% of the image"].images[0].get_array()
    assert mask.sum() == 10 * WIDTH


def test_cams_span_the_image_from_zero_to_their_own_maximum():
    tissue, cam = panels(drawn())["GradCAM"].images
    for image in (tissue, cam):
        assert tuple(image.get_extent()) == (-0.5, WIDTH - 0.5, HEIGHT - 0.5, -0.5)
    assert cam.get_array().shape == (4, 4)
    assert cam.get_clim() == (0, 0.5)
    assert cam.get_array().min() == 0  # negative activation is clipped, as MAP does


@pytest.mark.parametrize(("share", "outlines"), [(0, 0), (10, 1), (HEIGHT, 0)])
def test_the_mask_s_outline_is_drawn_where_there_is_one(share, outlines):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:share] = True
    assert len(panels(drawn(mask=mask))["GradCAM"].collections) == outlines


def test_float_and_uint8_images_look_the_same():
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    shown = []
    for rgb in (image, image / 255):
        tissue = panels(drawn(rgb=rgb))["GradCAM"].images[0]
        shown.append(np.asarray(tissue.norm(tissue.get_array())))
    np.testing.assert_allclose(*shown, atol=1e-6)
    assert shown[0].max() > 0.5


@pytest.mark.parametrize(("mpp", "micrometres"), [(0.1, 2), (0.5, 10), (2.0, 50), (10.0, 200)])
def test_scale_bar_has_the_length_it_states(mpp, micrometres):
    ax = panels(drawn(mpp=mpp))["Image"]
    (bar,) = ax.lines
    left, right = bar.get_xdata()
    assert (right - left) * mpp == pytest.approx(micrometres)
    assert 0 < left < right < WIDTH
    assert [text.get_text() for text in ax.texts] == [f"{micrometres} µm"]
    assert ax.get_xlim() == (-0.5, WIDTH - 0.5)  # the bar does not move the frame


@pytest.mark.parametrize("cam", [np.zeros((2, 2)), np.full((2, 2), np.nan), np.full((1, 1), 3.0)])
def test_png_is_written_also_of_cams_without_activation(tmp_path, cam):
    from matplotlib.image import imread

    figure = drawn({"CAM": cam})
    path = write_png(figure, tmp_path / "folder" / "audit.png")
    width, height = figure.get_size_inches() * 110
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert imread(path).shape[:2] == (int(height), int(width))
    assert [p.name for p in path.parent.iterdir()] == ["audit.png"]


def test_a_failing_png_leaves_what_was_there(tmp_path):
    path = tmp_path / "audit.png"
    path.write_text("old")

    class Broken:
        def savefig(self, target, **options):
            target.write_bytes(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_png(Broken(), path)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_pyplot_does_not_hold_the_figure():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    before = pyplot.get_fignums()
    drawn()
    assert pyplot.get_fignums() == before


def test_without_matplotlib_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"pip install \"membrane-xai\[report\]\""):
        drawn()
