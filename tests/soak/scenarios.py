"""What happens to whom: each scenario in a place of its own, counted when it is over."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dissmodel_lab.index import INDEX_NAME
from dissmodel_lab.index.tables import close
from soak.counting import Counts, count
from soak.faults import library
from soak.place import Place, answer

_READY = 120.0
"""How long a kernel may take to start [s]."""


@dataclass
class Told:
    """What one scenario came to."""

    name: str
    what: str
    seconds: float = 0.0
    counts: Counts = field(default_factory=Counts)
    not_done: str = ""
    """Why it could not be done on this machine; empty when it was."""


@dataclass(frozen=True)
class Scenario:
    """Something that happens; ``size`` says how often, in a soak of full size."""

    name: str
    what: str
    do: Callable[[Place, int, int], list[str]]
    size: int
    is_fully_told: bool = True
    needs: Callable[[], str] = lambda: ""
    """Why it cannot be done here; empty when it can."""
    floor: int = 1
    """How often at least, however short the soak is."""

    def run(self, folder: Path, seed: int, size: int) -> Told:
        """Let it happen in a folder of its own, count what is left, and remove the folder when all is well."""
        told, began = Told(self.name, self.what), time.monotonic()
        told.not_done = self.needs()
        if told.not_done:
            return told
        place = Place(folder / self.name.replace(" ", "-"))
        try:
            problems = self.do(place, seed, size)
        except _NotHereError as reason:
            told.not_done = str(reason)
            return told
        told.counts = count(place, is_fully_told=self.is_fully_told)
        told.counts.problems += problems
        told.seconds = time.monotonic() - began
        if not told.counts.n_faults():
            _remove(place.folder)
        return told


class _NotHereError(Exception):
    """It turned out that this machine cannot do it."""


def _remove(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder)


def _warm(work: str, *, with_faults: bool = False, **options: object) -> Callable[[Place, int, int], list[str]]:
    """Return a scenario that one warm process does."""

    def do(place: Place, seed: int, size: int) -> list[str]:
        named = {"most": size} if work == "crash_points" else {"count": size}
        if work in ("engine_kills", "engine_memory"):
            named = {"rounds": size}
        if work == "inline_kills":
            named = {"kills": size}
        return place.work(work, with_faults=with_faults, seed=seed, **named, **options)

    return do


def _shared(place: Place, seed: int, size: int) -> list[str]:
    """Two processes run on one store, some of their children are killed; one lists, one builds the index anew."""
    luck = random.Random(seed)
    others = [place.start("look", seed=seed, what=what) for what in ("list", "reindex")]
    writers = [
        place.start("write", seed=luck.randrange(2**30), runs=size // 2, writer=number, kills=max(1, size // 80))
        for number in (1, 2)
    ]
    problems = [problem for writer in writers for problem in answer(writer, "a writer", 1800)]
    (place.folder / "stop").touch()
    return problems + [problem for other in others for problem in answer(other, "who lists", 300)]


def _kernel_restarts(place: Place, seed: int, size: int) -> list[str]:
    """Restart a notebook's kernel while a run is in it, and another one in a worker."""
    try:
        from jupyter_client.manager import KernelManager
    except ImportError as error:
        raise _NotHereError("jupyter_client is not installed") from error
    luck, problems = random.Random(seed), []
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=place.environment(), cwd=str(place.world))
    client = manager.client()
    client.start_channels()
    try:
        for number in range(size):
            client.wait_for_ready(timeout=_READY)
            code = f"from soak import works; works.in_kernel({str(place.folder)!r}, {number})"
            asked = client.execute(code)
            _until(lambda number=number: (place.folder / f"at-work-{number}").exists(), problems, "a kernel's run")
            time.sleep(luck.uniform(0, 0.3))
            place.ledger.kill("kernel restart")
            manager.restart_kernel(now=luck.random() < 0.7)
            del asked
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return problems


def _until(is_so: Callable[[], bool], problems: list[str], what: str) -> None:
    deadline = time.monotonic() + _READY
    while not is_so():
        if time.monotonic() > deadline:
            problems.append(f"{what} never came")
            return
        time.sleep(0.02)


@contextlib.contextmanager
def _disk(place: Place, size: str, options: str = "") -> Iterator[Path]:
    """Mount a small file system; its ``runs`` is a store."""
    folder = place.world / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        raise _NotHereError("no file system can be mounted here: it needs root")
    try:
        store = folder / "runs"
        store.mkdir()
        if options:
            subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True, capture_output=True)
        yield store
    finally:
        close(folder / "runs")
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _small_disk(place: Place, seed: int, size: int) -> list[str]:
    with _disk(place, "1m") as store:
        problems = place.work("small_disk", seed=seed, count=size, store=str(store))
        shutil.rmtree(place.store)
        kept = place.world / "kept"
        shutil.copytree(store, kept, ignore=shutil.ignore_patterns(INDEX_NAME))
    _say_moved(place, store, kept)
    return problems


def _say_moved(place: Place, before: Path, now: Path) -> None:
    """Let the ledger name the copy of a store whose file system is gone."""
    place.ledger.path.write_text(place.ledger.path.read_text().replace(f'"{before}"', f'"{now}"'))


def _read_only(place: Place, seed: int, size: int) -> list[str]:
    if os.geteuid() == 0:
        with _disk(place, "1m", "ro") as store:
            return place.work("read_only", seed=seed, count=size, store=str(store))
    store = place.world / "read-only"
    store.mkdir(mode=0o500)
    return place.work("read_only", seed=seed, count=size, store=str(store))


def _without_layer() -> str:
    return "" if library() else "no C compiler: the layer that makes file operations fail cannot be built"


def _without_dask() -> str:
    try:
        import distributed  # noqa: F401
    except ImportError:
        return "dask is not installed"
    return ""


_POINTS = "killed before each of its file operations in turn, by SIGKILL, SIGTERM and SIGINT"

ALL = (
    Scenario(
        "inline",
        "processes that run one model after the other, killed by SIGKILL, SIGTERM and SIGINT in each phase",
        _warm("inline_kills", runs_each=12),
        420,
        floor=6,
    ),
    Scenario(
        "inline memory",
        "models that eat all memory of their process (RLIMIT_AS)",
        _warm("inline_memory"),
        40,
        floor=2,
    ),
    *(
        Scenario(
            f"writer {writer}",
            f"{what}, {_POINTS}",
            _warm("crash_points", with_faults=True, writer=writer),
            size,
            floor=8,
        )
        for writer, what, size in (
            ("records", "the record store, outputs and records beside them", 220),
            ("notes", "notes and tags beside a record", 36),
            ("annotations", "tags by way of the store and its index", 100),
            ("exports", "RO-Crates, zipped crates, PROV, tables and profiles", 130),
            ("cache", "the cache of fetched inputs", 90),
            ("sweeps", "sweeps, which the next process goes on with", 150),
        )
    ),
    Scenario(
        "shared",
        "two processes that run, one that lists and one that reindexes, on one store",
        _shared,
        4400,
        floor=60,
    ),
    Scenario(
        "process workers",
        "workers of the process engine, killed in each phase",
        _warm("engine_kills", engine="process", kill_parent=False),
        30,
    ),
    Scenario(
        "process parents",
        "the process that has sent a run to its worker, killed",
        _warm("engine_kills", engine="process", kill_parent=True),
        15,
    ),
    Scenario(
        "process memory",
        "models that take more memory than their limit, in workers",
        _warm("engine_memory", engine="process"),
        4,
    ),
    Scenario(
        "dask workers",
        "workers of a Dask cluster, killed in each phase",
        _warm("engine_kills", engine="dask", kill_parent=False),
        9,
        needs=_without_dask,
    ),
    Scenario(
        "dask parents",
        "the process that has begun a Dask cluster, killed",
        _warm("engine_kills", engine="dask", kill_parent=True),
        4,
        needs=_without_dask,
    ),
    Scenario(
        "disk faults",
        "ENOSPC, EDQUOT (quota), EIO, EROFS, ENOENT and EACCES, once or from then on, at any file operation",
        _warm("disk_faults", with_faults=True),
        500,
        is_fully_told=False,
        needs=_without_layer,
        floor=12,
    ),
    Scenario(
        "slow disk",
        "each file operation takes 3 ms more, and two of three processes are killed",
        _warm("slow_disk", with_faults=True),
        45,
        needs=_without_layer,
        floor=3,
    ),
    Scenario(
        "small disk", "a disk of 1 MiB that gets full and free again", _small_disk, 90, is_fully_told=False, floor=6
    ),
    Scenario("read-only", "a folder in which nothing can be written", _read_only, 6),
    Scenario(
        "vanishing",
        "the store's folder goes away in the middle of a run, and comes back",
        _warm("vanishing"),
        40,
        is_fully_told=False,
        floor=4,
    ),
    Scenario(
        "clock",
        "the clock on the wall jumps by up to ten years, forward and backward, between runs and within them",
        _warm("clock_jumps", with_faults=True),
        100,
        needs=_without_layer,
        floor=6,
    ),
    Scenario(
        "kernel restart",
        "a notebook's kernel restarts while a run is in it, and another one in its worker",
        _kernel_restarts,
        8,
    ),
)
NOT_PROVOKED = (
    "the system's own out-of-memory killer: it ends processes by SIGKILL, which is done, and would harm others here",
    "a power cut: what the disk had not been asked to keep cannot be taken from it here",
)
