"""Pictures for a training step: stored at training size, beside decoding and resizing whole screenshots each time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

from benchmarks.arms import ROUNDS, Arm, apart, report
from web2code.config import PictureFormat, Viewport
from web2code.data.writers.procedural import ProceduralWriter
from web2code.modelling.images import CLIP_MEAN, normalise, square_pixels
from web2code.rendering import Browsers
from web2code.training.pictures import open_pictures, write_pictures

PICTURES, SCREENSHOTS, SIZE, BATCH = 200, 20, 336, 20
WINDOW = Viewport(width=1280, height=1950)
FORMS: tuple[PictureFormat, ...] = ("raw", "jpeg")


def screenshots() -> list[bytes]:
    """Generated pages in a window as high as a usual page is, as PNG."""
    writer = ProceduralWriter(0)
    with Browsers(2, WINDOW, layout=False) as browsers:
        return [shot.png for shot in browsers.render(writer.page(f"p/{number}") for number in range(SCREENSHOTS))]


def whole(folder: Path) -> Iterator[torch.Tensor]:
    """As LLaVA's loader: open the file, pad it to a square, and let the tower's processor do the rest."""
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})
    for number in range(PICTURES):
        image = Image.open(folder / f"{number % SCREENSHOTS}.png").convert("RGB")
        side = max(image.size)
        square = Image.new("RGB", (side, side), tuple(int(255 * channel) for channel in CLIP_MEAN))
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        yield processor(square, return_tensors="pt")["pixel_values"]


def stored(folder: Path, form: str) -> Iterator[torch.Tensor]:
    """As our loader: read what was prepared once, a micro batch at a time."""
    pictures = open_pictures([folder / form])
    numbers = np.array_split(np.arange(PICTURES) % SCREENSHOTS, PICTURES // BATCH)
    yield from (normalise(pictures[some]) for some in numbers)


def timed(load: Callable[[], Iterator[torch.Tensor]]) -> tuple[float, list[float]]:
    """Seconds on one core, and the pictures' means; as in training, a micro batch is gone when the next one comes."""
    torch.set_num_threads(1)
    began, means = time.perf_counter(), []
    for pixels in load():
        means += pixels.mean((1, 2, 3)).tolist()
    return time.perf_counter() - began, means


def main() -> None:
    """Three ways in turns, each on one core."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = screenshots()
        for number, png in enumerate(pictures):
            (folder / f"{number}.png").write_bytes(png)
        for form in FORMS:
            (folder / form).mkdir()
            write_pictures(folder / form, [square_pixels(png, SIZE) for png in pictures], form)
        ways = {"whole screenshots, CLIP's processor of transformers": partial(whole, folder)}
        ways |= {f"ours: stored at training size, {form}": partial(stored, folder, form) for form in FORMS}
        arms = {way: Arm(way) for way in ways}
        for number in range(ROUNDS):
            for way, load in ways.items():
                _, gigabytes, (seconds, means) = apart(partial(timed, load))
                arms[way].seconds.append(seconds)
                arms[way].gigabytes.append(gigabytes)
                arms[way].result = means
                print(f"round {number + 1}  {way:<55} {PICTURES / seconds:8.0f} pictures/s", flush=True)
        for arm in arms.values():
            assert np.allclose(arm.result, arms[next(iter(ways))].result, atol=0.01), f"{arm.name}: other pictures"
    size = f"Screenshots of {WINDOW.width} x {WINDOW.height}, wanted at {SIZE} x {SIZE}; one core, imports not counted."
    report("Loading pictures", PICTURES, "pictures", arms, size)


if __name__ == "__main__":
    main()
