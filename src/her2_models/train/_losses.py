"""Cross-entropy and squared earth mover's distance, with weights of the classes."""

from collections.abc import Callable, Sequence

from membrane_xai.errors import InvalidInputError, missing
from membrane_xai.her2_rule import GRADES

try:
    import torch
    from torch.nn.functional import cross_entropy
except ImportError as error:
    raise missing(error, "training", extra="her2") from error

__all__ = ["class_weights", "make_loss", "ordinal_loss"]

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def ordinal_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean squared earth mover's distance between prediction and label.

    ``sum_k (P(score <= k) - [label <= k])^2`` over the three steps between four scores [1]_: a
    3+ that is called 0 costs more than one that is called 2+.

    Parameters
    ----------
    logits : torch.Tensor of shape (n, K)
        Of the scores, in their order.
    labels : torch.Tensor of shape (n,), integer
        From 0.
    weights : torch.Tensor of shape (K,), optional
        Of the scores.

    Returns
    -------
    torch.Tensor
        A scalar in [0, K - 1], lower is better.

    References
    ----------
    .. [1] Hou, Yu and Samaras, "Squared Earth Mover's Distance-based Loss for Training Deep Neural
       Networks", arXiv 1611.05916 (2016).

    Examples
    --------
    >>> import torch
    >>> from her2_models.train import ordinal_loss
    >>> sure = 100.0 * torch.eye(4)
    >>> label = torch.tensor([3])
    >>> [ordinal_loss(sure[i : i + 1], label).item() for i in range(4)]
    [3.0, 2.0, 1.0, 0.0]
    """
    steps = torch.arange(logits.shape[1] - 1, device=logits.device)
    below = torch.softmax(logits.float(), dim=1).cumsum(dim=1)[:, :-1]
    distance = (below - (labels[:, None] <= steps).float()).square().sum(dim=1)
    if weights is None:
        return distance.mean()
    each = weights[labels]
    return (each * distance).sum() / each.sum()


def make_loss(name: str, *, label_smoothing: float, weights: torch.Tensor | None) -> Loss:
    """Return a loss by name.

    Parameters
    ----------
    name : str
        "cross_entropy" or "ordinal".
    label_smoothing : float
        Of the cross-entropy, in [0, 1).
    weights : torch.Tensor of shape (K,), optional
        Of the scores.

    Returns
    -------
    callable
        (logits, labels) -> scalar.
    """
    if name == "ordinal":
        return lambda logits, labels: ordinal_loss(
            logits, labels, None if weights is None else weights.to(logits.device)
        )
    return lambda logits, labels: cross_entropy(
        logits.float(),
        labels,
        weight=None if weights is None else weights.to(logits.device),
        label_smoothing=label_smoothing,
    )


def class_weights(scores: Sequence[int]) -> torch.Tensor:
    """Return weights that make every score count as much as the others.

    Parameters
    ----------
    scores : sequence of int
        Of the training images.

    Returns
    -------
    torch.Tensor of shape (4,)
        n / (4 n_k).

    Raises
    ------
    InvalidInputError
        A score has no images.

    Examples
    --------
    >>> from her2_models.train import class_weights
    >>> class_weights([0, 0, 0, 1, 2, 3, 3, 3])
    tensor([0.6667, 2.0000, 2.0000, 0.6667])
    """
    counts = torch.bincount(torch.tensor(scores), minlength=len(GRADES))
    if not counts.all():
        empty = ", ".join(GRADES[i] for i in torch.where(counts == 0)[0].tolist())
        raise InvalidInputError(f"the training images have none of {empty}; there is no weight")
    return len(scores) / (len(GRADES) * counts.float())
