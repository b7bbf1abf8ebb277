"""Find Chromium, or install Debian's; run as a script it makes sure that there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: Pictures that the browser tests keep, to be looked at.
SCREENSHOTS = Path(__file__).parents[2] / "test-artifacts" / "screenshots"
VARIABLE = "CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Return the browser's path: what CHROMIUM says, or the first of the usual names."""
    return os.environ.get(VARIABLE) or next((path for name in NAMES if (path := shutil.which(name))), None)


def install() -> None:
    """Install Debian's package, as root or with sudo."""
    apt = ["apt-get"] if os.geteuid() == 0 else ["sudo", "-n", "apt-get"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*apt, "update", "-q"], check=True, env=environment)
    packages = ["chromium", "fonts-dejavu-core"]
    subprocess.run([*apt, "install", "-y", "-q", "--no-install-recommends", *packages], check=True, env=environment)


def main() -> int:
    """Make sure that there is a browser."""
    if find() is None and shutil.which("apt-get"):
        install()
    path = find()
    if path is None:
        print(f"No Chromium found. Install it, or set {VARIABLE} to its path.", file=sys.stderr)
        return 1
    print(f"Browser: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
