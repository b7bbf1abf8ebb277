"""A sweep in plain text: for the terminal, and for the plain-text twin of what a notebook shows. No widget here."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from dissmodel_lab.language import in_language, mark, say, say_n
from dissmodel_lab.plain import cut, printable
from dissmodel_lab.progress import status_text
from dissmodel_lab.quantities import duration_text
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.sweeps.report import CANCELLED, COMPLETED, FAILED, RUNNING, WAITING
from dissmodel_lab.texts import path_text, table_text
from dissmodel_lab.views.sweep_numbers import number_text, plain_text, value_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from dissmodel_lab.sweeps.design import SweepDesign
    from dissmodel_lab.sweeps.report import Sensitivity, SweepMap, SweepProgress, SweepRow

#: Rows of a page.
PAGE = 20
#: Metrics that have a column; the others are named.
MOST_METRICS = 4
#: Statuses by which the rows can be chosen.
STATUSES = (COMPLETED, FAILED, CANCELLED, RUNNING, WAITING)
#: The state of a sweep whose runs are missing and that nobody drives.
STOPPED = "stopped"
#: Parts of one series among the metrics to choose from.
MOST_PARTS = 5
_BAR = 30
_LONGEST = 300
"""Longest reason in the table [characters]; all of it stands in the run's record."""
_REASONS = 5
_PART, _TIMING = re.compile(r"\.\d+$"), re.compile(r"time_\w+_sec")
_SAMPLES = {
    "grid": mark("all combinations"),
    "lhs": mark("Latin hypercube"),
    "sobol": mark("Sobol' sequence"),
    "morris": mark("Morris trajectories"),
    "saltelli": mark("Saltelli's design"),
}


class SweepShown(Protocol):
    """What is read of a sweep to show it; :class:`dissmodel_lab.sweeps.Sweep` is one."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def folder(self) -> Path:
        """Where its runs lie."""

    @property
    def design(self) -> SweepDesign:
        """What it runs."""

    def progress(self) -> SweepProgress:
        """Tell how far it is."""

    def rows(self) -> Sequence[SweepRow]:
        """Return a row for each point, in the order of their numbers."""

    def metric_names(self) -> Sequence[str]:
        """Return the names of all metrics."""

    def sensitivity(self, metric: str) -> Sensitivity:
        """Say what a metric depends on."""

    def maps(self, metric: str | None = None, *, most: int = ...) -> Sequence[SweepMap]:
        """Return some points whose outputs can be drawn."""

    def cancel(self, why: str = ...) -> None:
        """Ask its runs to end; return at once."""


def sweep_text(sweep: SweepShown, *, limit: int = PAGE, command: str = "dissmodel-lab") -> str:
    """
    Say in plain text what a sweep is, how far it is, and what each run gave.

    Parameters
    ----------
    sweep : Sweep
        At work or over.
    limit : int, optional
        Most rows of the table.
    command : str, optional
        What begins a command where this is read: the terminal's when not given.

    Returns
    -------
    str
        Lines without signs that steer a terminal.
    """
    rows, progress = sweep.rows(), sweep.progress()
    lines = [heading(sweep.design, sweep.id), f"  {text_bar(progress)}  {progress_text(progress)}"]
    lines += [f"  {reason}" for reason in reasons(rows)]
    lines += [f"  {printable(redact_text(in_language(progress.problem)))}"] if progress.problem else []
    lines += [f"  {resume_text(sweep.id, command)}"] if progress.state == STOPPED else []
    columns, cells = table_of(sweep.design, rows[:limit], sweep.metric_names())
    lines += ["", table_text(columns, cells, say("no runs"))]
    if len(rows) > limit:
        lines.append(_more_text(len(rows) - limit, is_notebook=command.startswith("%")))
    return "\n".join([*lines, f"  {say('folder')}  {printable(path_text(sweep.folder))}"])


def _more_text(n_more: int, *, is_notebook: bool) -> str:
    if is_notebook:
        return say_n(
            "... and {n} more run; sweep.to_frame() has them all",
            "... and {n} more runs; sweep.to_frame() has them all",
            n_more,
        )
    return say_n(
        "... and {n} more run; --json prints them all", "... and {n} more runs; --json prints them all", n_more
    )


def resume_text(sweep_id: str, command: str) -> str:
    """
    Say how a sweep goes on that was stopped.

    Parameters
    ----------
    sweep_id : str
        Its id.
    command : str
        What begins a command where this is read.

    Examples
    --------
    >>> resume_text("3f2a77aa-0000", "%dissmodel")
    'Runs are missing: %dissmodel sweep --resume 3f2a77aa goes on with exactly those.'
    """
    return say(
        "Runs are missing: {command} goes on with exactly those.",
        command=f"{command} sweep --resume {plain_text(sweep_id[:8])}",
    )


def heading(design: SweepDesign, sweep_id: str) -> str:
    """
    Say in one line what a sweep runs; untrusted text.

    Parameters
    ----------
    design : SweepDesign
        What it runs.
    sweep_id : str
        Its id.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis, SweepDesign
    >>> rise = Axis(name="rise", kind="number", text="0.1,0.2", values=(0.1, 0.2))
    >>> design = SweepDesign(model_name="flood", axes=(rise,), sample="grid", settings=((0.1,), (0.2,)), seeds=(1, 2))
    >>> heading(design, "3f2a")
    'sweep of flood: 2 values of rise x 2 seeds = 4 runs (sweep 3f2a)'
    """
    return say(
        "sweep of {model}: {design} (sweep {sweep})",
        model=plain_text(design.model_name),
        design=design_text(design),
        sweep=plain_text(sweep_id[:8]),
    )


def design_text(design: SweepDesign) -> str:
    """
    Say how many runs a design makes, and of what.

    Parameters
    ----------
    design : SweepDesign
        What is run.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis, SweepDesign
    >>> rise = Axis(name="rise", kind="number", text="0:1", low=0.0, high=1.0)
    >>> design_text(SweepDesign(model_name="flood", axes=(rise,), sample="lhs", settings=((0.1,), (0.7,))))
    '2 points of rise, Latin hypercube = 2 runs'
    """
    if design.sample == "grid" and len(design.axes) <= _REASONS:
        parts = [
            say_n("{n} value of {name}", "{n} values of {name}", len(axis.values), name=plain_text(axis.name))
            for axis in design.axes
        ]
    else:
        names = ", ".join(plain_text(name) for name in design.names[:_REASONS])
        more = len(design.names) - _REASONS
        if more > 0:
            names = say("{names} and {n} more", names=names, n=more)
        kind = say(_SAMPLES[design.sample]) if design.sample in _SAMPLES else design.sample
        parts = [
            say_n(
                "{n} point of {names}, {kind}",
                "{n} points of {names}, {kind}",
                design.n_settings,
                names=names,
                kind=kind,
            )
        ]
    if design.n_seeds > 1:
        parts.append(say("{n} seeds", n=design.n_seeds))
    return f"{' x '.join(parts)} = {say_n('{n} run', '{n} runs', design.n_runs)}"


def progress_text(progress: SweepProgress) -> str:
    """
    Say how far a sweep is.

    Parameters
    ----------
    progress : SweepProgress
        As the sweep tells it.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.report import SweepProgress
    >>> progress_text(SweepProgress(120, 3, 0, 2, 175, 80.0, 95.4, "running"))
    '123 of 300 runs ended: 120 completed, 3 failed; 2 running, 175 waiting; 1 min 20 s so far, about 1 min 35 s left'
    """
    how = [say_n("{n} completed", "{n} completed", progress.done)]
    if progress.failed:
        how.append(say_n("{n} failed", "{n} failed", progress.failed))
    if progress.cancelled:
        how.append(say_n("{n} cancelled", "{n} cancelled", progress.cancelled))
    rest = [say_n("{n} running", "{n} running", progress.running)] if progress.running else []
    rest += [say_n("{n} waiting", "{n} waiting", progress.waiting)] if progress.waiting else []
    took = _going_text(progress) if progress.state == RUNNING else _over_text(progress)
    said = say_n(
        "{ended:,} of {n} run ended: {how}",
        "{ended:,} of {n} runs ended: {how}",
        progress.total,
        ended=progress.ended,
        how=", ".join(how),
    )
    return "; ".join(filter(None, (said, ", ".join(rest), took)))


def _going_text(progress: SweepProgress) -> str:
    took = duration_text(progress.seconds)
    if progress.eta is None:
        return say("{time} so far, time left unknown", time=took)
    return say("{time} so far, about {left} left", time=took, left=duration_text(max(1.0, progress.eta)))


def _over_text(progress: SweepProgress) -> str:
    """Say how long it took: the runs of the last driving alone, when there were others before."""
    took, state = duration_text(progress.seconds), status_text(progress.state)
    if not progress.earlier:
        return say("{state} after {time}", state=state, time=took)
    now = progress.ended - progress.earlier
    if not now:
        return say("{state}; none of them in the last {time}", state=state, time=took)
    return say_n(
        "{state}: {n} run in {time}, the other {earlier:,} before",
        "{state}: {n} runs in {time}, the other {earlier:,} before",
        now,
        state=state,
        time=took,
        earlier=progress.earlier,
    )


def text_bar(progress: SweepProgress, width: int = _BAR) -> str:
    """
    Draw progress as a bar of signs: ``#`` for completed runs, ``x`` for those that ended without a result.

    Parameters
    ----------
    progress : SweepProgress
        As the sweep tells it.
    width : int, optional
        Of the bar [characters].

    Examples
    --------
    >>> from dissmodel_lab.sweeps.report import SweepProgress
    >>> text_bar(SweepProgress(5, 1, 0, 2, 2, 1.0, None), 10)
    '[#####x....]  60 %'
    """
    total = max(1, progress.total)
    n_done, n_ended = (width * count // total for count in (progress.done, progress.ended))
    share = 100 * progress.ended // total  # 99.9 % is not the end
    return f"[{'#' * n_done}{'x' * (n_ended - n_done)}{'.' * (width - n_ended)}] {share:3d} %"


def reasons(rows: Iterable[SweepRow]) -> list[str]:
    """
    Say why runs failed, the commonest reason first, each once.

    Parameters
    ----------
    rows : iterable of SweepRow
        The runs.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.report import SweepRow
    >>> reasons(SweepRow(point=n, setting=n, parameters={}, status="failed", error="ValueError: no") for n in (1, 2))
    ['2 failed: ValueError: no (points 1, 2)']
    """
    points: dict[str, list[int]] = {}
    for row in rows:
        if row.status == FAILED:
            points.setdefault(_error_text(row.error), []).append(row.point)
    counts = Counter({error: len(numbers) for error, numbers in points.items()})
    said = [
        say_n(
            "{n} failed: {error} ({points})", "{n} failed: {error} ({points})", count, error=error,
            points=_points(points[error]),
        )
        for error, count in counts.most_common(_REASONS)
    ]  # fmt: skip
    rest = counts.total() - sum(count for _, count in counts.most_common(_REASONS))
    if rest:
        said.append(
            say_n(
                "{n} more failed, for other reasons; the table tells why",
                "{n} more failed, for other reasons; the table tells why",
                rest,
            )
        )
    return said


def table_of(
    design: SweepDesign, rows: Iterable[SweepRow], metrics: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """
    Return runs as a table of untrusted texts.

    Parameters
    ----------
    design : SweepDesign
        Whose axes are the first columns.
    rows : iterable of SweepRow
        The runs.
    metrics : sequence of str
        The first few have columns too.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.design import Axis, SweepDesign
    >>> from dissmodel_lab.sweeps.report import SweepRow
    >>> rise = Axis(name="rise", kind="number", text="0.1", values=(0.1,), unit="m")
    >>> design = SweepDesign(model_name="flood", axes=(rise,), sample="grid", settings=((0.1,),))
    >>> row = SweepRow(point=1, setting=1, parameters={"rise": 0.1}, status="failed", error="ValueError: no")
    >>> columns, cells = table_of(design, [row], ["area"])
    >>> columns
    ['point', 'rise [m]', 'status', 'area', 'time', 'run', 'reason']
    >>> cells
    [['1', '0.1', 'failed', '', '', '', 'ValueError: no']]
    """
    has_seed = bool(design.seeds)
    named = shown_metrics(metrics)
    labels = [plain_text(axis.label) for axis in design.axes]
    columns = [say("point"), *labels, *([say("seed")] if has_seed else []), say("status")]
    columns += [*map(plain_text, named), say("time"), say("run"), say("reason")]
    cells = []
    for row in rows:
        values = [value_text(row.parameters[name]) if name in row.parameters else "" for name in design.names]
        seed = [str(row.seed) if row.seed is not None else ""] if has_seed else []
        numbers = [number_text(float(row.metrics[name])) if name in row.metrics else "" for name in named]
        took = duration_text(row.seconds) if row.seconds is not None else ""
        status = status_text(row.status)
        if row.attempt > 1:
            status = say("{status} ({n} tries)", status=status, n=row.attempt)
        reason = _error_text(row.error) if row.error else ""
        cells.append([f"{row.point}", *values, *seed, status, *numbers, took, row.experiment_id[:8], reason])
    return columns, cells


def shown_metrics(metrics: Iterable[str]) -> list[str]:
    """
    Choose the metrics that have a column: the model's own; how long a run took has one anyway.

    Parameters
    ----------
    metrics : iterable of str
        Names of metrics.

    Examples
    --------
    >>> shown_metrics(["time_run_sec", "burnt"])
    ['burnt']
    """
    return _own(metrics)[:MOST_METRICS]


def n_more_metrics(metrics: Iterable[str]) -> int:
    """
    Count the metrics of a model that have no column; how long phases took is none of the model's.

    Parameters
    ----------
    metrics : iterable of str
        Names of metrics.

    Examples
    --------
    >>> n_more_metrics(["a", "b", "c", "d", "e", "time_run_sec"])
    1
    """
    return len(_own(metrics)[MOST_METRICS:])


def _own(metrics: Iterable[str]) -> list[str]:
    return [name for name in ordered(metrics) if not _TIMING.fullmatch(name)]


def first_metric(rows: Iterable[SweepRow], metrics: Iterable[str]) -> str:
    """
    Choose the metric that says most at first sight: the model's first one that differs between completed runs.

    Parameters
    ----------
    rows : iterable of SweepRow
        The runs.
    metrics : iterable of str
        Names of metrics.

    Returns
    -------
    str
        The first one of all when none differs; empty when there is none.

    Examples
    --------
    >>> from dissmodel_lab.sweeps.report import SweepRow
    >>> rows = [
    ...     SweepRow(point=n, setting=n, parameters={}, status="completed", metrics={"cells": 9.0, "burnt": float(n)})
    ...     for n in (1, 2)
    ... ]
    >>> first_metric(rows, ["cells", "burnt"])
    'burnt'
    """
    every = ordered(metrics)
    completed = [row.metrics for row in rows if row.status == COMPLETED]
    varies = (name for name in _own(every) if len({found[name] for found in completed if name in found}) > 1)
    return next(varies, every[0] if every else "")


def chosen_from(metrics: Iterable[str], also: str = "") -> tuple[list[str], dict[str, int]]:
    """
    Choose the metrics that one can choose from: of a long series a few parts, evenly spread.

    Parameters
    ----------
    metrics : iterable of str
        Names of metrics.
    also : str, optional
        One that is among them in any case.

    Returns
    -------
    list of str, dict of str to int
        The names, and how many parts of which series were left out.

    Examples
    --------
    >>> chosen_from(["alive", *(f"by_year.{year}" for year in range(9))])
    (['alive', 'by_year.0', 'by_year.2', 'by_year.4', 'by_year.6', 'by_year.8'], {'by_year': 4})
    """
    every = ordered(metrics)
    series: dict[str, list[str]] = {}
    for name in every:
        if _PART.search(name):
            series.setdefault(_PART.sub("", name), []).append(name)
    kept, left_out = {also}, {}
    for name, parts in series.items():
        parts.sort(key=lambda part: int(part.rpartition(".")[2]))
        spread = min(MOST_PARTS, len(parts))
        kept |= {parts[at * (len(parts) - 1) // max(1, spread - 1)] for at in range(spread)}
        if n_left := sum(part not in kept for part in parts):
            left_out[name] = n_left
    return [name for name in every if name in kept or not _PART.search(name)], left_out


def ordered(metrics: Iterable[str]) -> list[str]:
    """
    Put a model's single numbers first, then timings, then the parts of its series.

    Parameters
    ----------
    metrics : iterable of str
        Names of metrics.

    Examples
    --------
    >>> ordered(["by_step.0", "time_run_sec", "burnt"])
    ['burnt', 'time_run_sec', 'by_step.0']
    """
    return sorted(metrics, key=lambda name: (bool(_PART.search(name)), bool(_TIMING.fullmatch(name))))


def _error_text(error: str) -> str:
    # Who cancels a run need not read Python's word for it.
    lines = redact_text(error).strip().removeprefix("KeyboardInterrupt: ").splitlines()
    return cut(printable(lines[0].strip()), _LONGEST) if lines else say("no reason was recorded")


def _points(numbers: Sequence[int]) -> str:
    shown = ", ".join(f"{number}" for number in numbers[:_REASONS])
    more = len(numbers) - _REASONS
    if more > 0:
        return say("points {numbers} and {n:,} more", numbers=shown, n=more)
    return say("points {numbers}", numbers=shown) if len(numbers) > 1 else say("point {number}", number=shown)
