"""Which executors there are: imported, defined in the notebook, or in installed packages.

What is at hand costs nothing to list. Installed packages are looked into when a person lists the models, or
names one that is not at hand: then, once in a process, those that declare executors as entry points of the
group ``dissmodel.executors``, and those that require ``dissmodel``, are imported. Nothing of the session is
changed by that.

============================  ======================================================================
``classes``                   what makes a class an executor
``at_hand``                   the executors at hand
``distributions``             installed packages that may hold executors, by their metadata
``undisturbed``               importing what others wrote without a trace
``search``                    looks into those packages
``listing``                   all that was found, with what is the matter with it
``kinds``                     what an executor takes and makes
============================  ======================================================================

A run of a model at hand loads the first two only.
"""

from __future__ import annotations

from dissmodel_lab.discovery.at_hand import FoundExecutor, executors_at_hand, executors_called
from dissmodel_lab.discovery.classes import import_path, is_executor, own_name, public_names

__all__ = [
    "FoundExecutor",
    "executors_at_hand",
    "executors_called",
    "import_path",
    "is_executor",
    "own_name",
    "public_names",
]
