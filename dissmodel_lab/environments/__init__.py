"""Environments of their own for packages that requests name: made after consent, never the notebook's.

An environment is known by its content: the package as it was asked for, where from, the Python, this lab's version.
It holds the package and what that needs beyond what is installed here; the rest, the lab itself included, it finds
in this Python's own packages, which are never changed::

    packages     a text that anybody may have written -> a package that pip may be given
    consent      what would be installed, from where, to where; and who agreed to it
    places       the folder of environments: each with its lock, listed, removed
    making       venv and pip, atomically, safe for several processes
"""

from __future__ import annotations

from dissmodel_lab.environments.consent import InstallConsent, InstallPlan
from dissmodel_lab.environments.making import make_environment, plan_of
from dissmodel_lab.environments.packages import PackageSpec, package_spec
from dissmodel_lab.environments.places import (
    Environment,
    environments,
    environments_folder,
    remove_environment,
)

__all__ = [
    "Environment",
    "InstallConsent",
    "InstallPlan",
    "PackageSpec",
    "environments",
    "environments_folder",
    "make_environment",
    "package_spec",
    "plan_of",
    "remove_environment",
]
