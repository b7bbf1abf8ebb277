"""``warm.py WORK FOLDER OPTIONS``: import everything, do one of :mod:`soak.works`, print the problems as JSON.

It never runs a model itself: it forks children, which begin at once, and kills them.
"""

from __future__ import annotations

import gc
import json
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    import dissmodel_lab.annotations
    import dissmodel_lab.cancelling
    import dissmodel_lab.frames
    import dissmodel_lab.launch
    import dissmodel_lab.runner
    import dissmodel_lab.store.readers
    import dissmodel_lab.store.run_folder  # noqa: F401 -- so that each child finds it
    from soak import works
    from soak.place import Place

    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.freeze()
    options = json.loads(sys.argv[3])
    problems = getattr(works, sys.argv[1])(Place(Path(sys.argv[2])), **options)
    print(json.dumps(problems))
