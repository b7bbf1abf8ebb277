"""What the built-in models say of themselves, for readers of other languages.

The sentences stand in the models as docstrings, where those who copy a model read them; a test holds them equal.
"""

from __future__ import annotations

from dissmodel_lab.language import message

_SENTENCES = (
    # coastal_flood
    message("Let the sea rise year by year and flood the land that is low enough and connected to it."),
    message("Rise of the sea by the end year, at an even pace. All the ice on Earth holds less than 70 m."),
    message("The year before the sea begins to rise."),
    message("The last year; later than the start year."),
    message("Neighbours through which water reaches a cell: 4 (sides only) or 8 (corners too)."),
    message("Name of the input's band that holds the elevation above today's sea level [m]."),
    # forest_fire
    message("Grow a random forest on square cells, set fire to it, and see how far the fire gets."),
    message("Share of the forest's cells that have trees."),
    message("Probability that a burning cell sets fire to a neighbour with trees."),
    message("Cells that the fire can reach from one: 4 (sides only) or 8 (corners too)."),
    message("Where it starts: all trees of the first column, the most central tree, or any one tree."),
    message("How long the fire is followed; a cell burns for one step."),
    message("Start of the random numbers: the same seed gives the same forest and the same fire."),
    # game_of_life
    message("Let cells be born and die by Conway's rule: born with 3 living neighbours of 8, alive with 2 or 3."),
    message("How many times the rule is applied."),
    message("Join opposite edges, so that the grid is a torus; otherwise all beyond the edges is dead."),
)
_KNOWN = {str(sentence): sentence for sentence in _SENTENCES}


def own_words(text: str) -> str:
    """
    Return a sentence of a built-in model so that it can be shown in other languages; any other text as it is.

    Parameters
    ----------
    text : str
        A description or a summary, of any model: what it holds is never taken for a template.

    Examples
    --------
    >>> own_words("How many times the rule is applied."), own_words("Share of {cells}")
    ('How many times the rule is applied.', 'Share of {cells}')
    """
    return _KNOWN.get(text, text)
