"""The corpus of hostile texts in the real browser: nothing runs, nothing asks a host that nobody named.

``make test`` shows the short corpus; ``DISSMODEL_LAB_WHOLE_CORPUS=1`` every payload in every place.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from lab import Notebook

SECURITY = Path(__file__).parents[1] / "security"
sys.path.insert(0, str(SECURITY))

from hostile_views import ALL, VIEWS  # noqa: E402 -- its folder is made known above
from payloads import HOST, PAYLOADS, RUN, URL  # noqa: E402 -- as above

WHOLE = os.environ.get("DISSMODEL_LAB_WHOLE_CORPUS") == "1"
START = f"""
import sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
sys.path.insert(0, {str(SECURITY)!r})
from hostile_views import show
"""
#: What an attacker's output says beside its payloads.
ADDED = "Added by somebody else."
#: One of these stands in the visible text of every payload.
SIGNS = (RUN, HOST, "alert(1)", PAYLOADS["format-fields"])
#: What a page must not hold where payloads are shown: elements and attributes that only a payload can have made.
FOUND = """host => {
  const open = window.jupyterapp?.shell.currentWidget?.content?.widgets?.map(cell => cell.outputArea?.node);
  const places = location.protocol === 'file:' ? [document.body]
    : open?.filter(node => node) ?? document.querySelectorAll('.jp-OutputArea-output');
  const found = [];
  for (const place of places)
    for (const element of place.querySelectorAll('*')) {
      const name = element.localName;
      if (['script', 'iframe', 'object', 'embed', 'meta', 'base', 'link', 'marquee', 'video', 'audio', 'form',
           'math', 'mjx-container', 'maction', 'source'].includes(name)) found.push(name);
      for (const {name: key, value} of element.attributes)
        if (/^on/i.test(key) || (/^(src|srcset|href|action|xlink:href|data|poster|ping|style|srcdoc)$/i.test(key)
            && (value.includes(host) || /^\\s*(javascript|vbscript):/i.test(value)
                || /^data:(?!image\\/(png|gif);base64,)/i.test(value))))
          found.push(`${name}[${key}=${value.slice(0, 80)}]`);
    }
  return found;
}"""
DRAWN = """at => {
  const content = window.jupyterapp?.shell.currentWidget?.content;
  if (!content?.widgets?.[at]) return false;
  content.activeCellIndex = at;
  content.scrollToItem?.(at);
  return at === 0 || content.widgets[at].outputArea?.node.textContent.length > 0;
}"""
TEXT = """() => jupyterapp.shell.currentWidget.content.widgets
  .map(cell => cell.outputArea?.node.textContent ?? '').join('\\n')"""


class Watch:
    """Everything that a browser does while it shows what it was given."""

    def __init__(self, context, *allowed):
        self.context, self.allowed = context, allowed
        self.asked, self.kinds, self.dialogs, self.n_requests = [], set(), [], 0
        context.on("request", lambda request: self._note(request.url, request.resource_type))
        context.on("dialog", self._dismiss)
        context.on("page", lambda page: page.on("websocket", lambda socket: self._note(socket.url)))

    def _note(self, url, kind="websocket"):
        self.n_requests += 1
        if urlsplit(url).scheme not in ("data", "blob", "about") and not url.startswith(self.allowed):
            self.asked.append(url)
            self.kinds.add(kind)

    def _dismiss(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def ran(self):
        """Return the addresses of the frames in which a payload has run."""
        frames = [frame for page in self.context.pages for frame in page.frames]
        return [frame.url for frame in frames if frame.evaluate("() => window.__ran ?? top.__ran ?? null")]

    def assert_quiet(self):
        assert (self.ran(), self.dialogs, self.asked) == ([], [], [])
        assert self.n_requests > 0
        assert len(self.context.pages) == 1


@pytest.fixture
def canaries(servers):
    """Files that no view may read or write: they are beside every folder in which something is shown."""
    root = servers("lab").root
    files = [root / "canary", root.parent / "canary", Path("canary").absolute()]
    for file in files:
        file.write_text("untouched")
        os.utime(file, (1, 1))
    yield files
    for file in files:
        assert file.read_text() == "untouched", file
        assert file.stat().st_mtime == 1, file
        file.unlink()


def cells_of(views, every=1):
    arguments = f"whole={WHOLE}, every={every}"
    return [START, *(f"show({name!r}, Path('corpus') / {name!r}, {arguments})" for name in views)]


def settle(page):
    """Wait until the page has nothing more to draw or to ask for."""
    page.wait_for_load_state("networkidle")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")


def test_corpus_is_shown_as_text_in_every_view_and_when_it_is_reopened(
    open_notebook, servers, page, canaries, screenshot
):
    lab = servers("lab")
    watch = Watch(page.context, lab.address, lab.address.replace("http", "ws"))
    notebook = open_notebook(*cells_of(VIEWS))
    notebook.run_all(240)
    settle(page)
    assert notebook.errors() == []
    assert notebook.broken_widgets() == 0
    n_cases = sum(view.n_cases(whole=WHOLE) for view in VIEWS.values())
    print(f"{n_cases:,} cases ({len(PAYLOADS)} payloads)")
    assert n_cases > 500
    said = page.evaluate(TEXT)
    assert said.count(RUN) > 2_000
    assert [name for name, text in PAYLOADS.items() if text.isprintable() and text[:40] not in said] == []
    watch.assert_quiet()
    assert page.evaluate(FOUND, HOST) == []
    screenshot("shown")
    notebook.save()
    page.close()
    look_at_untrusted(lab, watch, notebook.path)
    see_that_the_watch_notices(lab, watch, notebook.path)


def look_at_untrusted(lab, watch, path):
    """Open the saved notebook as somebody else's: as we left it, then with what an attacker added to it."""
    saved = nbformat.read(lab.root / path, as_version=4)
    assert "widgets" not in saved.metadata
    assert HOST in nbformat.writes(saved)  # as text: it was shown
    saved.cells[0].source += "# changed, so that Jupyter doesn't trust it"
    assert reopen(lab, watch, saved).count(RUN) > len(PAYLOADS) / 2
    watch.assert_quiet()
    evil = "".join(PAYLOADS.values())
    data = {"text/html": f"<p>{ADDED}</p>{evil}", "text/plain": evil}
    view = {
        "application/vnd.jupyter.widget-view+json": {"model_id": "0" * 32, "version_major": 2, "version_minor": 0}
    }
    added = nbformat.v4.new_code_cell("1")
    added.outputs = [nbformat.v4.new_output("display_data", bundle) for bundle in (data, {**view, **data})]
    saved.cells = [saved.cells[0], added]
    saved.metadata["widgets"] = widget_state(evil)
    said = reopen(lab, watch, saved)
    assert ADDED in said  # drawn as HTML, of which Jupyter's sanitizer leaves few payloads' texts
    assert RUN in said
    # Jupyter itself lets outputs that it doesn't trust show pictures of other hosts; code it must not let in.
    assert (watch.ran(), watch.dialogs) == ([], [])
    assert "script" not in watch.kinds
    watch.asked.clear()
    watch.context.pages[-1].close()


def reopen(lab, watch, notebook):
    """Open a notebook in a new page and return the text of its outputs."""
    for page in watch.context.pages:
        page.close()
    nbformat.write(notebook, lab.root / "untrusted.ipynb")
    page = watch.context.new_page()
    page.set_default_timeout(20_000)
    Notebook(page, lab, "untrusted.ipynb", wait=False)
    for at in range(len(notebook.cells)):  # what is out of sight isn't drawn
        page.wait_for_function(DRAWN, arg=at, timeout=60_000)
    settle(page)
    return page.evaluate(TEXT)


def widget_state(evil):
    """Return a saved state as an attacker writes it: a widget with HTML in it, and one whose code lies elsewhere."""
    html = {"_model_module": "@jupyter-widgets/controls", "_model_name": "HTMLModel", "_view_name": "HTMLView",
            "_view_module": "@jupyter-widgets/controls", "value": evil}  # fmt: skip
    other = {"_model_module": URL, "_model_name": "M", "_view_module": URL, "_view_name": "V"}
    state = {
        "0" * 32: {"model_name": "HTMLModel", "model_module": "@jupyter-widgets/controls", "state": html},
        "1" * 32: {"model_name": "M", "model_module": URL, "model_module_version": "1.0.0", "state": other},
    }
    return {"application/vnd.jupyter.widget-state+json": {"version_major": 2, "version_minor": 0, "state": state}}


def see_that_the_watch_notices(lab, watch, path):
    """Show payloads as HTML, as no view of ours does: what is asserted above must fail then."""
    planted = f"import ipywidgets\nipywidgets.HTML({PAYLOADS['img-onerror'] + PAYLOADS['img-remote']!r})"
    dialog = "from IPython.display import HTML\nHTML('<img src=x onerror=alert(1)>$x$')"
    cells = [nbformat.v4.new_code_cell(cell) for cell in (planted, dialog)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), lab.root / "planted.ipynb")
    page = watch.context.new_page()
    notebook = Notebook(page, lab, "planted.ipynb")
    notebook.run_all(60)
    page.wait_for_function("() => window.__ran === 1")
    page.wait_for_function("() => document.querySelector('mjx-container')")
    settle(page)
    assert watch.ran() == [page.url]
    assert watch.dialogs == ["1"]
    assert set(watch.asked) == {URL}
    found = page.evaluate(FOUND, HOST)
    assert {"img[onerror=top.__ran=1]", f"img[src={URL}]", "mjx-container"} <= set(found)


def test_exported_pages_show_the_corpus_as_text(page, tmp_path):
    watch = Watch(page.context, tmp_path.as_uri())
    folder = tmp_path / "pages"
    folder.mkdir()
    exported = [*VIEWS["pages"].make(folder, ALL[::6]), *VIEWS["legends"].make(folder, ALL[::6])]
    texts = [one["text/html"] for one in exported if isinstance(one, dict) and "text/html" in one]
    plain = folder / "methods.html"
    plain.write_text(f"<!doctype html><meta charset=utf-8><body>{''.join(texts)}", encoding="utf-8")
    files = [one for one in exported if isinstance(one, Path)]
    files = [plain, *(file for one in files for file in ([one] if one.is_file() else one.rglob("*.html")))]
    assert len(files) > 10
    for file in files:
        page.goto(file.as_uri())
        settle(page)
        said = page.inner_text("body")
        assert any(sign in said for sign in SIGNS), file
        assert page.evaluate(FOUND, HOST) == []
    watch.assert_quiet()


def test_app_in_voila_shows_the_corpus_as_text(servers, page):
    server = servers("voila")
    fonts = "https://cdn.jsdelivr.net/npm/@fortawesome/"  # that of Voila's own template
    watch = Watch(page.context, server.address, server.address.replace("http", "ws"), fonts)
    said = []
    page.on("console", lambda message: said.append(message.text))
    # Voila takes only so many seconds to fetch the widgets from the kernel, and leaves the others out.
    cells = [nbformat.v4.new_code_cell(cell) for cell in cells_of(["forms", "runs", "verdicts", "film"], every=6)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), server.root / "corpus.ipynb")
    page.goto(f"{server.address}/voila/render/corpus.ipynb")
    page.locator(".dl-player").first.wait_for(timeout=90_000)
    settle(page)
    assert [text for text in said if "widget model not found" in text] == []
    assert page.inner_text("body").count(RUN) > 100
    assert page.evaluate(FOUND, HOST) == []
    watch.assert_quiet()
