"""From a data source to bytes that can be trusted: is it there, fetched once, with which SHA-256.

===============  ====================================================================
``local``        a source on this machine: its path, and whether it can be read
``hashing``      a file or folder -> its SHA-256
``addresses``    a URI or a :class:`DataSource` -> where it lies
``credentials``  which keys open it: from the environment, a profile or the keyring
``answers``      what a server said, in words
``web``          one file of a web server
``buckets``      objects of an S3 store
``leases``       who uses a copy: it stays as long
``cache``        copies by their SHA-256, shared by all processes of a person
``downloads``    bytes on their way: begun, cut, gone on with
``fetching``     THE FRONT DOOR of remote sources: an address -> a path on this machine
``ranges``       a part of a remote file, without the rest
``stac_query``   what is asked of a STAC catalogue
``stac_search``  the items that it finds
``stac_windows`` the part of an asset inside of a bounding box
``stac``         a question to a catalogue -> GeoTIFFs on this machine
===============  ====================================================================

What reaches out to the network is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from dissmodel_lab.lazily import loaded_when_used
from dissmodel_lab.sources.hashing import (
    Fingerprint,
    Hashed,
    Hashing,
    file_sha256,
    fingerprint,
    folder_sha256,
    hashed,
    own_file_sha256,
    sha256,
    why_unreadable,
)
from dissmodel_lab.sources.local import (
    check_source,
    existing_files,
    leaf_paths,
    local_path,
    names_file,
    source_path,
)

if TYPE_CHECKING:
    from dissmodel_lab.sources.fetching import fetch

__all__ = [
    "Fingerprint",
    "Hashed",
    "Hashing",
    "check_source",
    "existing_files",
    "fetch",
    "file_sha256",
    "fingerprint",
    "folder_sha256",
    "hashed",
    "leaf_paths",
    "local_path",
    "names_file",
    "own_file_sha256",
    "sha256",
    "source_path",
    "why_unreadable",
]

__getattr__ = loaded_when_used(__name__, {"fetch": "fetching"})
