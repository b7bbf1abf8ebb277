"""What warm processes do: each takes a place and options, and returns the problems that it saw by itself."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import random
import resource
import select
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import dissmodel_lab
from dissmodel_lab import RunStore
from dissmodel_lab.annotations import annotate
from dissmodel_lab.errors import LabError
from soak.faults import ERRORS, Layer
from soak.models import PHASES, TELL_NAME, Soaked, output_of
from soak.place import Place

LONGEST = 60.0
"""A child that takes longer hangs [s]."""
_ROOM = 96 << 20
"""What a model that eats memory may have [bytes]."""
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")


def carry_out(place: Place, number: int, *, output: str = "", **options: object) -> str:
    """Announce a run, carry it out and tell its end; whatever ends it, its status is returned."""
    run_id = uuid4().hex
    parameters = {"number": number, **options.pop("parameters", {})}
    sha256 = hashlib.sha256(output_of(number, place.source.read_bytes())).hexdigest()
    store = options.pop("store", place.store)
    place.ledger.announce(run_id, sha256, str(store))
    options["output"] = output or None
    fields = {"experiment_id": run_id}
    try:
        dissmodel_lab.run(Soaked, source=place.source, parameters=parameters, store=store, fields=fields, **options)
    except KeyboardInterrupt:
        place.ledger.told(run_id, "cancelled")
        raise
    except BaseException as error:
        place.ledger.told(run_id, f"failed {type(error).__name__}")
        raise
    place.ledger.told(run_id, "completed")
    return run_id


# --- children


def child(place: Place, body: Callable[[], object]) -> int:
    """Fork a process that does something and ends; return its number."""
    number = os.fork()
    if number == 0:
        status = 1
        try:
            body()
            status = 0
        except KeyboardInterrupt:
            status = 3
        except Exception:
            status = 2
            traceback.print_exc()
        finally:
            os._exit(status)
    place.ledger.process(number)
    return number


def ended(number: int, what: str, longest: float = LONGEST) -> tuple[int, list[str]]:
    """Wait for a child; return its exit code and, when it hangs, a problem."""
    place = os.pidfd_open(number)
    try:
        is_over = select.select([place], [], [], longest)[0]
        if not is_over:
            os.kill(number, signal.SIGKILL)
    finally:
        os.close(place)
    code = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    return code, [] if is_over else [f"{what}: hung for {longest:g} s"]


def _send(place: Place, number: int, how: str) -> None:
    place.ledger.kill(how)
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, getattr(signal, how))


# --- runs in this process


def inline_kills(place: Place, seed: int, kills: int, runs_each: int) -> list[str]:
    """Kill processes that run one after the other: half of them in a known phase, half at any moment."""
    luck, problems = random.Random(seed), []
    for kill in range(kills):
        how, phase = SIGNALS[kill % len(SIGNALS)], PHASES[(kill // len(SIGNALS)) % 4]
        n_runs, first, with_output = luck.randint(1, 2 * runs_each - 1), kill * 1000, luck.random() < 0.3
        stop = {"stop_in": phase, "stop_seconds": 20.0} if luck.random() < 0.5 else {}
        told, tell = os.pipe()

        def body(n_runs=n_runs, first=first, with_output=with_output, stop=stop, tell=tell):
            os.environ[TELL_NAME] = str(tell)
            for number in range(n_runs):
                output = str(place.outputs / f"out-{first}-{number}.bin") if with_output else ""
                parameters = stop if number == n_runs - 1 else {}
                carry_out(place, first + number, output=output, parameters=parameters)

        number = child(place, body)
        os.close(tell)
        _reach(told, phase[0].encode(), n_runs)
        time.sleep(luck.uniform(0, 0.004))
        _send(place, number, how)
        problems += ended(number, f"{how} in {phase}")[1]
        os.close(told)
    return problems


def _reach(told: int, letter: bytes, times: int) -> None:
    """Read letters until one came so often, or the child is gone."""
    while times > 0 and (got := os.read(told, 1)):
        times -= got == letter


def inline_memory(place: Place, seed: int, count: int) -> list[str]:
    """Let models eat all the memory that their process may have, in each phase; then run on."""
    luck, problems = random.Random(seed), []

    def body(first: int, phase: str) -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + _ROOM, used + _ROOM))
        for number in range(3):
            with contextlib.suppress(MemoryError):
                carry_out(place, first + number, parameters={"eat_in": phase} if number == 1 else {})

    for number in range(count):
        phase = luck.choice(PHASES)
        place.ledger.kill("memory")
        running = child(place, lambda number=number, phase=phase: body(number * 10, phase))
        code, found = ended(running, f"memory in {phase}")
        problems += found + ([] if code == 0 else [f"the process without memory in {phase} ended with {code}"])
    return problems


# --- every file operation


def crash_points(place: Place, seed: int, writer: str, most: int) -> list[str]:
    """Kill a writer before each of its file operations, one after the other, and begin again with the next signal."""
    luck, problems, at, rounds = random.Random(seed), [], 0, 0
    write = WRITERS[writer](place)
    has_layer = Layer.is_there()
    for kill in range(most):
        at += 1
        how = SIGNALS[rounds % len(SIGNALS)]

        def body(kill=kill, at=at, how=how):
            if has_layer:
                layer = Layer()
                layer.arm(place.world, at, signal=getattr(signal, how))
            write(kill)

        began = child(place, body)
        if has_layer:
            code, found = ended(began, f"{how} at operation {at} of {writer}")
        else:
            time.sleep(luck.uniform(0, 0.03))
            os.kill(began, getattr(signal, how))
            code, found = ended(began, f"{how} at any moment of {writer}")
        problems += found
        if code:
            place.ledger.kill(how)
        if code == 2:
            problems.append(f"{writer} raised what nobody expects, killed by {how} at operation {at}")
        if code == 0:  # it has fewer operations than that
            at, rounds = 0, rounds + 1
    return problems + (_unfinished_sweeps(place) if writer == "sweeps" else [])


def _writing_runs(place: Place) -> Callable[[int], object]:
    return lambda number: carry_out(
        place, number, output=str(place.outputs / f"crash-{number}.bin") if number % 3 == 0 else ""
    )


def _finished(place: Place, count: int = 3) -> list[str]:
    """Return ids of runs that a child has carried out: this process must stay without threads."""
    for number in range(count):
        ended(child(place, lambda number=number: carry_out(place, 900_000 + number)), "a run beforehand")
    return [run_id for run_id, said in place.ledger.runs().items() if said.told == "completed"]


def _writing_notes(place: Place) -> Callable[[int], object]:
    ids, records = _finished(place), {}
    for path in place.store.glob("*/record.json"):
        records[next(run_id for run_id in ids if path.parent.name.endswith(run_id[:8]))] = path

    def write(number: int) -> None:
        run_id = sorted(records)[number % len(records)]
        annotate(records[run_id], tags=[f"tag-{number}"], note=f"note {number} " + "x" * 500)
        place.ledger.word(run_id, f"tag-{number}")

    return write


def _writing_annotations(place: Place) -> Callable[[int], object]:
    """Through the store, which also brings its index up to date."""
    ids = _finished(place)

    def write(number: int) -> None:
        run_id = ids[number % len(ids)]
        RunStore(place.store).annotate(run_id, tags=[f"tag-{number}"])
        place.ledger.word(run_id, f"tag-{number}")

    return write


def _writing_exports(place: Place) -> Callable[[int], object]:
    run_id = _finished(place, 1)[0]
    kinds = itertools.cycle(("ro-crate", "ro-crate zip", "prov", "csv", "profile"))
    chosen = {number: next(kinds) for number in range(100_000)}
    tempfile.gettempdir()  # once a process, Python tries its folder with a file; a kill there would leave that one

    def write(number: int) -> None:
        kind = chosen[number // 7]
        ending = {"ro-crate": "", "ro-crate zip": ".zip", "prov": ".json", "csv": ".csv", "profile": ".md"}[kind]
        target = place.outputs / f"export-{number}{ending}"
        to = {"ro-crate zip": "ro-crate"}.get(kind, kind)
        from dissmodel_lab import export

        export(run_id, to, target, store=place.store)
        place.ledger.word(run_id, f"export:{target.name}")

    return write


def _writing_cache(place: Place) -> Callable[[int], object]:
    from dissmodel_lab.sources.cache import DataCache

    def write(number: int) -> None:
        cache = DataCache(place.cache)
        mark = hashlib.sha1(b"%d" % (number // 3)).hexdigest()
        with cache.lock(mark):
            if cache.find(mark) is None:
                work = cache.workspace(mark)
                made = work / f"input-{number // 3}.bin"
                made.write_bytes(output_of(number // 3, b"fetched"))
                cache.keep(mark, made, text=f"https://host/input-{number // 3}.bin")
        place.ledger.word("cache", mark)

    return write


def _writing_sweeps(place: Place) -> Callable[[int], object]:
    """Begin a sweep, or go on with the one that was killed before."""
    from dissmodel_lab import open_sweep, sweep
    from dissmodel_lab.errors import SweepError

    def write(number: int) -> None:
        unfinished = None
        with contextlib.suppress(LabError):
            last = open_sweep(place.store)
            unfinished = last if last.progress().state != "finished" else None
        if unfinished is not None:
            with contextlib.suppress(SweepError):
                unfinished.resume(model=Soaked)
            return
        sweep(Soaked, {"number": "1:4:4"}, source=place.source, engine="inline", store=place.store)

    return write


def _unfinished_sweeps(place: Place) -> list[str]:
    """Go on with every sweep; return those of which not each point completes."""
    from dissmodel_lab import open_sweep
    from dissmodel_lab.sweeps.start import list_sweeps

    def finish() -> None:
        for known in list_sweeps(place.store):
            left = open_sweep(place.store, known.folder)
            if left.progress().state != "finished":
                left.resume(model=Soaked)
            done = left.progress()
            if done.done != done.total or len(list(left.rows())) != done.total:
                os._exit(9)

    code, problems = ended(child(place, finish), "resuming sweeps", 300)
    return problems + ([f"resuming sweeps ended with {code}"] if code else [])


WRITERS = {
    "records": _writing_runs,
    "notes": _writing_notes,
    "annotations": _writing_annotations,
    "exports": _writing_exports,
    "cache": _writing_cache,
    "sweeps": _writing_sweeps,
}


# --- disks and clocks


def disk_faults(place: Place, seed: int, count: int) -> list[str]:
    """Let each operation of a run fail with each error, once or from then on; then run on without."""
    luck, problems, at = random.Random(seed), [], 0
    for number in range(count):
        name = luck.choice(sorted(ERRORS))
        error, kinds = ERRORS[name]
        at, is_again = luck.randint(1, 34), luck.random() < 0.5

        def body(number=number, error=error, kinds=kinds, at=at, is_again=is_again):
            layer = Layer()
            layer.arm(place.world, at, kinds=kinds, error=error, again=is_again)
            with contextlib.suppress(OSError, LabError):
                carry_out(place, 2 * number, output=str(place.outputs / f"f-{number}.bin") if number % 3 == 0 else "")
            layer.disarm()
            carry_out(place, 2 * number + 1)

        code, found = ended(child(place, body), f"{name} at operation {at}")
        problems += found + ([] if code == 0 else [f"a process ended with {code} after {name} at operation {at}"])
    return problems


def slow_disk(place: Place, seed: int, count: int) -> list[str]:
    """Let each operation take a moment, and kill in the middle of it."""
    luck, problems = random.Random(seed), []
    for number in range(count):

        def body(number=number):
            Layer().arm(place.world, 1, again=True, slow_us=3000)
            for more in range(3):
                carry_out(place, number * 10 + more)

        running = child(place, body)
        if number % 3:
            time.sleep(luck.uniform(0, 0.4))
            _send(place, running, SIGNALS[number % len(SIGNALS)])
        problems += ended(running, "slow disk")[1]
    return problems


def small_disk(place: Place, seed: int, count: int, store: str) -> list[str]:
    """Run on a disk that gets full, and gets room again, in turns; ``store`` lies on it."""
    luck, problems = random.Random(seed), []
    ballast = Path(store).parent / "ballast"

    def body(number: int) -> None:
        with contextlib.suppress(OSError, LabError):
            carry_out(place, number, store=store)

    for number in range(count):
        ballast.unlink(missing_ok=True)
        if number % 3:
            free = shutil.disk_usage(ballast.parent).free
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                file.write(bytes(max(0, free - luck.randint(0, 48 * 1024))))
        code, found = ended(child(place, lambda number=number: body(number)), "small disk")
        problems += found + ([] if code == 0 else [f"a process on a full disk ended with {code}"])
    ballast.unlink(missing_ok=True)
    return problems


def read_only(place: Place, seed: int, count: int, store: str) -> list[str]:
    """Try to run where nothing can be written: it must say so, and leave nothing."""
    problems: list[str] = []
    said = set()

    def body(number: int) -> None:
        try:
            carry_out(place, number, store=store)
        except LabError as error:
            raise SystemExit(0 if "cannot be kept" in str(error) else 4) from error
        raise SystemExit(5)

    for number in range(count):
        running = os.fork()
        if running == 0:
            code = 6
            try:
                body(number)
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                os._exit(code)
        code, found = ended(running, "read-only folder")
        problems += found
        said.add(code)
    return problems + [f"a run in a read-only folder ended with {code}" for code in said if code]


def vanishing(place: Place, seed: int, count: int) -> list[str]:
    """Move a store's folder away in the middle of a run, and back again after it; nothing may hang or be lost."""
    luck, problems = random.Random(seed), []
    for number in range(count):
        store, gone = place.world / f"store-{number}", place.world / f"gone-{number}"
        told, tell = os.pipe()
        stop = luck.choice(PHASES)

        def body(number=number, store=store, tell=tell, stop=stop):
            os.environ[TELL_NAME] = str(tell)
            with contextlib.suppress(OSError, LabError):
                carry_out(place, number, store=store, parameters={"stop_in": stop, "stop_seconds": 0.02})

        running = child(place, body)
        os.close(tell)
        _reach(told, stop[0].encode(), 1)
        store.rename(gone)
        problems += ended(running, f"folder gone in {stop}")[1]
        os.close(told)
        if store.exists():  # begun anew, in a folder that nobody has asked for
            problems.append(f"the vanished store was made again in {stop}")
            shutil.rmtree(store)
        gone.rename(store)
    return problems


def clock_jumps(place: Place, seed: int, count: int) -> list[str]:
    """Let the clock on the wall jump between runs and in the middle of them, by up to ten years; kill some."""
    luck, problems = random.Random(seed), []
    far = 10 * 365 * 86400.0
    for number in range(count):
        jumps = [luck.choice((-1, 1)) * luck.choice((2.0, 3600.0, 86400.0, far)) for _ in range(4)]

        def body(number=number, jumps=jumps):
            layer = Layer()

            left = iter(jumps)

            def jump(event):
                if type(event).__name__ == "PhaseStarted":
                    layer.clock(next(left, 0.0))

            carry_out(place, 10 * number, observers=[jump])
            for more, jump_by in enumerate(jumps, 1):
                layer.clock(jump_by)
                carry_out(place, 10 * number + more)

        running = child(place, body)
        if number % 4 == 0:
            time.sleep(luck.uniform(0, 0.03))
            _send(place, running, "SIGKILL")
        code, found = ended(running, f"clock jumps {jumps}")
        problems += found + ([] if code in (0, -signal.SIGKILL) else [f"clock jumps {jumps} ended with {code}"])
    return problems


# --- several at once


def write(place: Place, seed: int, runs: int, writer: int, kills: int) -> list[str]:
    """Run again and again on a store that others use, too; some of the children are killed."""
    luck, problems, done, killed = random.Random(seed), [], 0, 0
    while done < runs:
        each = min(runs - done, luck.randint(5, 30))

        def body(each=each, first=done):
            for number in range(each):
                carry_out(place, writer * 1_000_000 + first + number)

        running = child(place, body)
        done += each
        if killed < kills:
            time.sleep(luck.uniform(0, 0.02 * each))
            _send(place, running, luck.choice(SIGNALS))
            killed += 1
        problems += ended(running, f"writer {writer}")[1]
    return problems


def look(place: Place, seed: int, what: str) -> list[str]:
    """List, or reindex, until told to stop."""
    store, problems, times = RunStore(place.store), [], 0
    while not (place.folder / "stop").exists():
        times += 1
        if what == "reindex":
            store.reindex()
        entries = store.entries()
        ids = [entry.experiment_id for entry in entries]
        if len(ids) != len(set(ids)):
            problems.append("a run is listed twice")
        problems += [f"unreadable while others write: {e.folder}" for e in entries if e.status == "unreadable"]
        problems += store.notices
    return list(dict.fromkeys(problems)) + ([] if times else [f"{what} was never done"])


# --- engines


def engine_kills(place: Place, seed: int, engine: str, rounds: int, kill_parent: bool) -> list[str]:
    """Kill workers, or the process that has sent them their runs, in each phase; the others must not suffer."""
    luck, problems = random.Random(seed), []
    for number in range(rounds):
        how, phase = SIGNALS[number % 3] if not kill_parent else "SIGKILL", PHASES[luck.randrange(4)]
        running = child(place, lambda number=number, phase=phase: _in_engine(place, number * 100, engine, phase))
        process = _victim(place, phase, running)
        if process is None:
            problems.append(f"no worker of {engine} came to {phase}")
            os.kill(running, signal.SIGKILL)
        else:
            _send(place, running if kill_parent else process, how)
        code, found = ended(running, f"{engine}: {how} in {phase}", 120)
        problems += found
        if code != 0 and not kill_parent and process is not None:
            problems.append(f"{engine}: who had sent a run ended with {code} after {how} in {phase}")
    return problems


def _in_engine(place: Place, first: int, engine: str, phase: str) -> None:
    for number in range(4):
        stop = {"stop_in": phase, "stop_seconds": 1.5} if number == 2 else {}
        with contextlib.suppress(LabError, KeyboardInterrupt):
            carry_out(place, first + number, engine=engine, workers=1, parameters=stop)


def _victim(place: Place, phase: str, parent: int) -> int | None:
    """Wait until a run stops in a phase; return the process that carries it out."""
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        for path in place.store.glob("*/record.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                record = json.loads(path.read_bytes())
                number = record["provenance"]["process_id"]
                said = (path.parent / "journal.jsonl").read_text()
                starts = said.count('"phase_started"')
                if (
                    record["status"] == "running"
                    and record["parameters"].get("stop_in") == phase
                    and starts == PHASES.index(phase) + 1
                    and os.path.exists(f"/proc/{number}")
                ):
                    return int(number)
        time.sleep(0.01)
    return None


def engine_memory(place: Place, seed: int, engine: str, rounds: int) -> list[str]:
    """Let models in workers take more memory than the run may have."""
    luck, problems = random.Random(seed), []

    def body(first: int) -> None:
        for number, phase in enumerate(luck.sample(PHASES, 2)):
            with contextlib.suppress(LabError):
                carry_out(place, first + 2 * number, engine=engine, memory="400 MB", parameters={"eat_in": phase})
            carry_out(place, first + 2 * number + 1, engine=engine, memory="400 MB")

    for number in range(rounds):
        place.ledger.kill("memory")
        place.ledger.kill("memory")
        code, found = ended(child(place, lambda number=number: body(100 * number)), f"{engine}: memory", 180)
        problems += found + ([] if code == 0 else [f"{engine}: who had sent a hungry run ended with {code}"])
    return problems


# --- a notebook's kernel


def in_kernel(folder: str, number: int) -> None:
    """Begin a run in a worker, and then one in the kernel, which stops until the kernel is restarted."""
    place = Place(Path(folder))
    run_id = uuid4().hex
    sha256 = hashlib.sha256(output_of(1000 + number, place.source.read_bytes())).hexdigest()
    place.ledger.announce(run_id, sha256)
    dissmodel_lab.run(
        Soaked,
        source=place.source,
        parameters={"number": 1000 + number, "stop_in": "run", "stop_seconds": 2.0},
        store=place.store,
        fields={"experiment_id": run_id},
        background=True,
    )
    stop = {"stop_in": PHASES[number % 4], "stop_seconds": 60.0}

    def tell(event):
        if type(event).__name__ == "PhaseStarted" and event.phase.value == stop["stop_in"]:
            (place.folder / f"at-work-{number}").touch()

    carry_out(place, number, parameters=stop, observers=[tell])
