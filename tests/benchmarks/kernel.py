"""A real Jupyter kernel, and a client that drains what it publishes, as a server would."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
DISPLAYS = ("display_data", "update_display_data")


@dataclass
class Cell:
    """What came out of one cell."""

    messages: list[dict[str, Any]] = field(default_factory=list)

    def add(self, message: dict[str, Any]) -> None:
        """Keep a message; raise when it is the cell's error."""
        if message["msg_type"] == "error":
            content = message["content"]
            raise RuntimeError(f"{content['ename']}: {content['evalue']}\n" + "\n".join(content["traceback"]))
        self.messages.append(message)

    @property
    def text(self) -> str:
        """What it printed."""
        return "".join(message["content"]["text"] for message in self.messages if message["msg_type"] == "stream")

    @property
    def seconds(self) -> float:
        """Time from busy to idle, by the kernel's own clock [s]."""
        return (self._dates("status")[-1] - self._dates("status")[0]).total_seconds()

    @property
    def seconds_to_panel(self) -> float:
        """Time from busy to the first widget shown, by the kernel's own clock [s]."""
        shown = [m for m in self.messages if m["msg_type"] in DISPLAYS and WIDGET_VIEW in m["content"]["data"]]
        moment: datetime = shown[0]["header"]["date"]
        return (moment - self._dates("status")[0]).total_seconds()

    def count_until(self, ended: float, seconds: float) -> int:
        """Return how many messages changed what is shown in the ``seconds`` before ``ended`` [s since 1970]."""
        kinds = ("comm_msg", *DISPLAYS)
        moments = [one["header"]["date"].timestamp() for one in self.messages if one["msg_type"] in kinds]
        return sum(ended - seconds <= moment <= ended for moment in moments)

    def _dates(self, kind: str) -> list[datetime]:
        return [message["header"]["date"] for message in self.messages if message["msg_type"] == kind]


class Kernel:
    """A kernel of this interpreter, started in a folder, ended by ``with``."""

    def __init__(self, folder: Path) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(
            extra_arguments=["--log-level=50"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=str(folder)
        )
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)

    def run(self, code: str, timeout: float = 600) -> Cell:
        """Execute a cell and return what came out of it; raise RuntimeError with its traceback."""
        cell = Cell()
        self._client.execute_interactive(code, output_hook=cell.add, timeout=timeout)
        return cell

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
