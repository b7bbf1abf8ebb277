"""A wheel of a few lines, made without any build tool: a package of models that nobody has."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

MODELS = """
import os, sys, time
from dissmodel_lab.executor import ModelExecutor, steps

class Tiny(ModelExecutor):
    name = "tiny"
    def load(self, record):
        return 20
    def run(self, data, record):
        print("printed by tiny")
        return data + record.parameters.get("add", 1)
    def save(self, result, record):
        with open(record.output_path, "w") as file:
            file.write(str(result))
        record.metrics["result"] = result
        record.metrics["prefix"] = sys.prefix
        return record

class Sleeping(Tiny):
    name = "tiny_sleeping"
    def run(self, data, record):
        for _ in steps(range(600)):
            time.sleep(0.1)

class Crashing(Tiny):
    name = "tiny_crashing"
    def run(self, data, record):
        os._exit(3)
"""


def write_wheel(folder, version="1.0", requires=("dissmodel_lab",)) -> Path:
    """Write the wheel of ``tiny_models``."""
    info = f"tiny_models-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = {
        "tiny_models/__init__.py": MODELS,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny_models\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{name},sha256={_digest(text)},{len(text.encode())}" for name, text in files.items()]
    path = Path(folder, f"tiny_models-{version}-py3-none-any.whl")
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,"]) + "\n")
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
