"""Explainer and images in, Explanation Consistency (EC) of each image out.

Along two axes: perturbations that should not change an explanation, and magnifications of the same
field. Along the third, images of one class, see ``ec_score(cams, groups=...)``.
"""

from collections.abc import Callable, Sequence
from typing import Any

from membrane_xai._backend.arrays import column_values
from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai._backend.checks import check_mpp, check_seed
from membrane_xai._backend.labels import group_codes, plain_labels
from membrane_xai._backend.status import check_on_undefined
from membrane_xai._disk.progress import progress as progress_bar
from membrane_xai.errors import InvalidInputError
from membrane_xai.explanation_consistency._agreement import (
    Agreement,
    Measure,
    agree,
    places_of,
    raise_undefined,
)
from membrane_xai.explanation_consistency._explainers import (
    Explain,
    batches,
    check_image,
    explain_views,
    grid_of,
)
from membrane_xai.explanation_consistency._fields import Tiled, tiled
from membrane_xai.explanation_consistency._magnifications import (
    Scales,
    check_magnifications,
    check_window,
    compare_scales,
    explain_tiles,
    single_cam,
)
from membrane_xai.explanation_consistency._results import (
    EcSkill,
    MagnificationConsistency,
    PerturbationConsistency,
)
from membrane_xai.explanation_consistency._shelf import Shelf
from membrane_xai.explanation_consistency._zero import Member, zeros_of
from membrane_xai.metrics._similarity import named_similarity
from membrane_xai.perturb._perturbation import Perturbation

__all__ = [
    "EcSkill",
    "MagnificationConsistency",
    "PerturbationConsistency",
    "magnification_consistency",
    "perturbation_consistency",
]


def perturbation_consistency(
    explain: Explain,
    images: Any,
    perturbations: Sequence[Perturbation],
    *,
    similarity: str = "pearson",
    reference: str | None = "original",
    targets: Sequence[Any] | None = None,
    groups: Sequence[Any] | None = None,
    grid: CamGrid | None = None,
    k: float = 0.1,
    batch_size: int = 16,
    on_undefined: str = "nan",
    progress: bool = False,
    seed: int = 0,
) -> PerturbationConsistency:
    r"""Measure how little an explanation changes when its image is perturbed.

    With :math:`A_i` the map of image i, :math:`A_{i,p}` the map of the image under perturbation p,
    brought back by :math:`R_p`, and :math:`V_p` the pixels where the perturbed image shows the
    original:

    .. math:: \mathrm{EC}_i = \frac{1}{P} \sum_p s\big(A_i|_{V_p},\; (R_p A_{i,p})|_{V_p}\big)

    Its zero is the same between different images of one class, and its headline the skill above it:

    .. math:: \mathrm{EC0}_i = \frac{1}{P} \sum_p \operatorname*{mean}_{j \neq i}
        s\big(A_i|_{V_p},\; (R_p A_{j,p})|_{V_p}\big)
        \qquad \mathrm{skill}_i = \frac{\mathrm{EC}_i - \mathrm{EC0}_i}{1 - \mathrm{EC0}_i}

    Parameters
    ----------
    explain : callable
        Images of one shape, (n, H, W, 3) uint8, to n maps: (n, h, w), (n, 1, h, w) or a list of
        (h, w), of any array library. It should explain one and the same class in all views: with
        `targets` it is called as ``explain(rgb, targets)``.
    images : array (N, H, W, 3), or iterable of (H, W, 3)
        uint8. Shapes may differ; those of one shape in a batch are explained together.
    perturbations : sequence of Perturbation
        At least one, see :mod:`membrane_xai.perturb`.
    similarity, k
        As in :func:`ec_score`, of the valid pixels alone: a fraction `k` is one of those. "ssim"
        compares windows of whole maps and takes only perturbations that are valid everywhere.
    reference : "original" or None
        None averages over all pairs of views, the image as it is among them, each on the pixels
        that are valid in both.
    targets : sequence of N, optional
        What is explained in each image, such as the class that is predicted for it unperturbed:
        EC0 is among images of one target. Without them all images are of one class.
    groups : sequence of N labels, optional
        The patient or slide of each image: EC0 is among images of different ones.
    grid : CamGrid, optional
        Where the cells of the maps lie on the images. Maps of flipped, turned or moved images are
        then brought back to where their cells lie, by
        :func:`membrane_xai.perturb.restore_registered`. By default the explainer's attribute
        `grid`, if it has one, else half-pixel centres.
    batch_size : int
        Images, at most, that are explained in one call.
    on_undefined : {"nan", "raise"}
        What to do about pairs without a similarity.
    progress : bool
        Whether to show on stderr how far it has come, by :func:`membrane_xai.cli.progress`.
    seed : int
        Of the draw of other images for EC0, by similarities that have no closed form.

    Returns
    -------
    PerturbationConsistency
        EC by image, in [-1, 1] ([0, 1] for the similarities of sets), higher is better, with EC0
        and skill, over all views and over geometric and photometric ones apart; with the
        similarity, its zero, valid share and status of every perturbation.

    Raises
    ------
    InvalidInputError
        Images, perturbations or options that do not fit, or something else than one map per image.
    UndefinedScoreError
        Pairs without a similarity, with ``on_undefined="raise"``.

    Notes
    -----
    A map that is constant on the compared pixels has no direction, and one with NaN or infinity
    there no value: such pairs are NaN, have a status, and are left out of the mean. If maps of the
    views differ in size, the coarser one is upsampled, and pixels that need undefined ones are not
    compared.

    EC0 takes at least two other images of the class whose maps have the same grids. A map for which
    it is 0.95 or more says next to nothing of its image: its skill is undefined. EC0 of "pearson",
    "spearman" and "cosine" is the mean over all other images, of the others over 16 that are drawn.
    Maps wait for it in memory up to 64 MiB, and beyond that in a temporary file.

    Skill says that maps follow the image, not that they show what a network uses: blurred darkness
    has a high one.

    Examples
    --------
    Darkness follows its pixels wherever they go, a fixed spot does not:

    >>> import numpy as np
    >>> from membrane_xai import perturbation_consistency
    >>> from membrane_xai.perturb import horizontal_flip, translation
    >>> image = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    >>> views = [horizontal_flip(), translation(0, 0.5)]
    >>> found = perturbation_consistency(lambda rgb: 255.0 - rgb.mean(axis=-1), image, views)
    >>> found.ec.round(6), found.valid_share
    (array([1.]), array([[1. , 0.5]]))
    >>> spot = np.zeros((1, 4, 4))
    >>> spot[0, 1, 1] = 1
    >>> found = perturbation_consistency(lambda rgb: spot, image, views)
    >>> found.similarity.round(3), found.status
    (array([[-0.067,    nan]]), array([['ok', 'flat_map']], dtype='<U10'))

    Of three images, one spot in the middle is perfectly consistent, but it ignores them:

    >>> images = np.random.default_rng(0).integers(0, 255, (3, 4, 4, 3)).astype(np.uint8)
    >>> middle = np.pad(np.ones((2, 2)), 1)
    >>> found = perturbation_consistency(lambda rgb: [middle] * len(rgb), images, views[:1])
    >>> found.ec.round(3), found.ec0.round(3), found.skill, found.skill_status[0].item()
    (array([1., 1., 1.]), array([1., 1., 1.]), array([nan, nan, nan]), 'ignores_image')
    >>> found = perturbation_consistency(lambda rgb: rgb.mean(axis=-1), images, views)
    >>> round(found.mean_skill, 3)
    1.0
    """
    measure = _measure(similarity, k)
    steps = _check_perturbations(perturbations)
    _check_reference(reference)
    check_on_undefined(on_undefined)
    grid = grid_of(explain, grid)
    seed = check_seed(seed)
    found: list[Agreement] = []
    labels: list[Any] = []
    with Shelf() as shelf:

        def add(batch: list[Any], chosen: list[Any] | None) -> None:
            labels.extend([None] * len(batch) if chosen is None else chosen)
            for labeled in explain_views(explain, batch, steps, chosen, grid):
                views = single_cam(labeled)
                shelf.add(len(found), views)
                found.append(agree(views, measure, reference))

        _over_batches(images, targets, batch_size, progress, add)
        zeros = zeros_of(
            _members(labels, groups),
            shelf.read,
            measure,
            places_of(len(steps) + 1, reference),
            seed=seed,
        )
    result = PerturbationConsistency.of(found, zeros, steps, similarity, reference)
    if on_undefined == "raise":
        raise_undefined(result.status, result.perturbations)
    return result


def magnification_consistency(
    explain: Explain,
    images: Any,
    *,
    mpp: float,
    magnifications: Sequence[float] = (10, 20, 40),
    window: int | str | None = None,
    similarity: str = "pearson",
    targets: Sequence[Any] | None = None,
    grid: CamGrid | None = None,
    k: float = 0.1,
    batch_size: int = 16,
    on_undefined: str = "nan",
    progress: bool = False,
) -> MagnificationConsistency:
    """Measure how far explanations of one field agree between objectives.

    Each image is reduced, by the mean over areas, to ``10 / magnification`` micrometres per pixel:
    10x is 1, 40x is 0.25. It is then cut into tiles as large as the explainer's input, so that an
    objective's tile shows that objective's own field of view, and the maps of the tiles are laid
    over the image as a mosaic. Two mosaics are compared on a grid in micrometres, with cells as
    large as those of the coarser one's maps, each of which holds the mean over its area. EC is the
    mean similarity over the pairs of magnifications.

    Parameters
    ----------
    explain, images, targets, on_undefined, progress
        As in :func:`perturbation_consistency`. What is explained is the same class in all tiles.
    mpp : float
        Micrometres per pixel of the images.
    magnifications : sequence of numbers
        At least two, which differ at the explainer's input. At most 10 % finer than the images,
        which have no more detail than they have; there an image is shown as it is.
    window : int or "any", optional
        Pixels along each side of the explainer's input; by default its attribute ``input_size``.
        "any" is for an explainer that takes images of any size and resizes none: it is shown
        whole images.
    similarity, k
        As in :func:`ec_score`, between mosaics.
    grid : CamGrid, optional
        Where the cells of the maps lie on the explainer's input. By default the explainer's
        attribute `grid`, if it has one, else half-pixel centres. It scales with `window`; with
        "any" its spacing and offset are in pixels of whatever is shown, and its size is left aside.
    batch_size : int
        Tiles, at most, that are explained in one call.

    Returns
    -------
    MagnificationConsistency
        EC by image, at most 1, higher is better; with the micrometres per pixel at the explainer's
        input, and similarity, cells and status of every pair of magnifications.

    Raises
    ------
    InvalidInputError
        As :func:`perturbation_consistency`; also for magnifications that the images do not allow,
        for an explainer of which nothing says how large its input is, and with "any" for one that
        is seen to resize: its maps have as many cells of a small image as of a large one; and for
        maps with other cells than `grid` has room for on what is shown.
    UndefinedScoreError
        Pairs without a similarity, with ``on_undefined="raise"``.

    Notes
    -----
    A whole field of 10x, 20x and 40x that is resized to one input is the same picture three times,
    in the same micrometres per pixel, and its explanations agree whatever the network does.

    Pairs have no similarity, and a status, where the field has fewer than 25 common cells
    ("few_cells"), or is smaller than a tile at one of the magnifications ("small_field"): what lies
    around an image is never made up. A field holds 25 cells of a network of stride 32 at 10x from
    160 micrometres on.

    Tiles overlap by a quarter at least. There maps are blended, and near a tile's border, beyond
    which the explainer saw nothing, they count little. Maps of the tiles must be on one scale: do
    not stretch each to a maximum of 1. Give them on their own grid, as a map that has been
    upsampled hides how few cells it has.

    A cell of a map reaches half-way to its neighbours, and the outer ones to the tile's border. A
    grid that is not said matters more the coarser the objective: half a cell is 16 micrometres at
    10x and 4 at 40x for a stride of 32, so mosaics are shifted against each other.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import magnification_consistency
    >>> image = np.zeros((1, 64, 64, 3), np.uint8)  # 16 micrometres
    >>> image[0, 32:, 16:] = 100
    >>> def brightness(rgb):
    ...     return rgb.mean(axis=-1)
    >>> found = magnification_consistency(brightness, image, mpp=0.25, window=16)
    >>> found.ec.round(6)
    array([1.])
    >>> for row in found.table():
    ...     print(row["pair"], row["first_tiles"], row["second_tiles"], row["cells"])
    10x-20x 1x1 3x3 16x16
    10x-40x 1x1 5x5 16x16
    20x-40x 3x3 5x5 32x32

    An explainer that says nothing of its input is refused, and a field has to fill it:

    >>> magnification_consistency(brightness, image, mpp=0.25)
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: window is None, and explain has no input_size; ...
    >>> found = magnification_consistency(brightness, image, mpp=0.25, window=32)
    >>> found.status, found.n_pairs
    (array([['small_field', 'small_field', 'ok']], dtype='<U11'), array([1]))
    """
    measure = _measure(similarity, k)
    mpp = check_mpp(mpp)
    scales = check_magnifications(magnifications, mpp)
    side = check_window(window, explain)
    grid = grid_of(explain, grid)
    check_on_undefined(on_undefined)
    found: list[Scales] = []

    def add(batch: list[Any], chosen: list[Any] | None) -> None:
        views = [_views(image, mpp, scales, side, grid) for image in batch]
        cams = [
            explain_tiles(explain, of_scale, chosen, batch_size)
            for of_scale in zip(*views, strict=True)
        ]
        for image, seen, maps in zip(batch, views, zip(*cams, strict=True), strict=True):
            found.append(compare_scales(image, mpp, scales, seen, maps, measure))

    _over_batches(images, targets, batch_size, progress, add)
    result = MagnificationConsistency.of(found, scales, similarity)
    if on_undefined == "raise":
        raise_undefined(result.status, result.pairs)
    return result


def _views(
    image: Any, mpp: float, scales: Sequence[float], window: int | None, grid: CamGrid | None
) -> list[Tiled | None]:
    """Show an image at each magnification; nothing where fewer than two have a field for it."""
    views = [tiled(image, mpp, scale, window, grid) for scale in scales]
    enough = sum(view is not None for view in views) > 1
    return views if enough else [None] * len(views)


def _members(labels: Sequence[Any], groups: Any) -> list[Member]:
    """Return the class and the group of each image; without groups each is one of its own."""
    codes, _ = group_codes(range(len(labels)) if groups is None else groups, len(labels))
    return [Member(str(label), code) for label, code in zip(labels, codes.tolist(), strict=True)]


def _check_perturbations(perturbations: Any) -> tuple[Perturbation, ...]:
    """Return perturbations as a tuple, or raise."""
    steps = () if isinstance(perturbations, Perturbation) else tuple(perturbations)
    if not steps or not all(isinstance(step, Perturbation) for step in steps):
        raise InvalidInputError(
            f"perturbations is {perturbations!r}; it takes a sequence of Perturbation, not empty"
        )
    return steps


def _measure(similarity: str, k: float) -> Measure:
    named_similarity(similarity, k)
    return Measure(similarity, k)


def _check_reference(reference: Any) -> None:
    if reference is not None and not (isinstance(reference, str) and reference == "original"):
        raise InvalidInputError(f"reference is {reference!r}; it takes 'original' or None")


def _over_batches(
    images: Any,
    targets: Sequence[Any] | None,
    batch_size: int,
    shown: bool,
    add: Callable[[list[Any], list[Any] | None], None],
) -> None:
    """Call `add` for every batch of images with its targets."""
    images = column_values(images)
    targets = None if targets is None else plain_labels(targets)
    if targets is not None and hasattr(images, "__len__") and len(images) != len(targets):
        raise InvalidInputError(f"targets has {len(targets)} values for {len(images)} images")
    if getattr(images, "ndim", 4) != 4:
        raise InvalidInputError(
            f"images has shape {tuple(images.shape)}; it takes (N, H, W, 3) or a list of "
            f"(H, W, 3): [image] for a single one"
        )
    checked = (check_image(image, f"images[{i}]") for i, image in enumerate(images))
    done = 0
    with progress_bar(len(images) if hasattr(images, "__len__") else None, shown=shown) as show:
        for batch in batches(checked, batch_size):
            chosen = None if targets is None else list(targets[done : done + len(batch)])
            if chosen is not None and len(chosen) < len(batch):
                raise InvalidInputError(f"targets has {done + len(chosen)} values for more images")
            add(batch, chosen)
            done += len(batch)
            show(done, "explaining")
    if not done:
        raise InvalidInputError("images is empty; it takes at least one image")
