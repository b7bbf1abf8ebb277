"""Frames on disk while their run lasts, without colours: so that a kill leaves them, and others can look on.

In a run's folder, each written by the worker's keeper and gone when the run has ended well::

    frames.part   the film: all copies so far, one after the other, with their places; a kill leaves it there
    .live         the newest copy, for who looks
    .watched      written by who looks: that somebody does, and what they want to see

A file is a sequence of arrays in NumPy's own format (NumPy Enhancement Proposal 1), none of them pickled: facts
as JSON in bytes, then as many arrays as the facts say. What a kill has torn is left out by the reader.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import stat
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.frames.moments import Backdrop, Moment, RawFrame, Shown
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.store import write_atomic
from dissmodel_lab.store.files import LIVE_NAME, WATCHED_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

FILM_NAME = "frames.part"
SHARE, LIVE_SHARE = 0.002, 0.0015
"""Parts of the run's time that the film and the live picture may take; copying has another 0.5 %."""
INTERVAL, LIVE_INTERVAL = 2.0, 0.5
"""Shortest times between two writings of the film, and of the live picture [s]; at the beginning they are shorter."""
_FIRST_INTERVAL = 0.1
TOUCH_INTERVAL = 2.0
"""How often who looks says so [s]."""
_PATIENCE = 10.0
"""After this time without a word nobody looks any more [s]; network disks show a change after 3 s and more."""
_ROOM = 16 << 20
"""A film is written anew, without the copies that were thinned out, when it is larger, and has doubled [bytes]."""
_LARGEST = 64 << 20
"""No array is larger [bytes]."""
_BOX_SECONDS, _SHAPE_SECONDS = 0.6e-6, 4e-6
"""Writing the place of a table's row takes about so long, once: of a rectangle, and of another shape [s]."""
_EARLY = 0.005
"""What may be taken of each share in advance, so that short runs leave something [s]."""
_MOST_TEXTS = 1000
_LABEL = 200
_LARGEST_WISH = 4096
_NUMBERS = "biuf"
_PLANE = 2

#: A point of the series: its count, its simulated time, its values.
Point = tuple[int, tuple[float | None, dict[str, float]]]


class Live(NamedTuple):
    """What is for who looks."""

    frame: RawFrame | None
    options: tuple[Shown, ...]


class _Clock:
    """When the next writing is due, so that all of them stay within a share of the run's time."""

    def __init__(self, began: float, share: float, interval: float) -> None:
        self.seconds = 0.0
        self.due = 0.0
        self._has_forgiven = False
        self._began, self._share, self._interval = began, share, interval

    def affordable_until(self) -> float:
        """Return the moment until which a writing that begins now keeps within the share."""
        now = time.perf_counter()
        return now + max(0.0, _EARLY + self._share * (now - self._began) - self.seconds)

    @contextmanager
    def charged(self) -> Iterator[None]:
        began, busy = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            now = time.perf_counter()
            cost, own = now - began, time.thread_time() - busy
            # Another process had the processor: no cost of this writing. But a slow disk makes every one wait.
            self._has_forgiven = own < cost / 4 and not self._has_forgiven
            self.seconds += own if self._has_forgiven else cost
            interval = min(self._interval, max(_FIRST_INTERVAL, (now - self._began) / 4))
            self.due = max(now + interval, self._began + (self.seconds - _EARLY) / self._share)


class Checkpoint:
    """
    Writes a run's frames while it lasts, from the model's thread, at a bounded cost.

    Parameters
    ----------
    folder : Path
        Of the run.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> folder = Path(tempfile.mkdtemp())
    >>> film = Checkpoint(folder)
    >>> frame = RawFrame(Moment(1, 3), Shown("", "city"), np.ones((2, 2)), Backdrop(size=(2, 2)))
    >>> film.save([(1, frame)], [(1, (None, {"area": 4.0}))])
    >>> [frame.moment.text for _, frame in read_film(folder / FILM_NAME).frames]
    ['step 1 of 3']
    >>> film.close()
    >>> list(folder.iterdir())
    []
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._began = time.perf_counter()
        self._film_clock = _Clock(self._began, SHARE, INTERVAL)
        self._live_clock = _Clock(self._began, LIVE_SHARE, LIVE_INTERVAL)
        self._file: int | None = None
        self._size = self._whole_size = 0
        self._shown: Shown | None = None
        self._frame_count = self._point_count = -1
        self._places: dict[Shown, tuple[int, Backdrop]] = {}
        self._n_places = 0
        self._written: RawFrame | None = None
        self._touched = 0
        self._watched_until = -math.inf

    @property
    def seconds(self) -> float:
        """Time that looking and writing took on the model's thread [s]."""
        return self._film_clock.seconds + self._live_clock.seconds

    @property
    def due(self) -> float:
        """When there may be something to do again, as :func:`time.perf_counter` tells it."""
        return min(self._film_clock.due, self._live_clock.due)

    def look(self, now: float) -> tuple[bool, Shown | None] | None:
        """Return what :meth:`watched` does, when that is due."""
        if now < self._live_clock.due:
            return None
        with self._live_clock.charged():
            return self.watched()

    def put_away(
        self, now: float, frames: list[tuple[int, RawFrame]], points: list[Point], live: Live | None = None
    ) -> None:
        """
        Write what is due.

        Parameters
        ----------
        now : float
            As :func:`time.perf_counter` told it.
        frames, points : list of tuple
            As :meth:`save` takes them.
        live : Live, optional
            For who looks.

        Raises
        ------
        OSError, ValueError, TypeError
            When something cannot be written.
        """
        # The newest of the two may be of another band, with shapes of its own.
        is_first = self._file is None  # the live picture's place is in the film
        if now >= self._film_clock.due or (is_first and live is not None):
            with self._film_clock.charged():
                if not frames or self._is_affordable(frames[-1][1]):
                    self.save(frames, points)
        if live is not None and live.frame is not None and self._is_affordable(live.frame):
            with self._live_clock.charged():
                self.show(live.frame, live.options)

    def watched(self) -> tuple[bool, Shown | None]:
        """Tell whether somebody looks, and what they have just chosen; what is stale is removed."""
        path, now = f"{self._folder}{os.sep}{WATCHED_NAME}", time.monotonic()
        wish = None
        try:
            found = os.lstat(path)
        except OSError:
            self._hide()
            return False, None
        # Another machine's clock may be wrong: that the time has changed says it all.
        if found.st_mtime_ns != self._touched:
            self._touched, self._watched_until = found.st_mtime_ns, now + _PATIENCE
            if stat.S_ISREG(found.st_mode) and found.st_size < _LARGEST_WISH:
                wish = _wish(path)
        if now < self._watched_until:
            return True, wish
        self._hide()
        with suppress(OSError):  # somebody else's; it does no harm
            os.unlink(path)  # noqa: PTH108 -- as above
        return False, None

    def _hide(self) -> None:
        if self._written is not None:
            self._written = None
            _remove(self._folder, LIVE_NAME)

    def _is_affordable(self, frame: RawFrame) -> bool:
        """Tell whether a frame's place may be written now: the shapes of a large table must wait for a long run."""
        known = self._places.get(frame.shown)
        if frame.backdrop.geometry is None or (known is not None and _is_same_place(known[1], frame.backdrop)):
            return True
        shapes = frame.backdrop.geometry
        cost = len(shapes) * (_BOX_SECONDS if _boxes(shapes[:1]) is not None else _SHAPE_SECONDS)
        return cost < max(_EARLY, SHARE * (time.perf_counter() - self._began))

    def save(self, frames: list[tuple[int, RawFrame]], points: list[Point]) -> None:
        """
        Write what is new of the kept copies and values.

        Parameters
        ----------
        frames : list of tuple
            (count, frame), all of one band.
        points : list of tuple
            (count, (time, values)).

        Raises
        ------
        OSError, ValueError, TypeError
            When they cannot be written.
        """
        shown = frames[0][1].shown if frames else None
        if self._file is None or shown != self._shown or self._size > max(_ROOM, 2 * self._whole_size):
            self._begin(frames, points)
            self._shown = shown
            return
        file, self._file = self._file, None  # an interrupt in the middle leaves a torn film: it is written anew then
        new = [item for item in frames if item[0] > self._frame_count]
        self._append(file, new, [point for point in points if point[0] > self._point_count])
        self._file = file

    def _begin(self, frames: list[tuple[int, RawFrame]], points: list[Point]) -> None:
        self._forget_file()
        self._places, self._size = {}, 0
        path = self._folder / FILM_NAME
        temporary = self._folder / f".{os.getpid()}-{FILM_NAME}.tmp"
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            self._write(file, _packed({"is": "film", "format": 1}))
            self._append(file, frames, points)
            os.replace(temporary, path)  # noqa: PTH105 -- as everywhere in the store
        except BaseException:
            os.close(file)
            with suppress(OSError):
                temporary.unlink()
            raise
        self._file, self._whole_size = file, self._size

    def _append(self, file: int, frames: list[tuple[int, RawFrame]], points: list[Point]) -> None:
        until = self._film_clock.affordable_until()
        for count, frame in frames:
            number = self._place(file, frame)
            self._write(file, _packed_frame(frame, number, count))
            self._frame_count = count
            if time.perf_counter() > until:  # the others come next time, if they are not thinned out by then
                break
        if points:
            told = [
                (count, moment, {redact_text(name): value for name, value in values.items()})
                for count, (moment, values) in points
            ]
            self._write(file, _packed({"is": "points", "points": told}))
            self._point_count = points[-1][0]

    def _place(self, file: int, frame: RawFrame) -> int:
        """Return the number of a frame's place in the film; one that is not there yet is written."""
        known = self._places.get(frame.shown)
        if known is not None and _is_same_place(known[1], frame.backdrop):
            return known[0]
        self._n_places += 1
        self._write(file, _packed_place(frame.backdrop, self._n_places))
        self._places[frame.shown] = self._n_places, frame.backdrop
        return self._n_places

    def _write(self, file: int, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(file, view) :]
        self._size += len(content)

    def show(self, frame: RawFrame, options: Iterable[Shown]) -> None:
        """
        Write the newest copy for who looks; its place is in the film.

        Parameters
        ----------
        frame : RawFrame
            The copy.
        options : iterable of Shown
            What else could be shown.

        Raises
        ------
        OSError, ValueError, TypeError
            When it cannot be written.
        """
        if frame is self._written or self._file is None:
            return
        file, self._file = self._file, None  # as in save()
        number = self._place(file, frame)
        self._file = file
        picture = _packed_frame(replace(frame, values=_lighter(frame)), number, 0)
        options_told = _packed({"is": "options", "options": list(options)})
        write_atomic(self._folder / LIVE_NAME, options_told + picture, durable=False)
        self._written = frame

    def close(self, *, keeps_film: bool = False) -> None:
        """Remove what was for the time of the run."""
        self._forget_file()
        forget_live(self._folder)
        if not keeps_film:
            _remove(self._folder, FILM_NAME)

    def _forget_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # a network disk that has gone
                os.close(file)


def _wish(path: str) -> Shown | None:
    # Without waiting: what stands there may have become a pipe meanwhile.
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            layer, band = json.loads(os.read(file, _LARGEST_WISH))
        finally:
            os.close(file)
        return Shown(str(layer), str(band))
    except (OSError, ValueError, TypeError, RecursionError):  # nothing was chosen, or it is no file of ours
        return None


def say_watched(folder: Path, wanted: Shown | None) -> None:
    """
    Tell the run in a folder that somebody looks.

    Parameters
    ----------
    folder : Path
        Of the run.
    wanted : Shown or None
        What they have chosen.

    Raises
    ------
    OSError
        When it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> say_watched(folder, Shown("", "age"))
    >>> Checkpoint(folder).watched()
    (True, Shown(layer='', band='age'))
    """
    content = json.dumps(list(wanted) if wanted is not None else []).encode()
    write_atomic(folder / WATCHED_NAME, content, durable=False)


def forget_live(folder: Path) -> None:
    """
    Remove what was there for who looked.

    Examples
    --------
    >>> from pathlib import Path
    >>> forget_live(Path("no/such/folder"))
    """
    _remove(folder, LIVE_NAME)
    _remove(folder, WATCHED_NAME)


def _remove(folder: Path, name: str) -> None:
    with suppress(OSError):  # it is not there, or somebody else's: it does no harm
        os.unlink(f"{folder}{os.sep}{name}")  # noqa: PTH108 -- as above


def _is_same_place(one: Backdrop, other: Backdrop) -> bool:
    if one is other:
        return True
    if one.geometry is not other.geometry or (one.size, one.factor) != (other.size, other.factor):
        return False
    if one.transform != other.transform or (one.crs is not other.crs and str(one.crs) != str(other.crs)):
        return False
    if one.exists is None or other.exists is None:
        return one.exists is other.exists
    return bool(one.exists.shape == other.exists.shape and (one.exists == other.exists).all())


# ------------------------------------------------------------------------------------------ to bytes


def _packed(facts: Mapping[str, Any], arrays: Iterable[Any] = ()) -> bytes:
    import numpy as np  # noqa: PLC0415 -- this module is there before the first array is

    parts = list(arrays)
    buffer = io.BytesIO()
    text = json.dumps({**facts, "arrays": len(parts)}, default=_plain).encode()
    for part in (np.frombuffer(text, np.uint8), *parts):
        if part.dtype.kind not in _NUMBERS or part.nbytes > _LARGEST:
            raise ValueError(f"{part.nbytes} bytes of {part.dtype} are no part of a film")
        np.save(buffer, part, allow_pickle=False)
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)  # a number of numpy, mostly


def _packed_frame(frame: RawFrame, place: int, count: int) -> bytes:
    moment = replace(frame.moment, label=redact_text(frame.moment.label))
    facts = {"is": "frame", "place": place, "count": count, "shown": list(frame.shown), "moment": asdict(moment)}
    if frame.backdrop.geometry is not None:
        column, names = _packed_column(frame.values)
        return _packed({**facts, "names": names}, [column])
    return _packed(facts, _packed_plane(frame.values))


def _packed_plane(values: Any) -> list[Any]:
    import numpy as np  # noqa: PLC0415 -- as above

    masked = sys.modules.get("numpy.ma")  # loading it takes longer than all that is written here
    if masked is not None and isinstance(values, masked.MaskedArray):
        return [np.asarray(values.data), masked.getmaskarray(values)]
    return [np.asarray(values)]


def _lighter(frame: RawFrame) -> Any:
    """Return a copy's values with the digits that a picture can show."""
    import numpy as np  # noqa: PLC0415 -- as above

    values, nodata = frame.values, frame.backdrop.nodata
    if type(values) is not np.ndarray or values.dtype != np.float64:
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        is_exact = nodata is None or np.float32(nodata) == nodata
        return values.astype(np.float32) if is_exact else values


def _packed_column(values: Any) -> tuple[Any, list[str] | None]:
    """Return a table's column as numbers, and the texts that they stand for."""
    import numpy as np  # noqa: PLC0415 -- as above
    import pandas as pd  # noqa: PLC0415 -- there is a table, so it is loaded

    dtype = values.dtype
    if pd.api.types.is_bool_dtype(dtype) or not pd.api.types.is_numeric_dtype(dtype):
        codes, texts = pd.factorize(values)
        if len(texts) > _MOST_TEXTS:
            raise ValueError(f"{len(texts)} different texts are too many for a film")
        return np.asarray(codes, np.int32), [redact_text(str(text)[:_LABEL]) for text in texts]
    has_gaps = not isinstance(dtype, np.dtype) and bool(pd.isna(values).any())
    return (values.to_numpy(dtype=np.float64, na_value=np.nan) if has_gaps else np.asarray(values)), None


def _packed_place(place: Backdrop, number: int) -> bytes:
    import numpy as np  # noqa: PLC0415 -- as above

    facts: dict[str, Any] = {"is": "place", "number": number, "size": place.size, "factor": place.factor}
    facts["transform"] = [float(part) for part in tuple(place.transform)[:6]] if place.transform is not None else None
    if place.crs is not None:
        facts["crs"] = place.crs.to_wkt() if hasattr(place.crs, "to_wkt") else str(place.crs)
    facts["nodata"] = getattr(place.nodata, "item", lambda: place.nodata)()
    facts["unit"] = str(place.unit)[:_LABEL]
    classes = place.classes if isinstance(place.classes, dict) else {}
    facts["classes"] = [(int(code), str(label)[:_LABEL], str(colour)) for code, (label, colour) in classes.items()]
    arrays = []
    if place.exists is not None:
        facts["has_exists"] = True
        arrays.append(np.asarray(place.exists))
    if place.geometry is not None:
        import shapely  # noqa: PLC0415 -- as above

        boxes = _boxes(place.geometry)
        facts["shapes"] = "boxes" if boxes is not None else "wkb"
        if boxes is not None:
            arrays.append(boxes)
        else:
            shapes = [shape or b"" for shape in shapely.to_wkb(np.asarray(place.geometry))]
            arrays.append(np.array([len(shape) for shape in shapes], np.int64))
            arrays.append(np.frombuffer(b"".join(shapes), np.uint8))
    return _packed(facts, arrays)


def _boxes(geometry: Any) -> Any:
    """Return the bounds (west, south, east, north) of rectangles, one a row; None where there are other shapes."""
    import numpy as np  # noqa: PLC0415 -- as above
    import shapely  # noqa: PLC0415 -- there are shapes, so it is loaded

    shapes = np.asarray(geometry)
    bounds = shapely.bounds(shapes)
    sides = bounds[:, 2:] - bounds[:, :2]
    # A shape that fills its bounds is a rectangle; without an area (or with NaN for none) it may be anything.
    areas = sides.prod(axis=1)
    is_box = (areas > 0) & (np.abs(shapely.area(shapes) - areas) <= 1e-9 * areas)
    return bounds if bool(is_box.all()) else None


# ------------------------------------------------------------------------------------------ from bytes


class Film(NamedTuple):
    """What a run has put away so far."""

    frames: list[tuple[int, RawFrame]]
    points: list[Point]


def read_film(path: Path) -> Film:
    """
    Read the frames that a run has put away; what a kill has torn off the end is left out.

    Parameters
    ----------
    path : Path
        The film.

    Raises
    ------
    OSError
        When it cannot be read.
    ValueError, KeyError, TypeError
        When it is no film.
    """
    film, places, is_film = Film([], []), dict[int, Backdrop](), False
    with _opened(path) as file:
        for facts, arrays in _items(file):
            match facts["is"]:
                case "film":
                    is_film = facts["format"] == 1
                case "place":
                    places[facts["number"]] = _place_of(facts, arrays)
                case "frame":
                    film.frames.append((int(facts["count"]), _frame_of(facts, arrays, places)))
                case "points":
                    film.points.extend(_point_of(*point) for point in facts["points"])
    if not is_film:
        raise ValueError("it does not begin as a film does")
    return film


class LivePicture:
    """
    Reads the newest copy of a run that another process carries out.

    Parameters
    ----------
    folder : Path
        Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp = (0, 0, 0)
        self._places: dict[int, Backdrop] = {}
        self.newest: RawFrame | None = None
        """The last one that could be read."""
        self.options: tuple[Shown, ...] = ()
        """What else can be shown."""

    def look(self) -> None:
        """Read what is new; a file that holds anything else than a picture is passed over."""
        path = self._folder / LIVE_NAME
        # It may have been written by anybody, and will soon be written again.
        with suppress(Exception):
            found = os.lstat(path)  # a link is none of ours
            stamp = found.st_mtime_ns, found.st_size, found.st_ino
            if stamp == self._stamp or not stat.S_ISREG(found.st_mode):
                return
            self._stamp = stamp
            self._read(path)

    def _read(self, path: Path) -> None:
        options = self.options
        with _opened(path) as file:
            for facts, arrays in _items(file):
                if facts["is"] == "options":
                    options = tuple(Shown(str(layer), str(band)) for layer, band in facts["options"])
                elif facts["is"] == "frame":
                    if facts["place"] not in self._places:
                        self._find_places()
                    self.newest, self.options = _frame_of(facts, arrays, self._places), options

    def _find_places(self) -> None:
        self._places = {}
        with _opened(self._folder / FILM_NAME) as file:
            for facts, arrays in _items(file, only="place"):
                self._places[facts["number"]] = _place_of(facts, arrays)


def _opened(path: Path) -> BinaryIO:
    """Open a file that may be anything; of a pipe nothing is waited for."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise ValueError("it is no file")
    return os.fdopen(file, "rb")


def _items(file: BinaryIO, only: str = "") -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Read facts with their arrays, as far as the file is whole."""
    end = os.fstat(file.fileno()).st_size
    with suppress(EOFError):
        while file.tell() < end:
            facts = json.loads(_array_of(file, end).tobytes())
            is_wanted = only in ("", facts["is"])
            arrays = [_array_of(file, end, is_wanted=is_wanted) for _ in range(int(facts["arrays"]))]
            if is_wanted:
                yield facts, arrays


def _array_of(file: BinaryIO, end: int, *, is_wanted: bool = True) -> Any:
    """Read an array; its header is believed only as far as there are bytes."""
    import numpy as np  # noqa: PLC0415 -- as above

    try:
        version = np.lib.format.read_magic(file)
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    except ValueError:
        if file.tell() >= end:  # torn
            raise EOFError from None
        raise
    if version != (1, 0):
        raise ValueError("its arrays are of an unknown version")
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in _NUMBERS or not 0 <= size <= _LARGEST or min(shape, default=0) < 0:
        raise ValueError(f"no film has arrays of {size} bytes of {dtype}")
    if file.tell() + size > end:
        raise EOFError
    if not is_wanted:
        file.seek(size, os.SEEK_CUR)
        return None
    return np.frombuffer(file.read(size), dtype).reshape(shape, order="F" if is_fortran else "C")


def _place_of(facts: Mapping[str, Any], arrays: list[Any]) -> Backdrop:
    left = iter(arrays)
    width, height = facts["size"]
    transform = facts.get("transform")
    if transform is not None:
        from affine import Affine  # noqa: PLC0415 -- only for those with a georeference

        transform = Affine(*map(float, transform))
    classes = {int(code): (str(label), str(colour)) for code, label, colour in facts.get("classes", ())}
    if not all(re.fullmatch(r"#[0-9a-fA-F]{6}", colour) for _, colour in classes.values()):
        raise ValueError("its legend has colours that are none")
    nodata, crs = facts.get("nodata"), facts.get("crs")
    return Backdrop(
        size=(int(width), int(height)),
        factor=max(1, int(facts["factor"])),
        transform=transform,
        crs=str(crs) if crs is not None else None,
        nodata=nodata if isinstance(nodata, int | float) else None,
        exists=next(left) if facts.get("has_exists") else None,
        classes=classes or None,
        unit=str(facts.get("unit", "")),
        geometry=_shapes_of(facts["shapes"], list(left)) if "shapes" in facts else None,
    )


def _shapes_of(kind: str, arrays: list[Any]) -> Any:
    import numpy as np  # noqa: PLC0415 -- as above
    import shapely  # noqa: PLC0415 -- only for tables

    if kind == "boxes":
        (bounds,) = arrays
        return shapely.box(*bounds.reshape(-1, 4).T)
    lengths, content = arrays
    if lengths.ndim != 1 or (lengths < 0).any() or int(lengths.sum()) != content.size:
        raise ValueError("its shapes are not whole")
    ends = np.cumsum(lengths)
    whole = content.tobytes()
    shapes = [whole[start:end] or None for start, end in zip(ends - lengths, ends, strict=True)]
    return shapely.from_wkb(np.array(shapes, object), on_invalid="ignore")


def _frame_of(facts: Mapping[str, Any], arrays: list[Any], places: Mapping[int, Backdrop]) -> RawFrame:
    import numpy as np  # noqa: PLC0415 -- as above

    place, values = places[facts["place"]], arrays[0]
    layer, band = facts["shown"]
    names = facts.get("names")
    if place.geometry is not None:
        if values.shape != place.geometry.shape:
            raise ValueError("its column and its shapes do not fit together")
        if names is not None:
            values = np.array([*map(str, names), None], object)[values]
    elif values.ndim != _PLANE or not values.size:
        raise ValueError("a picture has two axes")
    elif len(arrays) > 1:
        values = np.ma.MaskedArray(values, arrays[1].astype(bool))
    moment = facts["moment"]
    known = moment["n_steps"], moment["time"]
    n_steps, clock = (part if isinstance(part, int | float) else None for part in known)
    return RawFrame(
        Moment(
            step=int(moment["step"]),
            n_steps=int(n_steps) if n_steps is not None else None,
            label=str(moment["label"])[:_LABEL],
            time=float(clock) if clock is not None else None,
            part=int(moment["part"]),
            count=int(moment["count"]),
        ),
        Shown(str(layer)[:_LABEL], str(band)[:_LABEL]),
        values,
        place,
    )


def _point_of(count: Any, moment: Any, values: Mapping[str, Any]) -> Point:
    clock = float(moment) if moment is not None else None
    return int(count), (clock, {str(name): float(value) for name, value in values.items()})
