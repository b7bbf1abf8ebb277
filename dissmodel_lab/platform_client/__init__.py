"""The REST API of a DisSModel Platform server: jobs, models, inputs and outputs, over HTTP.

- ``key``: where the API key comes from, and how it stays out of everything that is written or shown.
- ``transport``: one request and its answer; what may be asked again is, the rest is one clear error.
- ``answers``: what the server's JSON means.
- ``submissions``: a model and its parameters -> the body of a submission.
- ``files``: inputs up, outputs down, each with its SHA-256.
- ``client``: :class:`PlatformClient`, which the engine and the doors use.

The server says less than it knows, and not always what is so (a job that runs is ``pending`` until it has ended; one
that was cancelled may complete all the same). This room takes its word for nothing that can be checked.
"""

from __future__ import annotations

from dissmodel_lab.platform_client.answers import JobListing, PlatformJob, PlatformModel, Upload
from dissmodel_lab.platform_client.client import PlatformClient, UnknownSubmissionError, UnregisteredModelError
from dissmodel_lab.platform_client.files import ChecksumError, Download
from dissmodel_lab.platform_client.key import ApiKey, find_key
from dissmodel_lab.platform_client.submissions import PackageError
from dissmodel_lab.platform_client.transport import AnswerError

__all__ = [
    "AnswerError",
    "ApiKey",
    "ChecksumError",
    "Download",
    "JobListing",
    "PackageError",
    "PlatformClient",
    "PlatformJob",
    "PlatformModel",
    "UnknownSubmissionError",
    "UnregisteredModelError",
    "Upload",
    "find_key",
]
