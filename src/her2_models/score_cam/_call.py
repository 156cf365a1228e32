"""All layers of one call through one copy of the network."""

from dataclasses import dataclass

from torch import Tensor, nn

from her2_models.score_cam._forward import Read, scoring_network
from her2_models.score_cam._layer import Layer, weigh
from her2_models.score_cam._look import Seen
from her2_models.score_cam._settings import Settings, low_precision

__all__ = ["Call"]


@dataclass(frozen=True)
class Call:
    """What stays the same if a call is repeated with other settings.

    Attributes
    ----------
    network : torch.nn.Module
        In evaluation mode.
    inputs : Tensor of shape (N, 3, H, W)
        The images.
    seen : Seen
        What the network did with them.
    read : function
        From outputs and the indices of their images to scores (batch, classes).
    batch_size, progress, eigen_smooth
        As in ``ScoreCAM``.
    """

    network: nn.Module
    inputs: Tensor
    seen: Seen
    read: Read
    batch_size: int | str
    progress: bool
    eigen_smooth: bool

    def weighed(self, settings: Settings) -> list[Layer]:
        """Return every layer's weighted sums."""
        low = low_precision(settings.precision, self.inputs.device)
        run = scoring_network(self.network, self.seen.pairs, self.inputs, self.seen.outputs, low)
        return [
            weigh(
                self.inputs,
                maps,
                settings,
                run,
                self.read,
                batch_size=self.batch_size,
                progress=self.progress,
                eigen_smooth=self.eigen_smooth,
            )
            for maps in self.seen.activations
        ]
