"""What a network is given back with: modes, parts, hooks, gradients, what asks for one."""

import torch

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def network_state(network):
    """Return what two calls of which are equal for a network that was left alone."""
    return (
        [(name, id(module), module.training) for name, module in network.named_modules()],
        [len(getattr(module, kind)) for module in network.modules() for kind in _HOOKS],
        [(id(p), p.requires_grad, p._version) for p in network.parameters()],
        [None if p.grad is None else (id(p.grad), p.grad.tolist()) for p in network.parameters()],
        [buffer.tolist() for buffer in network.buffers()],
    )


def in_training(network, inputs):
    """Return the network amid a step of training, a part of it frozen and in evaluation mode."""
    network.train()
    norm = next(one for one in network.modules() if isinstance(one, torch.nn.BatchNorm2d))
    norm.eval()
    first = next(network.parameters())
    network(inputs).square().sum().backward()
    first.requires_grad_(False)
    return network
