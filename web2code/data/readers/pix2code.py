"""pix2code's web dataset: a screenshot and the page in the layout language of the paper (arXiv 1705.07962)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from web2code.data.readers.conversations import require
from web2code.data.sample import ImageFile, Rejected, Sample, dialogue

SOURCE, LICENCE = "pix2code", "Apache-2.0"
ASK = "Write this page in pix2code's layout language."


def read_pix2code(root: Path) -> Iterator[Sample | Rejected]:
    """Pairs of `<name>.gui` and `<name>.png`; the answer is the layout as it is, which a builder makes HTML of.

    Raises:
        ValueError: no `.gui` file is there.
    """
    files = sorted(root.rglob("*.gui"))
    if not files:
        require(root / "all_data" / "name.gui")
    for path in files:
        name, picture = f"{SOURCE}/{path.stem}", path.with_suffix(".png")
        layout = path.read_text(encoding="utf-8", errors="replace")
        if not layout.strip():
            yield Rejected(name, SOURCE, "layout is empty")
        elif not picture.exists():
            yield Rejected(name, SOURCE, "image not found", picture.name)
        else:
            yield Sample(
                id=name, part="Pix2Code", source=SOURCE, licence=LICENCE, messages=dialogue([(ASK, layout)]),
                image=ImageFile(picture), page=name,
            )  # fmt: skip
