"""Try a network on shapes alone: whether it has a plan, takes the input and gives scores."""

from typing import Any

from her2_models.models._unfreeze import layer_groups
from membrane_xai.errors import InvalidInputError, missing

try:
    import timm
    import torch
except ImportError as error:
    raise missing(error, "her2_models", extra="her2") from error

__all__ = ["input_options"]

_IMAGES = 2  # batch norm has no statistics of one value


def input_options(backbone: str, size: int, options: dict[str, Any]) -> dict[str, Any]:
    """Return what timm must be told of the input's size, or raise where a network does not take it.

    The network is made and run on torch's "meta" device, which has shapes and no values.

    Parameters
    ----------
    backbone : str
        timm's name.
    size : int
        Side of the input in pixels.
    options : dict
        Of ``timm.create_model``, `num_classes` among them.

    Returns
    -------
    dict
        Empty for networks that take inputs of this size as they are; `img_size` for those that are
        made for one size, such as ViT and Swin.

    Raises
    ------
    InvalidInputError
        A network without layer groups, one that does not give a tensor with the scores, or that
        does not take the size.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            network = _made(backbone, options)
            layer_groups(network)
        except (TypeError, InvalidInputError) as error:  # timm's encoders take no drop_rate
            raise InvalidInputError(
                f"model.backbone is {backbone!r}, which cannot be trained here: {_said(error)}"
            ) from error
        why = _failure(network, size, options["num_classes"])
        if not why:
            return {}
        told = {"img_size": size}
        why_told = _failure_told(backbone, size, options | told)
        if not why_told:
            return told
        usual = _usual_size(network)
        if usual == size or _failure(network, usual, options["num_classes"]):
            raise InvalidInputError(
                f"model.backbone is {backbone!r}, which cannot be trained here: {why}"
            )
    raise InvalidInputError(
        f"model.input_size is {size}, which {backbone} does not take ({why}), nor when it is made "
        f"for it ({why_told}); it takes {usual}"
    )


def _made(backbone: str, options: dict[str, Any]) -> Any:
    with torch.device("meta"):
        return timm.create_model(backbone, pretrained=False, **options)


def _failure_told(backbone: str, size: int, options: dict[str, Any]) -> str:
    """Return why a network that is made for a size does not take it; empty if it does."""
    try:
        network = _made(backbone, options)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        return _said(error)
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", None) or 1
    sides = patch if isinstance(patch, tuple) else (patch,)
    if any(size % side for side in sides):  # timm would leave out the rest of the pixels
        return f"it cuts the input into patches of {sides[0]} pixels"
    return _failure(network, size, options["num_classes"])


def _failure(network: torch.nn.Module, size: int, classes: int) -> str:
    """Return why a network in training does not turn images into scores; empty if it does."""
    try:
        with torch.no_grad():
            found = network(torch.zeros(_IMAGES, 3, size, size, device="meta"))
    except Exception as error:  # noqa: BLE001  # of any layer of any network
        return _said(error)
    if not isinstance(found, torch.Tensor):
        return f"it gives {type(found).__name__}, no tensor of scores"
    if found.shape != (_IMAGES, classes):
        return f"it gives {tuple(found.shape)} for {_IMAGES} images of {classes} classes"
    return ""


def _usual_size(network: Any) -> int:
    return int(network.default_cfg["input_size"][-1])


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
