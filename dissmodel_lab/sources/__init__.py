"""From a data source to bytes that can be trusted: is it there, is it readable, what is its SHA-256.

============  =====================================================================
``local``     a source on this machine: its path, and whether it can be read
``hashing``   a file or folder -> its SHA-256
============  =====================================================================
"""

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

__all__ = [
    "Fingerprint",
    "Hashed",
    "Hashing",
    "check_source",
    "existing_files",
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
