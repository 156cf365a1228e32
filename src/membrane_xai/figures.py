"""Image, DAB, mask and CAMs side by side (needs matplotlib)."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from membrane_xai._backend.arrays import to_numpy
from membrane_xai._disk.atomic import atomic_path
from membrane_xai.errors import missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["audit_figure", "write_png"]

_CAM_MAP = "viridis"  # readable with any colour vision, and in grey
_DAB_MAP = "cividis"
_DAB_LIMIT = 0.8  # optical density shown as the brightest colour
_BAR_LENGTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # micrometres


def audit_figure(
    rgb: Any,
    dab: Any,
    mask: Any,
    cams: Mapping[str, Any],
    *,
    mpp: float,
    captions: Mapping[str, str],
    title: str,
) -> "Figure":
    r"""Draw an image, its DAB density, its membrane mask and CAMs over it.

    Parameters
    ----------
    rgb : array of shape (H, W, 3)
        The image; uint8, or floating in [0, 1].
    dab : array of shape (H, W)
        DAB density in base-10 optical density, shown from 0 to 0.8.
    mask : array of shape (H, W)
        Membrane; its share is stated, its outline is drawn over each CAM.
    cams : mapping of str to array of shape (h, w)
        Maps by name, each shown from 0 to its own maximum, stretched bilinearly to the image.
    mpp : float
        Micrometres per pixel, for the scale bar.
    captions : mapping of str to str
        A line under the name of each CAM.
    title : str
        Of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Not registered with pyplot, so it needs no closing.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.figures import audit_figure
    >>> rgb, flat = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8))
    >>> figure = audit_figure(rgb, flat, flat > 0, {"CAM": np.eye(2)}, mpp=0.5,
    ...                       captions={"CAM": "MAP undefined"}, title="An empty mask draws, too")
    >>> [ax.get_title() for ax in figure.axes if ax.get_title()][-1]
    'CAM\nMAP undefined'
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing(error, "a figure", extra="report") from error
    rgb, mask = to_numpy(rgb), to_numpy(mask).astype(bool)
    columns = 3
    rows = 1 + -(-len(cams) // columns)
    figure = Figure(figsize=(4.2 * columns, 4.6 * rows + 0.5), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    _draw_inputs(figure, axes[0], rgb, to_numpy(dab), mask, mpp)
    for ax, (name, cam) in zip(axes[1:].flat, cams.items(), strict=False):
        _draw_cam(ax, rgb, mask, to_numpy(cam))
        ax.set_title(f"{name}\n{captions[name]}", fontsize=10)
    return figure


def write_png(figure: "Figure", path: str | Path) -> Path:
    """Write a figure as PNG at 110 dots per inch, whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        As :func:`audit_figure` returns it.
    path : path
        Where to; its folder is made.

    Returns
    -------
    Path
        `path`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from membrane_xai.figures import write_png
    >>> write_png(Figure(), getfixture("tmp_path") / "empty.png").stat().st_size > 0
    True
    """
    with atomic_path(Path(path)) as temporary:
        figure.savefig(temporary, dpi=110)
    return Path(path)


def _draw_inputs(figure: "Figure", axes: Any, rgb: Any, dab: Any, mask: Any, mpp: float) -> None:
    axes[0].imshow(rgb)
    axes[0].set_title("Image")
    _draw_scale_bar(axes[0], rgb.shape, mpp)
    shown = axes[1].imshow(dab, cmap=_DAB_MAP, vmin=0, vmax=_DAB_LIMIT)
    axes[1].set_title("DAB density")
    figure.colorbar(
        shown,
        ax=axes[1],
        location="bottom",
        shrink=0.8,
        label="optical density, base 10",
        extend="max",
    )
    axes[2].imshow(mask, cmap="gray", vmin=0, vmax=1)
    axes[2].set_title(f"Membrane mask: {mask.mean():.1%} of the image")


def _draw_cam(ax: "Axes", rgb: Any, mask: Any, cam: Any) -> None:
    height, width = mask.shape
    white = 255 if rgb.dtype == np.uint8 else 1
    ax.imshow(rgb.mean(axis=-1), cmap="gray", vmin=0, vmax=white)
    frame = (-0.5, width - 0.5, height - 0.5, -0.5)
    ax.imshow(
        np.maximum(cam, 0), cmap=_CAM_MAP, alpha=0.6, extent=frame, interpolation="bilinear", vmin=0
    )
    if mask.any() and not mask.all():
        ax.contour(mask, levels=[0.5], colors="white", linewidths=0.4)


def _draw_scale_bar(ax: "Axes", shape: tuple[int, ...], mpp: float) -> None:
    third = shape[1] * mpp / 3
    length = max((n for n in _BAR_LENGTHS if n <= third), default=_BAR_LENGTHS[0])
    x, y = 0.04 * shape[1], 0.95 * shape[0]
    ax.plot([x, x + length / mpp], [y, y], color="black", linewidth=3, solid_capstyle="butt")
    ax.text(x, y - 0.02 * shape[0], f"{length} µm", va="bottom", fontsize=9)
