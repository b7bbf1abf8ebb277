"""The inside of :mod:`dissmodel_lab.maps.vector`: reading, checking and drawing tables with geometries.

Imported lazily: geopandas takes 0.5 s. One question a module::

    tables (where rows come from) ─► coordinates (can they be drawn?) ─► cells | shapes (who owns a pixel?) ─► columns
"""
