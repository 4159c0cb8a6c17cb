"""LLaVA's public data: LCS-558K captions, Instruct-150K, and the 665K mixture with its five picture folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from web2code.data.images import ImageIndex
from web2code.data.readers.conversations import read_records, require
from web2code.data.sample import Message, Rejected, Sample

# The licences of the dataset cards; captions come from LAION, CC-3M and SBU with terms of their own.
PRETRAIN_LICENCE, INSTRUCT_LICENCE = "other-cc3m-laion-sbu", "CC-BY-NC-4.0"
MIX_ROOTS = ("coco", "gqa", "ocr_vqa", "textvqa", "vg")


def read_llava_pretrain(root: Path) -> Iterator[Sample | Rejected]:
    """LCS-558K (`blip_laion_cc_sbu_558k.json`): one caption a picture, from `images.zip` or unpacked folders.

    Raises:
        ValueError: a file is missing or not whole.
    """
    archive = root / "images.zip"
    images = ImageIndex([archive] if archive.exists() else [root])
    path = root / "blip_laion_cc_sbu_558k.json"
    yield from read_records(path, images, "llava-pretrain", PRETRAIN_LICENCE, _always("LCS-558K"))


def read_llava_mix665k(root: Path) -> Iterator[Sample | Rejected]:
    """The stage-2 mixture of LLaVA-1.5 (`llava_v1_5_mix665k.json`); records without a picture are text alone.

    Raises:
        ValueError: a file is missing or not whole, or none of the picture folders is there.
    """
    path = root / "llava_v1_5_mix665k.json"
    require(path)
    if not any((root / name).is_dir() for name in MIX_ROOTS):
        raise ValueError(f"{root} holds none of {', '.join(MIX_ROOTS)}: unpack the pictures of mix665k there")
    yield from read_records(path, ImageIndex([root]), "llava-mix665k", INSTRUCT_LICENCE, _always("mix665k"))


def read_llava_instruct(root: Path) -> Iterator[Sample | Rejected]:
    """LLaVA-Instruct-150K (`llava_instruct_150k.json`), whose pictures are those of COCO's `train2017`.

    Raises:
        ValueError: a file is missing or not whole.
    """
    path = root / "llava_instruct_150k.json"
    yield from read_records(
        path, ImageIndex([root]), "llava-instruct-150k", INSTRUCT_LICENCE, _always("LLaVA-Instruct")
    )


def _always(part: str):
    def part_of(image: str, messages: tuple[Message, ...]) -> str:
        return part

    return part_of
