"""Batch norms that directly follow a convolution: found by watching a forward pass, then folded."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode

__all__ = ["BatchNormWatch", "fold_batch_norms"]

_TAG = "_membrane_xai_convolution"  # attribute of a tensor: name of the convolution it is from


class BatchNormWatch(TorchFunctionMode):
    """Note, while a network runs, which batch norms alone get what a convolution gives.

    Symbolic tracing and scripting fail on many networks; this sees what happens, for any network.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        modules = dict(network.named_modules())
        self._convolutions = {
            id(m.weight): name for name, m in modules.items() if isinstance(m, nn.Conv2d)
        }
        self._norms = {
            id(m.running_mean): name
            for name, m in modules.items()
            if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None and not m.training
        }
        self._calls: Counter[str] = Counter()
        self._uses: Counter[str] = Counter()
        self._followers: dict[str, str] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run a function of torch and note what it was given."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if next(_tensors([result]), None) is None:
            return result  # a shape or a device was asked for
        tensors = list(_tensors((*args, *kwargs.values())))
        for tensor in tensors:
            self._note_use(getattr(tensor, _TAG, None), name, tensors)
        if name == "conv2d":
            self._note_convolution(tensors, result)
        return result

    def _note_convolution(self, tensors: Sequence[Tensor], result: Tensor) -> None:
        for tensor in tensors[1:2]:
            convolution = self._convolutions.get(id(tensor))
            if convolution is not None:
                self._calls[convolution] += 1
                setattr(result, _TAG, convolution)

    def _note_use(self, convolution: str | None, name: str, tensors: Sequence[Tensor]) -> None:
        if convolution is None:
            return
        self._uses[convolution] += 1
        norms = [self._norms[id(t)] for t in tensors[1:2] if id(t) in self._norms]
        if name == "batch_norm" and norms:
            self._followers[convolution] = norms[0]

    def pairs(self) -> list[tuple[str, str]]:
        """Return the names of each convolution, run once and used once, and of its batch norm."""
        norms = Counter(self._followers.values())
        return [
            (convolution, norm)
            for convolution, norm in self._followers.items()
            if self._calls[convolution] == self._uses[convolution] == norms[norm] == 1
        ]


def fold_batch_norms(network: nn.Module, pairs: Sequence[tuple[str, str]]) -> None:
    """Fold batch norms in evaluation mode into the convolutions before them.

    Computed in double precision, so that only one rounding is added.

    Parameters
    ----------
    network : torch.nn.Module
        Altered in place.
    pairs : sequence of (str, str)
        Names of a convolution and its batch norm, as ``BatchNormWatch.pairs`` gives them.
    """
    for convolution_name, norm_name in pairs:
        convolution, norm = (network.get_submodule(n) for n in (convolution_name, norm_name))
        rest = _without_norm(norm)
        if rest is None or not isinstance(convolution, nn.Conv2d):
            continue
        _fold(convolution, norm)
        parent, _, child = norm_name.rpartition(".")
        setattr(network.get_submodule(parent), child, rest)


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _without_norm(norm: nn.Module) -> nn.Module | None:
    """Return what remains of a batch norm once folded, None if that is not known."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    if type(norm).__name__ == "BatchNormAct2d":  # timm's: normalise, drop, activate
        return nn.Sequential(norm.get_submodule("drop"), norm.get_submodule("act"))
    return None


def _fold(convolution: nn.Conv2d, norm: Any) -> None:
    def double(tensor: Tensor | None) -> Any:
        return None if tensor is None else tensor.detach().double()

    weight, bias = fuse_conv_bn_weights(
        double(convolution.weight),
        double(convolution.bias),
        double(norm.running_mean),
        double(norm.running_var),
        norm.eps,
        double(norm.weight),
        double(norm.bias),
    )
    kind = convolution.weight.dtype
    convolution.weight = nn.Parameter(weight.detach().to(kind), requires_grad=False)
    convolution.bias = nn.Parameter(bias.detach().to(kind), requires_grad=False)
