"""Score what other libraries produce: one module per library, which loads that library alone.

Each module needs its library to be installed and says so on import; importing this package loads
none of them. Nothing else in ``membrane_xai`` uses them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["captum", "pytorch", "pytorch_grad_cam", "quantus", "torchcam", "torchmetrics"],
)
