"""MAP and EC over any number of samples in little memory: update, merge, compute.

Parts of the data can be scored elsewhere and merged in any order.
"""

from membrane_xai.accumulate._ec import EcAccumulator
from membrane_xai.accumulate._map import MapAccumulator, MapMean

__all__ = ["EcAccumulator", "MapAccumulator", "MapMean"]
