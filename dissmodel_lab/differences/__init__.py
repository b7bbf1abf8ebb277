"""Two outputs -> which cells or values differ, how much, and where. Numbers and places; no pictures.

NaN equals NaN, -0.0 equals 0.0 and 1 equals 1.0: dtype, compression and file format are no content. A cell that
has a value on one side only differs. Rasters are read block by block, so that a pair of any size needs little
memory; the differing cells are kept as one bit each.
"""

from dissmodel_lab.differences.files import find_differences, is_same_file
from dissmodel_lab.differences.report import Differences, Grid, PartDifference, Place

__all__ = ["Differences", "Grid", "PartDifference", "Place", "find_differences", "is_same_file"]
