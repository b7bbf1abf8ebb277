"""``python -m tests.soak``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from soak.run import main  # noqa: E402 -- found only now

if __name__ == "__main__":
    sys.exit(main())
