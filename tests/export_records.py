"""Records for the tests of exports: finished, failed, from elsewhere, and as bad as a record can be."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

from dissmodel_lab.executor import DataSource, ExperimentRecord
from dissmodel_lab.executor.schemas import GitState, PhaseUsage, Provenance
from dissmodel_lab.store import read_record

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

#: What an untrusted text may try: HTML, Markdown, quotes, formulas, lines, signs that steer.
UTF8 = "=cmd|' /C calc'!A0\n<img src=x onerror=alert(1)> \"q\" 'a' [x](javascript:1) `c` |\x00\x1b[31m\u202e \u00e7"
#: The same with half a letter, which no UTF-8 file can hold.
NASTY = f"{UTF8}\udce9"


def finished(**fields):
    """Return the record of a completed run with everything in it."""
    known = {
        "experiment_id": "0123456789abcdef0123456789abcdef",
        "model_name": "flood",
        "created_at": BEGAN,
        "started_at": BEGAN,
        "ended_at": BEGAN + timedelta(seconds=4),
        "status": "completed",
        "steps": 20,
        "source": DataSource(uri="data/dem.tif", checksum="aa" * 32),
        "parameters": {
            "rise": 0.5,
            "years": 20,
            "is_open": True,
            "name": "São Luís",
            "potential": [{"betas": {"dist": 2.388e-7}}],
            "demand_csv": "data/demand.csv",
        },
        "parameter_origins": {
            "rise": "given",
            "years": "default",
            "is_open": "toml",
            "name": "given",
            "potential": "toml",
            "demand_csv": "given",
        },
        "parameter_defaults": {"rise": 0.2},
        "parameter_files": {"demand_csv": "bb" * 32},
        "output_path": "out/flood.tif",
        "artifacts": {"output": "cc" * 32},
        "content_sha256": {"output": "dd" * 32},
        "metrics": {"cells": 12, "rate": float("nan"), "area": {"2021": 1.5, "2022": 2.5}, "time_total_sec": 4.0},
        "phases": {"run": PhaseUsage(started_at=BEGAN, seconds=3.0, peak_memory_bytes=2_000_000)},
        "logs": ["12 cells flooded"],
        "provenance": Provenance(
            executor_class="floods.models:Flood",
            executor_package="floods==1.2.0",
            executor_git=GitState(commit="f" * 40, dirty=True),
            cell_source="%%dissmodel run flood",
            cell_sha256="ee" * 32,
            seed=42,
            versions={"python": "3.12.1", "dissmodel_lab": "0.1.0", "numpy": "2.4.0", "gdal": "3.10.3"},
            user="ana",
        ),
    }
    return ExperimentRecord(**{**known, **fields})


def failed(**fields):
    """Return the record of a run that failed while it loaded its input."""
    known = {
        "status": "failed",
        "failed_phase": "load",
        "error": "KeyError: 'elevation'",
        "artifacts": {},
        "content_sha256": {},
        "metrics": {},
        "phases": {},
        "steps": None,
        "source": DataSource(uri="data/dem.tif"),
    }
    return finished(**{**known, **fields})


def nasty(**fields):
    """Return a record whose every text is hostile."""
    known = {
        "experiment_id": UTF8,
        "model_name": UTF8,
        "status": UTF8,
        "source": DataSource(uri=NASTY, checksum=UTF8, version=UTF8),
        "parameters": {NASTY: NASTY, "../../up": 1, "": 2, "a": {"b": 1}, "a.b": 2, "big": 10**5000},
        "parameter_origins": {UTF8: UTF8},
        "artifacts": {NASTY: NASTY},
        "artifact_paths": {NASTY: NASTY},
        "metrics": {NASTY: NASTY, "inf": float("inf"), "none": None, "yes": True},
        "failed_phase": UTF8,
        "error": NASTY,
        "logs": [NASTY],
        "code_version": UTF8,
        "model_commit": UTF8,
        "verdict": {"kind": NASTY, "of": NASTY, "why": [NASTY]},
        "provenance": Provenance(
            executor_class=UTF8, executor_package=UTF8, cell_source=NASTY, versions={UTF8: UTF8}, user=UTF8
        ),
    }
    return ExperimentRecord(**{**known, **fields})


def foreign(folder, **fields):
    """Return a record as PyPI dissmodel 0.5 writes it: few fields, a naive time."""
    known = {
        "experiment_id": "f" * 32,
        "created_at": "2026-03-01T12:00:00.5",
        "model_name": "lucc",
        "model_commit": "disslucc==0.5.0",
        "code_version": "0.5.1",
        "resolved_spec": {},
        "source": {"type": "local", "uri": "grid.zip", "collection": "", "version": "", "checksum": "ab" * 32},
        "parameters": {"end_time": 2014, "password": "s3cr3t"},
        "output_path": "out.gpkg",
        "artifacts": {"output": "cd" * 32},
        "metrics": {
            "time_validate_sec": 0.0,
            "time_load_sec": 1.0,
            "time_run_sec": 2.0,
            "time_save_sec": 1.0,
            "time_total_sec": 4.0,
        },
        "status": "completed",
        "logs": [],
    }
    path = folder / "out.record.json"
    path.write_text(json.dumps({**known, **fields}), encoding="utf-8")
    return read_record(path)


def sha(content):
    return hashlib.sha256(content).hexdigest()


def with_files(folder, **fields):
    """Return the record of files that lie about in a folder, without a run."""
    (folder / "dem.csv").write_text("z\n1\n")
    (folder / "out.txt").write_text("flooded")
    plain = {
        "model_name": "flood",
        "status": "completed",
        "source": DataSource(uri="dem.csv", checksum=sha(b"z\n1\n")),
        "artifacts": {"output": sha(b"flooded")},
        "output_path": "out.txt",
    }
    return ExperimentRecord(**{**plain, **fields})
