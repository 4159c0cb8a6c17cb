"""Small folders in exactly the layouts of the public datasets."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

HTML = "<html><head><style>h1{color:#d33}</style></head><body><h1>Tea</h1><p>Fresh tea for all.</p></body></html>"
LAYOUT = """header {
btn-inactive, btn-active, btn-inactive
}
row {
double {
small-title, text, btn-orange
}
double {
small-title, text, btn-red
}
}
"""


def picture(colour: str = "red", size: tuple[int, int] = (32, 24), kind: str = "PNG") -> bytes:
    """A picture of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, kind)
    return stream.getvalue()


def record(name: str, image: str | None, *turns: str) -> dict[str, Any]:
    """A record of the `conversations` layout, the first turn of a human."""
    values = [{"from": ("human", "gpt")[i % 2], "value": turn} for i, turn in enumerate(turns)]
    return {"id": name, **({"image": image} if image else {}), "conversations": values}


def write_json(path: Path, value: Any) -> None:
    """A JSON file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_picture(path: Path, colour: str = "red") -> None:
    """A picture file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(colour, kind="JPEG" if path.suffix == ".jpg" else "PNG"))


def write_web2code(root: Path) -> None:
    """The three record files, pictures in the zip under other folders than the records say."""
    bootstrap = HTML.replace("<style>", '<link href="https://maxcdn.bootstrapcdn.com/bootstrap/3.3.7/x.css"><style>')
    write_json(root / "Web2Code.json", [
        record("1", "part1/00021.png", "<image>\nWrite HTML.", HTML),
        record("2", "wrong/place/00022.png", "Write HTML.\n<image>", bootstrap),
        record("3", "missing.png", "<image>\nWrite HTML.", HTML),
    ])  # fmt: skip
    write_json(root / "GPT4_QA.json", [
        record("4", "part1/00021.png", "<image>\nWhat is it?", "A shop.", "What does it sell?", "Tea. </s> <image>"),
    ])  # fmt: skip
    write_json(root / "WebSRC_QA.json", [record("5", "games/01/0100001.png", "<image>\nWhich game?", "It is chess.")])
    with zipfile.ZipFile(root / "Web2Code_image.zip", "w") as archive:
        for name in ("Web2Code_image/part1/00021.png", "Web2Code_image/part2/00022.png", "games/01/0100001.png"):
            archive.writestr(name, picture())


def write_wub(root: Path) -> None:
    """The evaluation set, with an answer that is neither Yes nor No."""
    rows = [
        {"image": "00021.png", "question_id": 1, "Q": "Is there a header?", "A": "Yes"},
        {"image": "00021.png", "question_id": 2, "Q": "Is it blue?", "A": "No"},
        {"image": "00021.png", "question_id": 3, "Q": "Is it?", "A": "Perhaps"},
    ]
    root.mkdir(parents=True, exist_ok=True)
    (root / "Web2Code_eval.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    with zipfile.ZipFile(root / "Web2Code_image_eval.zip", "w") as archive:
        archive.writestr("eval/00021.png", picture())


def write_websight(root: Path, version: str = "v0.1", num: int = 3) -> None:
    """Parquet as on the hub: `image` with bytes and path, `text`, and in v0.2 the idea."""
    rows: list[dict[str, Any]] = [
        {"image": {"bytes": picture(size=(32 + i, 24)), "path": None}, "text": HTML.replace("Tea", f"Tea {i}")}
        for i in range(num)
    ]
    rows.append({"image": {"bytes": None, "path": None}, "text": HTML})
    rows.append({"image": {"bytes": picture(), "path": None}, "text": "no page"})
    if version == "v0.2":
        rows = [{**row, "llm_generated_idea": "a tea shop"} for row in rows]
    (root / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), root / "data" / "train-00000-of-00001.parquet")


def write_pix2code(root: Path) -> None:
    """Pairs of layout and screenshot, one without its screenshot and one with brackets that do not fit."""
    root.mkdir(parents=True, exist_ok=True)
    for name, layout in {"A": LAYOUT, "B": LAYOUT, "C": "row {\nsingle {\n"}.items():
        (root / f"{name}.gui").write_text(layout)
        if name != "B":
            (root / f"{name}.png").write_bytes(picture())


def write_websrc(root: Path) -> None:
    """Two pages of one web site; the third has no screenshot."""
    folder = root / "auto" / "03"
    (folder / "processed_data").mkdir(parents=True)
    rows = [
        ("What is the price?", "au030054200001", "$20"),
        ("How much does it cost?", "au030054200002", "$20"),
        ("Is it new?", "au030054200003", "yes"),
        ("What is the colour of the car?", "au030056200001", "blue"),
        ("What is it?", "au030059900001", "a car"),
    ]
    with open(folder / "dataset.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "id", "element_id", "answer_start", "answer"])
        writer.writerows([question, name, 5, 0, answer] for question, name, answer in rows)
    for page in ("0300542", "0300562"):
        (folder / "processed_data" / f"{page}.png").write_bytes(picture())
        (folder / "processed_data" / f"{page}.html").write_text(HTML)


def write_llava_pretrain(root: Path) -> None:
    """LCS-558K with its zip."""
    write_json(root / "blip_laion_cc_sbu_558k.json", [
        record("004539375", "00453/004539375.jpg", "Render a summary.\n<image>", "select luxury furniture"),
    ])  # fmt: skip
    with zipfile.ZipFile(root / "images.zip", "w") as archive:
        archive.writestr("00453/004539375.jpg", picture(kind="JPEG"))


def write_llava_mix665k(root: Path) -> None:
    """The mixture: each picture folder, an OCR-VQA picture under another suffix, text alone, a missing picture."""
    named = (
        "coco/train2017/000000033471.jpg", "gqa/images/2354786.jpg", "ocr_vqa/images/140031996X.jpg",
        "textvqa/train_images/002b5.jpg", "vg/VG_100K/2.jpg", "vg/VG_100K_2/2.jpg",
    )  # fmt: skip
    records = [record(str(i), name, "<image>\nWhat is it?", f"Thing {i}.") for i, name in enumerate(named)]
    records += [
        record("share", None, "Hello", "Hello. How can I help?"),
        record("gone", "ocr_vqa/images/gone.jpg", "<image>\nWho wrote it?", "Someone."),
        {"id": "gpt-first", "conversations": [
            {"from": "gpt", "value": "Welcome"}, {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"},
        ]},
    ]  # fmt: skip
    write_json(root / "llava_v1_5_mix665k.json", records)
    for name in named:
        write_picture(root / (name.replace(".jpg", ".png") if "ocr_vqa" in name else name))


def write_llava_instruct(root: Path) -> None:
    """LLaVA-Instruct-150K, which names COCO pictures without their folder."""
    write_json(root / "llava_instruct_150k.json", [
        record("000000033471", "000000033471.jpg", "<image>\nWhat colour?", "Red."),
    ])  # fmt: skip
    write_picture(root / "coco" / "train2017" / "000000033471.jpg")


def write_vsft(root: Path) -> None:
    """Typed content with one picture, with none, and with two."""

    def message(role: str, *content: tuple[str, str | None]) -> dict[str, Any]:
        return {"role": role, "content": [{"index": None, "type": kind, "text": text} for kind, text in content]}

    image = {"bytes": picture(), "path": None}
    rows = [
        {"messages": [message("user", question, *more), message("assistant", answer)], "images": images}
        for question, more, answer, images in (
            (("text", "What is it?"), [("image", None)], ("text", "A car."), [image]),
            (("text", "Hello"), [], ("text", "Hi."), []),
            (("text", "Both?"), [], ("text", "No."), [image, image]),
        )
    ]
    (root / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows[:2]), root / "data" / "train-00000-of-00001.parquet")
    pq.write_table(pa.Table.from_pylist(rows[2:]), root / "data" / "test-00000-of-00001.parquet")


def write_llavar2(root: Path) -> None:
    """Two groups of four turns, a caption, and a conversation that is neither."""
    group = ("<image>\nWhat is the total?", "$5.", "Why?", "It stands at the foot.")
    write_json(root / "llavar2.json", [
        record("1", "images/1.png", *group, *(turn.replace("<image>\n", "") for turn in group)),
        record("2", "images/1.png", "<image>\nDescribe it.", "A receipt."),
        record("3", "images/1.png", *group, "And?", "Nothing."),
    ])  # fmt: skip
    write_picture(root / "images" / "1.png")


def problem(question: str, *choices: str, answer: int = 0, **more: str) -> dict[str, Any]:
    """A question of ScienceQA with only the fields that are read."""
    blank = {"hint": "", "image": None, "lecture": "", "solution": ""}
    return {"question": question, "choices": list(choices), "answer": answer, **blank, **more}


PROBLEMS = {
    "7": problem(
        "Which  one is\na solid?", "tea", "a cup", answer=1, image="image.png", lecture="Solids keep\ntheir shape.",
        solution="A cup is  hard.",
    ),
    "12": problem("What does it sell?", "tea", "cars", "maps", hint=" Look at the sign. ", solution="It says tea."),
    "13": problem("Is it?", "yes", "no"),
    "20": problem("Where?", "here", "there", answer=2),
    "21": problem("Which?", "this", "that", image="image.png"),
    "90": problem("For the test?", "yes", "no"),
}  # fmt: skip
# What LLaVA's script makes of the whole ones, by hand.
CONVERTED = {
    "7": ("Which one is\na solid?\nContext: N/A\nOptions: (A) tea (B) a cup",
          "Solids keep\ntheir shape. A cup is hard. The answer is B."),
    "12": ("What does it sell?\nContext: Look at the sign.\nOptions: (A) tea (B) cars (C) maps",
           "It says tea. The answer is A."),
    "13": ("Is it?\nContext: N/A\nOptions: (A) yes (B) no", "The answer is A."),
}  # fmt: skip


def write_scienceqa(root: Path) -> None:
    """The problems with their splits, of which one is missing; so is a picture, and another has its name."""
    write_json(root / "problems.json", PROBLEMS)
    write_json(root / "pid_splits.json", {"train": ["7", "12", "13", "20", "21", "22"], "test": ["90"]})
    write_picture(root / "images" / "train" / "7" / "image.png")


def write_scienceqa_converted(root: Path) -> None:
    """What LLaVA's script makes of them."""
    records = [
        record(name, f"{name}/image.png" if name in ("7", "21") else None,
               asked + ("\n<image>" if name in ("7", "21") else ""), answered)
        for name, (asked, answered) in {**CONVERTED, "21": ("Which?", "The answer is A.")}.items()
    ]  # fmt: skip
    write_json(root / "llava_train_QCM-LEA.json", records)
    write_picture(root / "train" / "7" / "image.png")


def write_scienceqa_parquet(root: Path) -> None:
    """The splits on the hub."""
    image = {"bytes": picture(), "path": "image.png"}
    rows = {name: {**row, "image": row["image"] and image} for name, row in PROBLEMS.items()}
    rows["21"]["image"] = {"bytes": None, "path": "image.png"}
    (root / "data").mkdir(parents=True)
    for split, names in {"train": ["7", "12", "13", "20", "21"], "test": ["90"]}.items():
        table = pa.Table.from_pylist([{**rows[name], "subject": "natural science"} for name in names])
        pq.write_table(table, root / "data" / f"{split}-00000-of-00001-1028f23e353fbe3e.parquet")
