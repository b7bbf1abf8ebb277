"""Runs for other programs: RO-Crate, PROV, MLflow, tables and the profile of PyPI ``dissmodel``; and crates back.

Each format has a module of its own, loaded when it is asked for; the heavy libraries come with
``pip install dissmodel_lab[export]``. Nothing that exists is ever replaced, and nothing half-written is left.
"""

from __future__ import annotations

from dissmodel_lab.exports.formats import FORMATS, export

__all__ = ["FORMATS", "export"]
