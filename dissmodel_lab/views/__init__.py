"""What a person sees: each view draws static HTML and PNG first, and a widget around that.

The static twin needs no script, so that a saved notebook reads without a kernel. Only these modules (and
the magics) know ipywidgets, ipyleaflet and IPython.
"""
