"""What colours mean, as somebody chose it: a style, written down or read from a file of QGIS, GDAL or others."""

from dissmodel_lab.maps.styles.reading import read_style, style_beside, style_for
from dissmodel_lab.maps.styles.style import CLASSIFICATIONS, Style, StyleRange

__all__ = ["CLASSIFICATIONS", "Style", "StyleRange", "read_style", "style_beside", "style_for"]
