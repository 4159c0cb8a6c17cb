"""Tiny files in the public format of every benchmark, with made-up content."""

import base64
import csv
import io
import json
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from web2code.evaluation.benchmarks.llava_bench import CATEGORIES


def png(seed=0, size=8, form="PNG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, form)
    return data.getvalue()


def struct(seed=0):
    """A picture as the hub's files hold it."""
    return {"bytes": png(seed), "path": f"{seed}.png"}


def write_parquet(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_table(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


def split_in_two(rows, folder, split):
    """Two files of a split, and one of another split that is to be left out."""
    write_parquet(folder / "data" / f"{split}-00000-of-00002.parquet", rows[:1])
    write_parquet(folder / "data" / f"{split}-00001-of-00002.parquet", rows[1:])
    write_parquet(folder / "data" / "train-00000-of-00001.parquet", rows[:1])


def wub(folder):
    rows = [
        {"image": "00021.png", "question_id": number, "Q": f"Is there a button {number}?", "A": answer}
        for number, answer in enumerate(["Yes", "No", "Yes"])
    ]
    (folder / "Web2Code_eval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with zipfile.ZipFile(folder / "Web2Code_image_eval.zip", "w") as archive:
        archive.writestr("web2code_images/00021.png", png())


def mme(folder):
    rows = [
        {"question_id": f"{pair}.png", "image": struct(pair), "question": f"Is it {answer}? Please answer yes or no.",
         "answer": answer, "category": category}
        for category in MME_CATEGORIES for pair in range(2) for answer in ("Yes", "No")
    ]  # fmt: skip
    split_in_two(rows, folder, "test")


MME_CATEGORIES = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
    "commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning",
)  # fmt: skip


def pope(folder):
    rows = [
        {"id": str(number), "question_id": str(number % 2), "question": "Is there a cat?", "image_source": "x",
         "answer": ("yes", "no")[number % 2], "image": struct(),
         "category": ("adversarial", "popular", "random")[number // 2]}
        for number in range(6)
    ]  # fmt: skip
    split_in_two(rows, folder, "test")


def scienceqa(folder):
    rows = [
        {"image": struct() if number else None, "question": "What is it?", "choices": ["rock", "leaf", "cloud"],
         "answer": number, "hint": "Look up." if number else "", "subject": "natural science", "lecture": "",
         "solution": ""}
        for number in range(3)
    ]  # fmt: skip
    split_in_two(rows, folder, "test")


def textvqa(folder):
    rows = [
        {"image_id": "a", "question_id": number, "question": "what is WRITTEN here?", "image": struct(number),
         "answers": ["coca cola"] * 10, "ocr_tokens": ["COCA", "COLA"]}
        for number in range(2)
    ]  # fmt: skip
    split_in_two(rows, folder, "validation")


def vqav2(folder):
    answers = [
        {"answer": "red" if number < 9 else "blue", "answer_confidence": "yes", "answer_id": number}
        for number in range(10)
    ]
    rows = [
        {"question_type": "what", "multiple_choice_answer": "red", "answer_type": kind, "image_id": 1,
         "answers": answers, "question_id": number, "question": "What colour?", "image": struct()}
        for number, kind in enumerate(["other", "number"])
    ]  # fmt: skip
    split_in_two(rows, folder, "validation")


def gqa(folder):
    write_parquet(
        folder / "testdev_balanced_images" / "testdev-00000-of-00001.parquet", [{"id": "n1", "image": struct()}]
    )
    rows = [
        {"id": str(number), "imageId": "n1", "question": "Who is it?", "answer": "woman", "fullAnswer": "A woman."}
        for number in range(2)
    ]
    write_parquet(folder / "testdev_balanced_instructions" / "testdev-00000-of-00001.parquet", rows)


def documents(folder):
    rows = [
        {"questionId": str(number), "question": "What is the date?", "answers": ["1 May 2020", "May 1"],
         "image": struct(), "docId": 1}
        for number in range(2)
    ]  # fmt: skip
    split_in_two(rows, folder, "validation")


def stvqa(folder):
    rows = [
        {"file_path": "coco-text/a.png", "dataset": "coco-text", "question": "What is written?", "question_id": number,
         "answers": ["stop sign"]}
        for number in range(2)
    ]  # fmt: skip
    (folder / "train_task_3.json").write_text(json.dumps({"data": rows}))
    (folder / "coco-text").mkdir()
    (folder / "coco-text" / "a.png").write_bytes(png())


def chartqa(folder):
    rows = [
        {"type": kind, "question": "How many?", "answer": "12345", "image": struct()}
        for kind in ("human_test", "augmented_test")
    ]
    split_in_two(rows, folder, "test")


def funsd(folder):
    form = [
        {"id": 0, "text": "Date:", "label": "question", "linking": [[0, 1], [0, 2]], "box": [0, 0, 1, 1]},
        {"id": 1, "text": "1 May", "label": "answer", "linking": [[0, 1]], "box": [0, 0, 1, 1]},
        {"id": 2, "text": "2020", "label": "answer", "linking": [[0, 2]], "box": [0, 0, 1, 1]},
        {"id": 3, "text": "Name:", "label": "question", "linking": [], "box": [0, 0, 1, 1]},
        {"id": 4, "text": "A FORM", "label": "header", "linking": [[4, 0]], "box": [0, 0, 1, 1]},
    ]
    for part, name in (("testing_data", "f1"), ("testing_data", "f2"), ("training_data", "f3")):
        for kind in ("annotations", "images"):
            (folder / part / kind).mkdir(parents=True, exist_ok=True)
        (folder / part / "annotations" / f"{name}.json").write_text(json.dumps({"form": form}))
        (folder / part / "images" / f"{name}.png").write_bytes(png())


def sroie(folder):
    for kind in ("entities", "img"):
        (folder / "test" / kind).mkdir(parents=True)
    entities = {"company": "TAN WOON YANN", "date": "25/12/2018", "address": "", "total": "9.00"}
    (folder / "test" / "entities" / "X1.txt").write_text(json.dumps(entities))
    (folder / "test" / "img" / "X1.jpg").write_bytes(png(form="JPEG"))


def ocrbench(folder):
    rows = [
        {"dataset": dataset, "question": "what is written? ", "question_type": kind, "answer": [answer],
         "image": struct()}
        for dataset, kind, answer in (
            ("IIIT5K", "Regular Text Recognition", "CENTRE"),
            ("STVQA", "Scene Text-centric VQA", "stop"),
            ("docVQA", "Doc-oriented VQA", "1 May"),
            ("SROIE", "Key Information Extraction", "9.00"),
            ("HME100k", "Handwritten Mathematical Expression Recognition", "\\frac { 1 } { X }"),
        )
    ]  # fmt: skip
    split_in_two(rows, folder, "test")


def mmmu(folder):
    pictures = {f"image_{number}": None for number in range(1, 8)}
    choice = {
        "id": "validation_Art_Theory_1", "question": "Which of <image 2> and <image 1>?",
        "options": "['left', \"it's\"]",
        "answer": "B", "question_type": "multiple-choice", "subfield": "x",
        **pictures, "image_1": struct(1), "image_2": struct(2), "image_3": struct(3),
    }  # fmt: skip
    of_open = {
        "id": "validation_Accounting_2", "question": "How much?", "options": "[]", "answer": "1200",
        "question_type": "open", "subfield": "x", **pictures, "image_1": struct(1),
    }  # fmt: skip
    write_parquet(folder / "Art_Theory" / "validation-00000-of-00001.parquet", [choice])
    write_parquet(folder / "Accounting" / "validation-00000-of-00001.parquet", [of_open])
    write_parquet(folder / "Accounting" / "test-00000-of-00001.parquet", [{**of_open, "answer": "?"}])


def mmbench_rows():
    """Two questions, each in two rotations that share a picture."""
    base = {"hint": "", "category": "ocr", "l2-category": "fine perception", "source": "x", "split": "dev"}
    encoded = [base64.b64encode(png(seed)).decode() for seed in range(2)]
    return [
        {"index": "7", "question": "What?", **base, "A": "cat", "B": "dog", "C": "", "answer": "A",
         "image": encoded[0]},
        {"index": "8", "question": "Who?", **base, "hint": "See.", "A": "he", "B": "she", "C": "",
         "answer": "B", "image": encoded[1]},
        {"index": "1000007", "question": "What?", **base, "A": "dog", "B": "cat", "C": "", "answer": "B", "image": "7"},
        {"index": "1000008", "question": "Who?", **base, "hint": "See.", "A": "she", "B": "he", "C": "",
         "answer": "A", "image": "8"},
    ]  # fmt: skip


def mmbench(folder):
    write_table(folder / "MMBench_DEV_EN.tsv", mmbench_rows())


def ai2d(folder):
    rows = [
        {"question": "What is D?", "options": ["root", "leaf", "stem", "bud"], "answer": str(number), "image": struct()}
        for number in range(2)
    ]
    split_in_two(rows, folder, "test")


def mathvista(folder):
    rows = [
        {"pid": str(number), "question": "?", "image": "images/1.jpg", "decoded_image": struct(), "unit": None,
         "choices": choices, "precision": precision, "answer": answer, "answer_type": kind,
         "question_type": "multi_choice" if choices else "free_form", "query": f"Hint: x\nQuestion: {number}?",
         "metadata": {"task": "geometry problem solving", "category": "x"}}
        for number, (choices, precision, answer, kind) in enumerate([
            (["3/11", "8/11"], None, "8/11", "text"), (None, None, "14", "integer"), (None, 1.0, "1.2", "float"),
            (None, None, "[1, 2]", "list"),
        ])
    ]  # fmt: skip
    write_parquet(folder / "data" / "testmini-00000-of-00001.parquet", rows)
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", [{**rows[0], "answer": ""}])


def write_llava_bench(folder, variant):
    (folder / "images").mkdir()
    (folder / "images" / "1.png").write_bytes(png())
    asked = [
        {"question_id": number, "image": "1.png", "text": f"What is {number}?", "category": CATEGORIES[number % 3]}
        for number in range(variant.num)
    ]
    answers = [{"question_id": number, "text": "A bus."} for number in range(variant.num)]
    contexts = [{"image": "1.png", "caption": "A bus."}]
    for name, rows in ((variant.questions, asked), (variant.references, answers), (variant.contexts, contexts)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


# What writes the files, and how many samples they hold.
FILES = {
    "ai2d": (ai2d, 2),
    "chartqa": (chartqa, 2),
    "docvqa": (documents, 2),
    "funsd": (funsd, 2),
    "gqa": (gqa, 2),
    "infovqa": (documents, 2),
    "mathvista": (mathvista, 4),
    "mmbench": (mmbench, 4),
    "mme": (mme, 56),
    "mmmu": (mmmu, 2),
    "ocrbench": (ocrbench, 5),
    "pope": (pope, 6),
    "scienceqa": (scienceqa, 3),
    "scienceqa_img": (scienceqa, 2),
    "sroie": (sroie, 3),
    "stvqa": (stvqa, 2),
    "textvqa": (textvqa, 2),
    "textvqa_ocr": (textvqa, 2),
    "vqav2": (vqav2, 2),
    "wub": (wub, 3),
}
