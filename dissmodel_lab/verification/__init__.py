"""A record -> is everything as recorded (:func:`verify`), and does running it again give the same (:func:`rerun`)."""

from dissmodel_lab.verification.integrity import Check, Integrity, State, verify
from dissmodel_lab.verification.reruns import rerun
from dissmodel_lab.verification.verdict import Verdict, VerdictKind

__all__ = ["Check", "Integrity", "State", "Verdict", "VerdictKind", "rerun", "verify"]
