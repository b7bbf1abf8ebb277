"""A mark in the title of the browser's tab: something that was waited for has happened.

The mark is set by a line of JavaScript in an ``Output`` widget, which JupyterLab and Notebook 7 carry out in live
widgets. It is never part of the notebook's own outputs, so that it is neither saved nor carried out again; it
goes when the tab is looked at. Front ends that carry out no JavaScript show nothing, and miss nothing else.
"""

from __future__ import annotations

import ipywidgets as widgets

_SCRIPT = """(() => {
  const mark = MARK, plain = () => document.title.replace(/^[\\u2713\\u2717\\u25a0] /, '');
  document.title = mark + plain();
  const seen = () => { if (!document.hidden) { document.title = plain(); stop(); } };
  const stop = () => ['visibilitychange', 'focus', 'pointerdown', 'keydown'].forEach(
    name => { document.removeEventListener(name, seen, true); window.removeEventListener(name, seen, true); });
  ['visibilitychange', 'pointerdown', 'keydown'].forEach(name => document.addEventListener(name, seen, true));
  window.addEventListener('focus', seen, true);
})()"""
_MARKS = {"completed": "\\u2713 ", "failed": "\\u2717 ", "lost": "\\u2717 ", "cancelled": "\\u25a0 "}


class TabTitle:
    """
    Room for the script, without any size on the page.

    Examples
    --------
    >>> title = TabTitle()
    >>> title.mark("completed")
    >>> "application/javascript" in title.widget.outputs[0]["data"]
    True
    >>> title.forget()
    >>> title.widget.outputs
    ()
    """

    def __init__(self) -> None:
        self.widget = widgets.Output(layout=widgets.Layout(height="0", margin="0", overflow="hidden"))

    def mark(self, status: str) -> None:
        """
        Put the sign of a status before the tab's title.

        Parameters
        ----------
        status : str
            ``completed``, ``failed``, ``cancelled`` or ``lost``; no other text gets into the script.
        """
        script = _SCRIPT.replace("MARK", f"'{_MARKS.get(status, _MARKS['completed'])}'")
        data = {"application/javascript": script, "text/plain": ""}
        # Not by display(): that would steal what other threads print.
        self.widget.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)

    def forget(self) -> None:
        """Take the script out of the page again: the widget may be drawn a second time."""
        self.widget.outputs = ()
