"""What a map is held against beside the membrane: control masks, and maps that ignore the network.

A high MAP says that a map lies on the membrane rather than anywhere. A control mask asks where else
it lies: on the insides of the same cells, on nuclei, on stained tissue at large. A trivial map asks
what a map that knows nothing of the network would have scored. All are made of the image alone.
"""

from membrane_xai.baselines._controls import CONTROLS, control_masks, tumour_region
from membrane_xai.baselines._trivial import TRIVIAL_MAPS, brownness, center, darkness, flat

__all__ = [
    "CONTROLS",
    "TRIVIAL_MAPS",
    "brownness",
    "center",
    "control_masks",
    "darkness",
    "flat",
    "tumour_region",
]
