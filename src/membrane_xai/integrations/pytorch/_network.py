"""A network while it is explained: in evaluation mode, with gradients, and given back as it was."""

import operator
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from membrane_xai._backend.checks import is_count
from membrane_xai.errors import InvalidInputError

__all__ = [
    "HALF",
    "NO_GRADIENT",
    "ReadOutput",
    "class_index",
    "differentiable",
    "explained",
    "in_dtype_of",
    "read_scores",
    "unchanged",
]

ReadOutput = Callable[[Any], Tensor]
"""From what a network gives to scores (N, classes)."""

_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)
NO_GRADIENT = (
    "no gradient of the score comes to the target layer; it takes a layer that the score depends "
    "on, which the network does not run within torch.no_grad, detach from the score or run in a "
    "compiled part, with parameters not made in torch.inference_mode; or a method without "
    "gradients, such as ScoreCAM or EigenCAM"
)
"""What is said where a method by gradients finds none."""

HALF = (torch.bfloat16, torch.float16)
"""Of which scores and maps become float32."""


@contextmanager
def unchanged(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and give it back as it was, also after an exception.

    Every module gets its mode and its parts back, and loses the hooks that it was given meanwhile;
    every parameter gets back its gradient, without one meanwhile, and whether it asks for one. A
    compiled network runs uncompiled meanwhile, as it would not run hooks (PyTorch 2.6 or newer).

    Parameters
    ----------
    network : torch.nn.Module
        Any.

    Examples
    --------
    >>> import torch
    >>> from membrane_xai.integrations.pytorch import unchanged
    >>> layer = torch.nn.Linear(2, 1)
    >>> layer(torch.ones(1, 2)).sum().backward()
    >>> with unchanged(layer):
    ...     layer(torch.full((1, 2), 5.0)).sum().backward()
    ...     print(layer.training, layer.weight.grad.tolist())
    False [[5.0, 5.0]]
    >>> layer.training, layer.weight.grad.tolist()
    (True, [[1.0, 1.0]])
    """
    modules = list(network.modules())
    modes = [(module, module.training) for module in modules]
    # Parts of TorchScript's cannot be replaced, nor put back.
    ours = [module for module in modules if not isinstance(module, torch.jit.ScriptModule)]
    parts = [(module._modules, dict(module._modules)) for module in ours]
    hooks = [(found, set(found)) for module in modules for found in _hooks_of(module)]
    parameters = [(one, one.grad, one.requires_grad) for one in network.parameters()]
    for parameter, _, _ in parameters:
        parameter.grad = None  # else a backward pass adds to it in place
    network.eval()
    try:
        with _uncompiled():
            yield
    finally:
        for children, before in parts:
            children.update(before)
        for module, mode in modes:
            module.training = mode
        for found, known in hooks:
            for key in [key for key in found if key not in known]:
                del found[key]
        for parameter, gradient, asks in parameters:
            if parameter.requires_grad != asks:
                parameter.requires_grad_(asks)
            parameter.grad = gradient


def _hooks_of(module: nn.Module) -> Iterator[Any]:
    for name in _HOOKS:
        found = module.__dict__.get(name)
        if found is not None:
            yield found


def _uncompiled() -> AbstractContextManager[Any]:
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and loading it takes seconds
        return nullcontext()
    set_stance = getattr(torch.compiler, "set_stance", None)
    return nullcontext() if set_stance is None else set_stance("force_eager")


@contextmanager
def differentiable() -> Iterator[None]:
    """Record gradients, also within ``torch.no_grad`` and ``torch.inference_mode``."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def explained(
    network: nn.Module, layers: Iterable[nn.Module], read_output: ReadOutput | None = None
) -> Iterator[None]:
    """Let gradients come to layers whose own output is kept, and read the network's output.

    To be entered after a library has put its hooks on the layers. It is :func:`unchanged`, with
    gradients on. A frozen layer gives what asks for a gradient; what follows a layer gets a copy,
    as a ReLU in place would change what is kept. Inputs take the network's precision.
    """

    def ask(module: nn.Module, inputs: Any, output: Any) -> Any:  # noqa: ARG001
        asks = isinstance(output, Tensor) and output.is_floating_point()
        if not asks or output.requires_grad or not torch.is_grad_enabled():
            return None
        return output.detach().clone().requires_grad_()

    def copy(module: nn.Module, inputs: Any, output: Any) -> Any:  # noqa: ARG001
        return output.clone() if isinstance(output, Tensor) else None

    def cast(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(in_dtype_of(module, one) for one in inputs)

    def read(module: nn.Module, inputs: Any, output: Any) -> Any:  # noqa: ARG001
        return read_scores(output, read_output)

    with unchanged(network), differentiable(), ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_hook(ask, prepend=True).remove)
            stack.callback(layer.register_forward_hook(copy).remove)
        stack.callback(network.register_forward_pre_hook(cast).remove)
        stack.callback(network.register_forward_hook(read).remove)
        yield


def in_dtype_of(network: nn.Module, inputs: Any) -> Any:
    """Return real inputs in the precision of the network's parameters, others as they are.

    Parameters
    ----------
    network : torch.nn.Module
        One whose parameters are of several precisions leaves inputs as they are.
    inputs : torch.Tensor or anything else
        What it is to be given.

    Returns
    -------
    torch.Tensor or anything else
        Of an inference tensor a copy, which gradients can go through outside of inference mode.

    Examples
    --------
    >>> import torch
    >>> from membrane_xai.integrations.pytorch import in_dtype_of
    >>> in_dtype_of(torch.nn.Linear(1, 1).bfloat16(), torch.ones(1)).dtype
    torch.bfloat16
    """
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        return inputs
    inputs = inputs.clone() if inputs.is_inference() else inputs
    kinds = {one.dtype for one in network.parameters() if one.is_floating_point()}
    return inputs.to(kinds.pop()) if len(kinds) == 1 else inputs


def read_scores(output: Any, read_output: ReadOutput | None = None) -> Any:
    """Return the scores in what a network gives.

    Parameters
    ----------
    output : torch.Tensor or anything else
        Of the network.
    read_output : function, optional
        From the output to scores of shape (N, classes).

    Returns
    -------
    torch.Tensor
        In half precision as float32. A list with one element for each image, as detectors give it,
        stays one.

    Raises
    ------
    InvalidInputError
        No tensor.

    Examples
    --------
    >>> import torch
    >>> from membrane_xai.integrations.pytorch import read_scores
    >>> output = {"logits": torch.tensor([[1.0, 3.0]]), "loss": None}
    >>> read_scores(output, lambda output: output["logits"]).tolist()
    [[1.0, 3.0]]
    >>> read_scores(output)
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: the network gives a dict of logits, loss, not scores ...
    """
    scores = output if read_output is None else read_output(output)
    if isinstance(scores, Tensor):
        return scores.float() if scores.dtype in HALF else scores
    if read_output is None and isinstance(scores, list) and not _is_list_of_batches(scores):
        return scores
    if read_output is not None:
        raise InvalidInputError(
            f"read_output gives a {type(scores).__name__}; it gives a tensor of shape (N, classes)"
        )
    raise InvalidInputError(
        f"the network gives a {_described(output)}, not scores of shape (N, classes); pass "
        f"read_output=, a function from that to them, such as {_example(output)}"
    )


def _is_list_of_batches(outputs: list[Any]) -> bool:
    """Tell several outputs of a batch from one output for each image."""
    return all(isinstance(one, Tensor) and one.ndim > 1 for one in outputs)


def _described(output: Any) -> str:
    name = type(output).__name__
    if isinstance(output, dict):
        return f"{name} of {', '.join(map(str, output)) or 'nothing'}"
    return f"{name} of {len(output)}" if isinstance(output, list | tuple) else name


def _example(output: Any) -> str:
    if hasattr(output, "logits"):
        return "lambda output: output.logits"
    if isinstance(output, dict):
        return f"lambda output: output[{next(iter(output), 'logits')!r}]"
    return (
        "lambda output: output[0]"
        if isinstance(output, list | tuple)
        else "operator.attrgetter(NAME)"
    )


def class_index(value: Any, name: str) -> int:
    """Return the index of a class, or raise: a float is none, as it may mean a score.

    Parameters
    ----------
    value : int, integer of NumPy, or tensor of one
        The class.
    name : str
        What an error calls it.

    Returns
    -------
    int

    Raises
    ------
    InvalidInputError
        Anything else, such as 1.0 or True.

    Examples
    --------
    >>> import torch
    >>> from membrane_xai.integrations.pytorch import class_index
    >>> class_index(torch.tensor(2), "target")
    2
    >>> class_index(2.0, "target")
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: target is 2.0; it takes the index of a class, an integer
    """
    if not is_count(value):
        raise InvalidInputError(f"{name} is {value!r}; it takes the index of a class, an integer")
    return operator.index(value)
