"""A DisSModel Platform for tests: its REST API over real HTTP, a queue, workers that run models, S3 by moto.

It does what the platform does, its own mistakes included (``api``, ``work``), and on request what networks and
proxies do to it (``faults``).
"""

from platform_server.faults import Fault
from platform_server.serving import GATED, KEY, Platform, running_platform

__all__ = ["GATED", "KEY", "Fault", "Platform", "running_platform"]
