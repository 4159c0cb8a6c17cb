import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from web2code.evaluation.ssim import page_ssim, ssim


def by_the_formula(first, second):
    """One window of 11 by 11, with sums written out."""
    weights = [[math.exp(-((x - 5) ** 2 + (y - 5) ** 2) / (2 * 1.5**2)) for x in range(11)] for y in range(11)]
    total = sum(map(sum, weights))

    def mean(of):
        return sum(weights[y][x] / total * of(y, x) for y in range(11) for x in range(11))

    a, b = mean(lambda y, x: first[y][x]), mean(lambda y, x: second[y][x])
    variance_a = mean(lambda y, x: (first[y][x] - a) ** 2)
    variance_b = mean(lambda y, x: (second[y][x] - b) ** 2)
    covariance = mean(lambda y, x: (first[y][x] - a) * (second[y][x] - b))
    c1, c2 = 6.5025, 58.5225
    return ((2 * a * b + c1) * (2 * covariance + c2)) / ((a * a + b * b + c1) * (variance_a + variance_b + c2))


def page(height=720, width=1280, lines=range(20)):
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for line in lines:
        draw.text((40, 30 * line + 20), f"Line {line} of a page with some words in it", fill="black", font_size=22)
    return np.asarray(image)


def test_one_window_follows_the_formula():
    drawn = np.random.default_rng(0)
    first = drawn.integers(0, 256, (11, 11)).astype(float)
    second = np.clip(first + drawn.normal(0, 30, (11, 11)), 0, 255)
    assert ssim(first, second) == pytest.approx(by_the_formula(first.tolist(), second.tolist()), abs=1e-12)


def test_flat_pictures_differ_in_luminance_only():
    # (2 * 100 * 120 + 6.5025) / (100^2 + 120^2 + 6.5025)
    assert ssim(np.full((20, 30), 100), np.full((20, 30), 120)) == pytest.approx(24006.5025 / 24406.5025)


def test_it_is_one_for_the_same_and_symmetric_otherwise():
    first, second = np.random.default_rng(1).integers(0, 256, (2, 40, 50))
    assert ssim(first, first) == pytest.approx(1)
    assert ssim(first, second) == pytest.approx(ssim(second, first))


@pytest.mark.parametrize(("first", "second"), [((20, 20), (20, 21)), ((10, 50), (10, 50))])
def test_pictures_that_cannot_be_compared_are_a_user_mistake(first, second):
    with pytest.raises(ValueError, match="11 by 11"):
        ssim(np.zeros(first), np.zeros(second))


def test_a_page_is_like_itself_and_an_empty_one_like_nothing():
    assert page_ssim(page(), page()) == pytest.approx(1)
    assert page_ssim(page(), page(lines=())) == 0
    assert page_ssim(page(lines=()), page(lines=())) == pytest.approx(1)


def test_half_a_page_gets_less_than_half_and_one_that_is_twice_as_long_too():
    assert page_ssim(page(), page(lines=range(10))) < 0.5
    assert page_ssim(page(), page(height=1440)) == pytest.approx(0.5, abs=0.01)


def test_pages_of_any_two_sizes_can_be_compared():
    assert 0 <= page_ssim(page(), page(64, 64, lines=range(2))) < 0.1
    assert 0 <= page_ssim(page(64, 64, lines=range(2)), page(3000)) < 0.1
