"""Charts: lines that are right, names that cannot harm, pictures that are light."""

from __future__ import annotations

import io
import itertools
import math
import re

import numpy as np
import pytest
from PIL import Image

from dissmodel_lab.frames import Series
from dissmodel_lab.views.charts import HEIGHT, MAX_CHARTS, WIDTH, charts_figure, charts_png, charts_svg

EVIL = "<script>alert(1)</script>"


def series(n=10, **values):
    return Series(
        list(range(1, n + 1)), [2000.0 + at for at in range(n)], values or {"area": [float(at) for at in range(n)]}
    )


def points(html):
    return [
        [tuple(map(float, pair.split(","))) for pair in line.split()]
        for line in re.findall(r'points="([^"]*)"', html)
    ]


def test_a_line_goes_from_the_lower_left_to_the_upper_right():
    (line,) = points(charts_svg(series()))
    assert line[0] == (1.0, HEIGHT - 2)
    assert line[-1] == (WIDTH - 1, 2.0)
    assert all(later[0] > earlier[0] and later[1] < earlier[1] for earlier, later in itertools.pairwise(line))


def test_a_gap_breaks_the_line():
    values = [1.0, 2.0, math.nan, math.inf, 3.0, 1.0]
    html = charts_svg(series(6, a=values))
    assert [len(line) for line in points(html)] == [2, 2]
    assert "a <b>1</b>" in html
    assert "1 to 3" in html


def test_huge_and_missing_values_are_drawn_and_constant_ones_named():
    late = [math.nan, 5.0, 5.0]
    html = charts_svg(series(3, flat=[5.0] * 3, late=late, huge=[-1.7e308, 0.0, 1.7e308], none=[math.nan] * 3))
    assert len(points(html)) == 2
    assert all(0 <= y <= HEIGHT for line in points(html) for _, y in line)
    assert "values that did not change: flat 5, none -" in html
    assert "nan" not in html
    assert charts_png(series(3, late=late, huge=[-1.7e300, 0.0, 1.7e300]))


def test_a_value_goes_without_its_class_where_no_other_has_its_name():
    html = charts_svg(series(2, **{"Fire.burnt": [1.0, 2.0], "Fire.size": [1.0, 2.0], "Wind.size": [3.0, 4.0]}))
    assert re.findall(r"<div>([\w.]+) <b>", html) == ["burnt", "Fire.size", "Wind.size"]


def test_only_settings_are_no_chart():
    html = charts_figure(series(2, **{"Fire.chance": [0.6, 0.6]}), budget=90_000)
    assert "<img" not in html
    assert "values that did not change: chance 0.6" in html


def test_a_long_series_is_thinned_with_its_end():
    html = charts_svg(series(1000, a=[float(at) for at in range(1000)]))
    (line,) = points(html)
    assert len(line) <= 102
    assert line[-1] == (WIDTH - 1, 2.0)


def test_names_are_escaped_hidden_and_short():
    values = {EVIL: [1.0, 2.0], "token=hunter2": [1.0, 2.0], "x" * 10_000: [1.0, 2.0]}
    for html in (charts_svg(series(2, **values)), charts_figure(series(2, **values), budget=90_000)):
        assert "<script>" not in html
        assert "hunter2" not in html
        assert len(re.sub('base64,[^"]*', "", html)) < 5000


def test_many_series_are_cut_and_said():
    many = {f"v{at}": [1.0, 2.0] for at in range(MAX_CHARTS + 3)}
    assert charts_svg(series(2, **many)).count("<svg") == MAX_CHARTS
    assert "3 more values" in charts_svg(series(2, **many))
    assert "3 more values" in charts_figure(series(2, **many), budget=90_000)


def test_one_point_is_no_line():
    assert charts_svg(series(1, a=[1.0])) == ""
    assert charts_figure(series(1, a=[1.0]), budget=90_000) == ""


def test_the_static_picture_is_light_and_says_what_it_shows():
    random = np.random.default_rng(1)
    noisy = {f"value {at}": random.random(240).tolist() for at in range(6)}
    html = charts_figure(series(240, **noisy), budget=60_000)
    assert "value 5 ends at " in html
    assert "Values by time" in html
    encoded = charts_png(series(240, **noisy))
    assert len(encoded) < 60_000
    picture = Image.open(io.BytesIO(encoded))
    assert picture.mode == "P"
    blue = np.asarray(picture.convert("RGB")).astype(int)
    assert ((blue[..., 2] - blue[..., 0]) > 90).sum() > 1000  # lines were drawn
    assert charts_figure(series(240, **noisy), budget=1000) == ""


def test_formulas_and_foreign_letters_in_names_are_letters():
    assert charts_png(series(2, **{r"$\frac{1$": [1.0, 2.0], "面积": [1.0, 2.0], "a\nb": [1.0, 2.0]}))[1:4] == b"PNG"


@pytest.mark.parametrize("times", [[math.nan, math.nan], [2.0, 1.0]])
def test_without_usable_times_it_is_by_step(times):
    one = Series([1, 2], times, {"a": [1.0, 2.0]})
    assert "Values by step" in charts_figure(one, budget=60_000)
