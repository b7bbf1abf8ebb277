"""A run step by step: the picture that follows it, the player when it is over, and the strip that stays.

The player's parts are linked in the page itself, so that it plays on when the kernel is gone. The static
twin, for notebooks in which no script may run, is an animated PNG and a strip of pictures; a report that may
hold a script turns the strip into a player again.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dissmodel_lab.language import in_language, message, say
from dissmodel_lab.redaction import redact_text
from dissmodel_lab.views.access import accessible
from dissmodel_lab.views.charts import charts_svg
from dissmodel_lab.views.markup import escape_attribute, escape_short

# Maps load numpy: they are imported where they are first needed, after the panel is seen.
if TYPE_CHECKING:
    from dissmodel_lab.frames import FrameKeeper, RawFrame, Shown
    from dissmodel_lab.maps.frames import Frames, Scene
    from dissmodel_lab.maps.legend import Legend

#: Pictures of the strip, and the widest and tallest one [CSS pixels].
STRIP, THUMB = 8, 150
#: Frames of the animation, its longest side [pixels], and how long it plays [s]: WCAG 2.2, 2.2.2 lets moving
#: pictures that start by themselves last five seconds.
MOVING, MOVING_SIDE, MOVING_SECONDS = 24, 320, 4.8
#: How much of the strip's budget the animation gets.
MOVING_SHARE = 0.55
#: Largest size of the player's picture on the page, and of the live one, which stands beside the table of phases
#: in JupyterLab on a screen 1280 wide [CSS pixels].
WIDTH, MAX_HEIGHT = 440, 620
LIVE_WIDTH, LIVE_MAX_HEIGHT = 360, 440
#: The next live picture waits this many times what the last one cost its thread: at most 0.7 % of it.
PATIENCE = 150
#: Shortest time between two live pictures [s].
PICTURE_INTERVAL = 0.25
#: Shortest time between two drawings of the charts [s].
CHARTS_INTERVAL = 1.0
#: A live picture gets its alternative text after this time [s]: a shorter run closes it before the page has drawn it.
NAMED_AFTER = 3.0
#: Finding where the cells of a table lie takes about so long for each [s]; it must not pass 1 % of the run so far.
CELL_SECONDS = 0.6e-6
_LABEL = 120
_TRIES = 8
_CRISP = "image-rendering:pixelated"
_SMALL = "font-size:12px;margin:2px 0"

#: Turns each strip of a page into a picture with a range input; the page must be one that may run scripts.
REPORT_SCRIPT = """
document.querySelectorAll('.dl-film').forEach(film => {
  const cells = [...film.querySelectorAll('.dl-frame')], strip = film.querySelector('.dl-strip');
  const picture = film.querySelector('img');
  if (cells.length < 2 || !strip || !picture) return;
  const range = document.createElement('input'), said = document.createElement('output');
  const play = document.createElement('button'), row = document.createElement('div');
  Object.assign(range, {type: 'range', min: 0, max: cells.length - 1, value: 0});
  range.setAttribute('aria-label', 'Step');
  range.style.cssText = 'width:260px;vertical-align:middle';
  play.type = 'button';
  let timer = null;
  const show = () => {
    const cell = cells[range.value], image = cell.querySelector('img');
    picture.src = image.src;
    picture.alt = image.alt;
    picture.style.imageRendering = 'pixelated';
    said.textContent = cell.textContent.trim();
    range.setAttribute('aria-valuetext', said.textContent);
  };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = 'Play'; };
  range.addEventListener('input', () => { stop(); show(); });
  play.addEventListener('click', () => {
    if (timer) return stop();
    if (+range.value === cells.length - 1) range.value = 0;
    play.textContent = 'Pause';
    show();
    timer = setInterval(() => {
      if (+range.value === cells.length - 1) return stop();
      range.value = +range.value + 1;
      show();
    }, 700);
  });
  row.append(play, ' ', range, ' ', said);
  strip.before(row);
  strip.style.display = 'none';
  film.querySelectorAll('.dl-moving').forEach(words => words.remove());
  stop();
  show();
});
"""


def with_players(page: str) -> str:
    """
    Add the script that turns film strips into players to an HTML page.

    Parameters
    ----------
    page : str
        A whole page, such as a notebook's report.

    Examples
    --------
    >>> with_players("<body><p>no strip</p></body>")
    '<body><p>no strip</p></body>'
    >>> with_players("<body><div class='dl-film'></div></body>").count("<script>")
    1
    """
    at = page.rfind("</body>")
    if at < 0 or "dl-film" not in page:
        return page
    script = REPORT_SCRIPT
    for word, said in (("Step", say("Step")), ("Play", say("Play")), ("Pause", say("Pause"))):
        script = script.replace(f"'{word}'", _in_script(said))
    return f"{page[:at]}<script>{script}</script>{page[at:]}"


def _in_script(text: str) -> str:
    """Write a text as JavaScript."""
    inner = json.dumps(text)[1:-1]
    return f"'{inner.replace(chr(39), chr(92) + 'u0027')}'"


def film_html(frames: Frames, *, budget: int) -> str:
    """
    Draw kept frames as static HTML: an animated PNG, then a strip of at most eight of them.

    Parameters
    ----------
    frames : Frames
        Of a run that is over.
    budget : int
        What all pictures together may weigh as PNG [bytes].

    Returns
    -------
    str
        HTML that reads without scripts and in an untrusted notebook; empty when there is no picture.
    """
    from dissmodel_lab.views.map_view import data_url, legend_html, notes_html  # noqa: PLC0415 -- see above

    if not frames.moments:
        return ""
    numbers = frames.spread(STRIP)
    moving, size, count = _animation(frames, int(MOVING_SHARE * budget))
    strip = "".join(
        _cell(frames, number, encoded, wide)
        for number, (encoded, wide) in zip(
            numbers, _thumbs(frames, numbers, int((1 - MOVING_SHARE) * budget)), strict=True
        )
    )
    wide, high = _fitted(frames.size, MOVING_SIDE, MOVING_SIDE)
    if count > 1:
        alt = say("Animation of {n} of the run's steps: {what}", n=count, what=_alt(frames))
        words = say("It plays once and stops at the last step; below are single steps.")
    else:
        alt, words = say("Animation of one step: {what}", what=_alt(frames)), ""
    smaller = (message("The pictures are reduced, nearest pixel."),) if size[0] < frames.size[0] else ()
    title = say("Step by step: {band}", band=_words(frames.band))
    return (
        '<div class="dl-film" style="margin:0 0 12px 0">'
        f'<div style="font-weight:bold;margin:2px 0">{title}</div>'
        f'<div class="dl-moving" style="{_SMALL}">{words}</div>'
        f'<div style="max-width:{wide}px;border:1px solid #888888;background-color:#ffffff">'
        f'<img alt="{escape_attribute(alt)}" width="{wide}" height="{high}" '
        f'src="{data_url(moving)}" style="width:{wide}px;height:auto;max-width:100%;margin:0;display:block">'
        '</div><div class="dl-strip" style="margin:6px 0">'
        f"{strip}</div>{legend_html(frames.legend)}{notes_html((*frames.notes, *smaller))}</div>"
    )


def _words(text: str) -> str:
    return escape_short(redact_text(in_language(text)), _LABEL)


def _alt(frames: Frames) -> str:
    first, last = (redact_text(in_language(frames.moments[at].text))[:_LABEL] for at in (0, -1))
    return message(
        "{band}, from {first} to {last}; {legend}.",
        band=frames.band[:_LABEL],
        first=first,
        last=last,
        legend=frames.legend.summary,
    )


def _cell(frames: Frames, number: int, encoded: bytes, size: tuple[int, int]) -> str:
    from dissmodel_lab.views.map_view import data_url  # noqa: PLC0415 -- see above

    said = frames.moments[number].text
    label = _words(said)
    alt = escape_attribute(", ".join(redact_text(text)[:_LABEL] for text in (frames.band, said)))
    wide, high = size
    return (
        '<div class="dl-frame" style="display:inline-block;vertical-align:top;margin:0 8px 0 0;'
        f'width:{wide}px"><img alt="{alt}" width="{wide}" height="{high}" '
        f'src="{data_url(encoded)}" style="width:{wide}px;height:{high}px;max-width:{wide}px;margin:0;display:block;'
        f'background-color:#ffffff"><div style="{_SMALL};overflow-wrap:anywhere">{label}</div></div>'
    )


def _fitted(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """Return a size on the page: as large as fits, in its right shape."""
    scale = min(width / size[0], height / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _pixels_for(size: tuple[int, int], longest: float) -> tuple[int, int]:
    """Return a size in pixels: enlarged by a whole number, so that viewers that smooth show cells, or reduced."""
    times = longest / max(size)
    scale = math.floor(times) if times >= 1 else times
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _animation(frames: Frames, budget: int) -> tuple[bytes, tuple[int, int], int]:
    """Return the animation, its size, and how many steps it shows: fewer and smaller until it is light enough."""
    most, longest = MOVING, float(MOVING_SIDE)
    for _ in range(_TRIES):
        numbers, size = frames.spread(most), _pixels_for(frames.size, longest)
        encoded = frames.animation(size, numbers, MOVING_SECONDS)
        if len(encoded) <= budget:
            break
        too_heavy = math.sqrt(budget / len(encoded))
        most = max(2, min(len(numbers) - 1, int(len(numbers) * too_heavy)))
        longest = max(16.0, min(longest, max(size)) * max(0.5, too_heavy))
    return encoded, size, len(numbers)


def _thumbs(frames: Frames, numbers: list[int], budget: int) -> list[tuple[bytes, tuple[int, int]]]:
    shown = _fitted(frames.size, THUMB, THUMB)
    longest = 2.0 * THUMB
    for _ in range(_TRIES):
        size = _pixels_for(frames.size, longest)
        encoded = [frames.png(number, size) for number in numbers]
        weight = sum(map(len, encoded))
        if weight <= budget:
            break
        longest = max(size) * min(0.9, math.sqrt(budget / weight))
    return [(one, shown) for one in encoded]


class StepPlayer:
    """
    A picture that a slider, or a play button, leads through time; it needs no kernel once it is shown.

    Parameters
    ----------
    frames : Frames
        At least one picture.
    """

    def __init__(self, frames: Frames) -> None:
        import ipywidgets as w  # noqa: PLC0415 -- not needed for the static strip

        from dissmodel_lab.views.map_view import legend_html, notes_html  # noqa: PLC0415 -- see above

        last = len(frames.moments) - 1
        wide, high = _fitted(frames.size, WIDTH, MAX_HEIGHT)
        room = w.Layout(width=f"{wide}px", height=f"{high}px", border="1px solid #888888", margin="2px")
        self.pictures = [w.Image(value=frames.png(at), format="png", layout=room) for at in range(last + 1)]
        for picture in self.pictures:
            picture.add_class("dl-step-picture")
        self.stack = w.Stack(self.pictures, selected_index=0)
        # A selection's labels are shown by the page itself: the step's name follows without a kernel.
        self.slider = w.SelectionSlider(
            options=[(_plain(moment.text), at) for at, moment in enumerate(frames.moments)],
            index=0,
            description=say("Step"),
            continuous_update=True,
            style={"description_width": "initial"},
            layout=w.Layout(width="600px", max_width="100%"),
        )
        self.slider.add_class("dl-step-slider")
        interval = max(80, min(500, 8000 // (last + 1)))
        self.play = w.Play(min=0, max=last, step=1, value=0, interval=interval, description=say("Play"))
        self._links = (
            w.jslink((self.play, "value"), (self.slider, "index")),
            w.jslink((self.slider, "index"), (self.stack, "selected_index")),
        )
        said = say("Step by step: {band}", band=_words(frames.band))
        title = f'<div style="font-weight:bold">{said}</div>'
        style = (
            f"<style>.dl-step-picture{{{_CRISP};background-color:#ffffff;max-width:100%;height:auto!important}}"
            ".dl-step-slider .widget-readout{min-width:min(240px,45%);text-align:left}</style>"
        )
        below = _lines(legend_html(frames.legend) + notes_html(frames.notes))
        controls = w.Box([self.play, self.slider], layout=w.Layout(flex_flow="row wrap", grid_gap="0 12px"))
        parts = [w.HTML(style + title), self.stack, controls, w.HTML(below)]
        self.widget = accessible(w.VBox(parts), picture=frames.band[:_LABEL])
        self.widget.add_class("dl-player")


def _lines(html: str) -> str:
    # As in the charts: widgets set lines far apart.
    return f'<div style="line-height:1.5">{html}</div>'


def _plain(text: str) -> str:
    # The front end sets a slider's readout as text: nothing to escape there.
    return redact_text(in_language(text))[:_LABEL]


class LiveMap:
    """
    The picture that follows a run, its legend, and the choice of what it shows.

    Parameters
    ----------
    keeper : FrameKeeper
        Made with ``live=True``.
    """

    def __init__(self, keeper: FrameKeeper) -> None:
        import ipywidgets as w  # noqa: PLC0415 -- as above

        self._keeper = keeper
        self._style = w.HTML(
            f"<style>.dl-live-picture{{{_CRISP};background-color:#ffffff;max-width:100%;height:auto!important}}</style>"
        )
        self.chooser = w.Dropdown(
            options=[],
            description=say("Live map"),
            style={"description_width": "initial"},
            layout=w.Layout(width=f"{LIVE_WIDTH}px", max_width="100%", margin="2px 0"),
        )
        self.chooser.add_class("dl-live-chooser")
        self.image = w.Image(format="png", value=b"")
        self.image.add_class("dl-live-picture")
        self.legend = w.HTML()
        self.widget = w.VBox(
            [self._style, self.chooser, self.image, self.legend],
            layout=w.Layout(display="none", max_width=f"{LIVE_WIDTH + 20}px"),
        )
        self.widget.add_class("dl-live")
        self.problem = ""
        """Why there is no picture."""
        self.once = 0.0
        """Processor time of what is worked out once for all pictures [s]."""
        self._scene: Scene | None = None
        self._legend: Legend | None = None
        self._drawn: RawFrame | None = None
        self._next = self._next_charts = 0.0
        self._charts = ""
        self._began = time.perf_counter()
        self._is_filling = self._is_named = False
        self.chooser.observe(self._choose, "value")

    def charts(self) -> str:
        """Return the charts of the values so far, as HTML; new ones once a second."""
        now = time.perf_counter()
        if now >= self._next_charts:
            self._next_charts = now + CHARTS_INTERVAL
            self._charts = charts_svg(self._keeper.series())
        return self._charts

    def draw(self) -> bool:
        """
        Draw the newest frame, when there is one and drawing it is due; return whether something was sent.

        A model's data can be of any kind: what cannot be drawn is said once, and then left.
        """
        frame = self._keeper.newest
        now = time.perf_counter()
        if (
            frame is None
            or frame is self._drawn
            or self.problem
            or now < self._next
            or not self._may_draw(frame, now)
        ):
            return False
        try:
            self._show(frame)
        except Exception as error:  # noqa: BLE001 -- see above
            self.problem = redact_text(f"{type(error).__name__}: {error}")
            self.legend.value = f"<div>{say('No live map: {why}', why=escape_short(self.problem, 400))}</div>"
            self.widget.layout.display = ""
        return True

    def _may_draw(self, frame: RawFrame, now: float) -> bool:
        # Finding the cells of a large table holds the interpreter: not before the run is long enough for it.
        rows = 0 if frame.backdrop.geometry is None else len(frame.backdrop.geometry)
        return self._scene is not None or CELL_SECONDS * rows <= 0.01 * (now - self._began)

    def _show(self, frame: RawFrame) -> None:
        from dissmodel_lab.maps import png  # noqa: PLC0415 -- see above
        from dissmodel_lab.views.map_view import legend_html  # noqa: PLC0415

        is_new = self._scene is None or not self._scene.fits(frame)
        if is_new:
            if self._scene is None or self._scene.shown != frame.shown:
                self._legend = None
            self._prepare(frame)
        assert self._scene is not None  # for the type checker: it was made above
        busy = time.thread_time()
        painted = self._scene.paint(frame.values, self._legend)
        if is_new:
            self._resize(painted.pixels.shape[1], painted.pixels.shape[0])
        legend = replace(painted.legend, minimum=None, maximum=None)  # they are those of one step
        if legend != self._legend or is_new:
            self.legend.value = _lines(legend_html(legend))
        self._legend, self._drawn = legend, frame
        if not self._is_named and time.perf_counter() - self._began > NAMED_AFTER:
            self._is_named = True
            busy += self._name()
        self.image.value = png.encode(painted.pixels, painted.legend.colours, level=1)
        if self._keeper.options and len(self.chooser.options) != len(self._keeper.options):
            self._fill_chooser(frame.shown)
        cost = time.thread_time() - busy
        self._next = time.perf_counter() + max(PICTURE_INTERVAL, PATIENCE * cost)

    def _prepare(self, frame: RawFrame) -> None:
        """Work out once for all pictures what they share: it is not in the cost of one."""
        from dissmodel_lab.class_tables import class_tables  # noqa: PLC0415 -- see above
        from dissmodel_lab.maps.frames import Scene  # noqa: PLC0415

        busy = time.thread_time()
        self._scene = Scene(frame, self._keeper.classes)
        self._scene.place(self._scene.grid(frame.values))
        if isinstance(self._keeper.classes, type):
            class_tables(self._keeper.classes)
        self.once += time.thread_time() - busy

    def _name(self) -> float:
        """Give the picture an alternative text; return the processor time, which is spent once [s]."""
        busy = time.thread_time()
        accessible(self.widget, picture=say("Live map"))
        cost = time.thread_time() - busy
        self.once += cost
        return cost

    def _resize(self, width: int, height: int) -> None:
        wide, high = _fitted((width, height), LIVE_WIDTH, LIVE_MAX_HEIGHT)
        self.image.layout.width, self.image.layout.height = f"{wide}px", f"{high}px"
        self.widget.layout.display = ""

    def _fill_chooser(self, shown: Shown) -> None:
        several = len({option.layer for option in self._keeper.options}) > 1
        self._is_filling = True  # new options move the value: that is nobody's choice
        try:
            self.chooser.options = [
                (_plain(option.title if several else option.name), option) for option in self._keeper.options
            ]
            self.chooser.value = shown
        finally:
            self._is_filling = False

    def _choose(self, change: Any) -> None:
        if not self._is_filling:
            self._keeper.wanted = change["new"]
