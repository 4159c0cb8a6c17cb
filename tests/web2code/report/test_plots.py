import xml.etree.ElementTree as ElementTree

import pytest

from web2code.config import Interval
from web2code.report.plots import interval_plot, loss_curve, time_bars


def numbers(svg, path, attribute):
    return [float(element.get(attribute)) for element in ElementTree.fromstring(svg).findall(path)]


@pytest.mark.parametrize("losses", [[2.0], [3.0, 2.0, 1.0], [0.001] * 5, [1e-9, 900.0]])
def test_every_loss_lies_inside_the_picture(losses):
    svg = loss_curve(losses, "loss")
    _, _, width, height = map(float, ElementTree.fromstring(svg).get("viewBox").split())
    for line in ElementTree.fromstring(svg).findall("polyline"):
        points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        assert len(points) == len(losses)
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points)


def test_an_interval_is_drawn_around_its_mean_at_its_place():
    rows = [("Overall", [("this model", Interval(mean=5, low=4, high=6)), ("other", Interval(mean=0, low=0, high=0))])]
    svg = interval_plot(rows, "scores")
    (first, second) = numbers(svg, "circle", "cx")
    bars = [line for line in ElementTree.fromstring(svg).findall("line") if line.get("class").startswith("bar")]
    low, high = float(bars[0].get("x1")), float(bars[0].get("x2"))
    assert low < first < high
    assert first - low == pytest.approx(high - first)
    ticks = {element.text: float(element.get("x")) for element in ElementTree.fromstring(svg).findall("text")}
    assert ticks["0"] == second
    assert ticks["4"] == pytest.approx(low)


def test_the_longest_step_has_the_longest_bar():
    widths = numbers(time_bars({"a": 1.0, "b": 4.0, "c": 0.0}), "rect", "width")
    assert widths[1] == pytest.approx(4 * widths[0])
    assert widths[2] > 0


def test_names_are_escaped():
    assert "<script>" not in time_bars({"<script>": 1.0})
