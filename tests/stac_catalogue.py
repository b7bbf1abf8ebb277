"""A catalogue of small COGs on disk, and PyPI's stac-fastapi-static, a real STAC API server, in front of it.

Run as a program it is that server: ``python stac_catalogue.py CATALOG_HREF``; it prints its port.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ORIGIN = 500_000.0, 8_000_000.0
"""Upper left corner of the first tile in EPSG:31983 [m]."""
PIXEL, SIDE = 30.0, 300
BOX = "-45.02,-18.14,-44.96,-18.10"
"""Crosses the border of the tiles 0 and 1."""


def tile_values(tile, month, band):
    """Return what a tile holds: nodata in its upper left corner."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    values = (rows * 7 + columns * 3 + tile * 1000 + month * 100 + (5 if band == "EVI" else 0)).astype("int16")
    values[:20, :20] = -9999
    return values


def cog(values, *, left=ORIGIN[0], top=ORIGIN[1], crs="EPSG:31983", nodata=-9999, pixel=PIXEL, **more):
    """Return the bytes of a COG; values are (height, width) or (bands, height, width)."""
    import rasterio
    from rasterio.io import MemoryFile

    values = values if values.ndim == 3 else values[None]
    tags = more.pop("tags", {})
    profile = {
        "driver": "COG", "count": values.shape[0], "height": values.shape[1], "width": values.shape[2],
        "dtype": values.dtype.name, "crs": crs, "nodata": nodata, "compress": "deflate", "blocksize": 128,
        "transform": rasterio.Affine(pixel, 0, left, 0, -pixel, top), **more,
    }  # fmt: skip
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(values)
            dataset.update_tags(**tags)
        return memory.read()


def item(name, collection, moment, assets, *, bbox=(-45.2, -18.3, -44.7, -17.9), updated="2024-01-01T00:00:00Z"):
    """Return an item as JSON."""
    west, south, east, north = bbox
    return {
        "type": "Feature", "id": name, "stac_version": "1.0.0", "stac_extensions": [], "collection": collection,
        "bbox": list(bbox),
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
        },
        "properties": {"datetime": moment, "updated": updated},
        "assets": assets, "links": [],
    }  # fmt: skip


def asset(href, **more):
    """Return an asset as JSON."""
    return {
        "href": href,
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"],
        **more,
    }


def write_catalogue(folder, collections):
    """Write ``{collection: (facts, items)}`` as a static catalogue; return its address."""
    folder = Path(folder)
    root = (folder / "catalog.json").as_uri()
    up = [{"rel": "root", "href": root, "type": "application/json"}]
    children = []
    for name, (facts, items) in collections.items():
        place = folder / name
        itself = (place / "collection.json").as_uri()
        children.append({"rel": "child", "href": itself, "type": "application/json"})
        links = [*up, {"rel": "parent", "href": root, "type": "application/json"}]
        for one in items:
            path = place / one["id"] / f"{one['id']}.json"
            links.append({"rel": "item", "href": path.as_uri(), "type": "application/geo+json"})
            home = [{"rel": rel, "href": itself, "type": "application/json"} for rel in ("collection", "parent")]
            _write(path, {**one, "links": [*up, *home]})
        extent = {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2000-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]]},
        }
        about = {"type": "Collection", "id": name, "stac_version": "1.0.0", "description": name, "license": "MIT"}
        _write(place / "collection.json", {**about, "extent": extent, **facts, "links": links})
    about = {"type": "Catalog", "id": "root", "stac_version": "1.0.0", "description": "of the tests"}
    _write(folder / "catalog.json", {**about, "links": [*up, *children]})
    return root


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@contextmanager
def stac_server(catalogue):
    """Run the server in a process of its own; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, catalogue, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = []
    reader = threading.Thread(target=lambda: said.extend(process.stderr), daemon=True)
    reader.start()
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(url, timeout=20):
                    break
            except OSError:
                assert process.poll() is None, "".join(said)[-3000:]
                time.sleep(0.1)
        else:
            raise AssertionError("".join(said)[-3000:])
        yield url
    finally:
        process.terminate()
        process.wait(10)
        reader.join(5)
        process.stderr.close()


def _serve(catalogue, port):
    sys.modules["rfc3987_syntax"] = (
        None  # jsonschema does without; its grammar takes 2 to 6 s, and checks nothing here
    )
    import uvicorn
    from stac_fastapi.api.middleware import CORSMiddleware
    from stac_fastapi.static.api import Settings, make_api

    app = make_api(Settings(catalog_href=catalogue, reload=False)).app
    # stac-fastapi.api 5.2 hands starlette 1 a None where it wants a list; nobody here asks from a browser
    app.user_middleware = [one for one in app.user_middleware if one.cls is not CORSMiddleware]
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
