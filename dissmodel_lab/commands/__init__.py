"""One command grammar for the cell and the terminal: names, options, help and completion.

Words come in, a parsed command or completions go out. Showing is the doors' business (magics, cli).
"""

from __future__ import annotations

from dissmodel_lab.commands.completion import Completions, complete
from dissmodel_lab.commands.data import cache_answer, fetched, map_answer, map_options
from dissmodel_lab.commands.deeds import done, engine_options, options_of
from dissmodel_lab.commands.elsewhere import (
    Answer,
    agree_to_package,
    asked_platform,
    doctor_answer,
    refuse_unknown_metric,
    started_sweep,
    sweep_line,
    sweep_table,
    sweep_values,
)
from dissmodel_lab.commands.grammar import Command, Grammar, cell_spec

__all__ = [
    "Answer",
    "Command",
    "Completions",
    "Grammar",
    "agree_to_package",
    "asked_platform",
    "cache_answer",
    "cell_spec",
    "complete",
    "doctor_answer",
    "done",
    "engine_options",
    "fetched",
    "map_answer",
    "map_options",
    "options_of",
    "refuse_unknown_metric",
    "started_sweep",
    "sweep_line",
    "sweep_table",
    "sweep_values",
]
