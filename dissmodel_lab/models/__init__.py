"""The built-in models: small, checked against known results, and there to be copied.

Importing this package registers them. None of them imports rasterio, geopandas, scipy or matplotlib
before it runs.
"""

from dissmodel_lab.models.coastal_flood import CoastalFlood
from dissmodel_lab.models.forest_fire import ForestFire
from dissmodel_lab.models.game_of_life import GameOfLife

__all__ = ["CoastalFlood", "ForestFire", "GameOfLife"]
