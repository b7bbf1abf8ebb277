"""A look before the run: what would go wrong, in words, from files' headers alone, in at most two seconds.

The flow, one module a step::

    wanted (parameters -> files, bands) ─► datasets (headers) ─► agreement | codes | room | versions ─► findings
                                              └──────────────── check.preflight ───────────────┘
"""

from dissmodel_lab.preflight.check import preflight
from dissmodel_lab.preflight.findings import Finding, findings_text
from dissmodel_lab.preflight.versions import preflight_of_record

__all__ = ["Finding", "findings_text", "preflight", "preflight_of_record"]
