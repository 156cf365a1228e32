"""Grids of maps beside the masks that they may lie on."""


def fits(cells, size):
    """Whether a map is not coarser than a mask along one side and finer along the other."""
    return (size[0] - cells[0]) * (size[1] - cells[1]) >= 0
