"""Inline SVG plots, styled by the page's own CSS variables so that they follow its light or dark theme.

They are drawn here and not by matplotlib: its SVG is heavy, ignores the page's theme and fonts, and takes seconds to
import.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from web2code.config import Interval

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 12, 34


def loss_curve(losses: Sequence[float], title: str) -> Markup:
    """Loss of every step, with its running mean over a twentieth of the steps."""
    window = max(1, len(losses) // 20)
    smooth = [
        sum(losses[max(0, i - window + 1) : i + 1]) / (i + 1 - max(0, i - window + 1)) for i in range(len(losses))
    ]
    top = max(losses) * 1.05

    def x(step: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step / max(1, len(losses) - 1))

    def y(loss: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - loss / top)

    def line(values: Sequence[float], name: str) -> str:
        points = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(values))
        return f'<polyline class="{name}" points="{points}"/>'

    marks = "".join(_grid_line(y(tick), f"{tick:g}") for tick in _ticks(top))
    steps = "".join(
        f'<text class="tick" x="{x(step):.1f}" y="{HEIGHT - 14}" text-anchor="middle">{step + 1}</text>'
        for step in sorted({0, len(losses) // 2, len(losses) - 1})
    )
    last = (
        f'<text class="label" x="{WIDTH - RIGHT}" y="{y(smooth[-1]) - 8:.1f}" text-anchor="end">{smooth[-1]:.3f}</text>'
    )
    axis = f'<text class="tick" x="{WIDTH / 2}" y="{HEIGHT - 1}" text-anchor="middle">step</text>'
    return _svg(WIDTH, HEIGHT, title, marks + line(losses, "raw") + line(smooth, "smooth") + steps + last + axis)


def interval_plot(rows: Sequence[tuple[str, Sequence[tuple[str, Interval]]]], title: str) -> Markup:
    """Groups of systems: a dot at the mean and a bar over the 95 % interval, on 0 to 10."""
    row_height, left = 18, 236
    height = sum(len(systems) * row_height + 14 for _, systems in rows) + 30

    def x(score: float) -> float:
        return left + (WIDTH - left - 50) * score / 10

    parts, y = [], 6.0
    for tick in range(0, 11, 2):
        parts.append(f'<line class="grid" x1="{x(tick)}" x2="{x(tick)}" y1="0" y2="{height - 24}"/>')
        parts.append(f'<text class="tick" x="{x(tick)}" y="{height - 8}" text-anchor="middle">{tick}</text>')
    for group, systems in rows:
        parts.append(f'<text class="label" x="0" y="{y + 13}">{escape(group)}</text>')
        for number, (name, interval) in enumerate(systems):
            middle = y + 9
            parts.append(f'<text class="tick" x="{left - 10}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>')
            ends = f'x1="{x(interval.low):.1f}" x2="{x(interval.high):.1f}"'
            parts.append(
                f'<line class="bar s{number}" {ends} y1="{middle}" y2="{middle}"/>'
                f'<circle class="dot s{number}" cx="{x(interval.mean):.1f}" cy="{middle}" r="4.5"/>'
                f'<text class="tick" x="{WIDTH - 4}" y="{middle + 4}" text-anchor="end">{interval.mean:.2f}</text>'
            )
            y += row_height
        y += 14
    return _svg(WIDTH, height, title, "".join(parts))


def time_bars(seconds: dict[str, float]) -> Markup:
    """How long each step took."""
    left, row_height = 100, 22
    longest = max([*seconds.values(), 0.1])
    parts = []
    for number, (name, value) in enumerate(seconds.items()):
        y, width = number * row_height + 4, (WIDTH - left - 70) * value / longest
        parts.append(
            f'<text class="tick" x="{left - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="fill" x="{left}" y="{y}" width="{max(width, 1):.1f}" height="15" rx="3"/>'
            f'<text class="tick" x="{left + width + 6:.1f}" y="{y + 12}">{value:.1f} s</text>'
        )
    return _svg(WIDTH, len(seconds) * row_height + 6, "seconds a step", "".join(parts))


def share_curve(values: Sequence[float], shares: Sequence[float], window: tuple[float, float], title: str) -> Markup:
    """Share of samples (0 to 1) at or below each value, with the window that is kept as a band."""
    low, high = values[0], values[-1]

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (min(max(value, low), high) - low) / ((high - low) or 1.0)

    def y(share: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)

    band = (
        f'<rect class="band" x="{x(window[0]):.1f}" y="{TOP}" width="{max(x(window[1]) - x(window[0]), 1):.1f}" '
        f'height="{HEIGHT - TOP - BOTTOM}"/>'
    )
    marks = "".join(_grid_line(y(tick / 4), f"{tick / 4:.0%}") for tick in range(5))
    points = " ".join(f"{x(value):.1f},{y(share):.1f}" for value, share in zip(values, shares, strict=True))
    labels = "".join(
        f'<text class="tick" x="{x(value):.1f}" y="{HEIGHT - 14}" text-anchor="middle">{value:.3g}</text>'
        for value in (low, (low + high) / 2, high)
    )
    return _svg(WIDTH, HEIGHT, title, band + marks + f'<polyline class="smooth" points="{points}"/>' + labels)


def _svg(width: float, height: float, title: str, body: str) -> Markup:
    return Markup(
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f"{body}</svg>"
    )


def _grid_line(y: float, label: str) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )


def _ticks(top: float) -> list[float]:
    step = 10 ** math.floor(math.log10(top / 2))
    while top / step > 5:
        step *= 2
    return [round(step * i, 6) for i in range(int(top / step) + 1)]
