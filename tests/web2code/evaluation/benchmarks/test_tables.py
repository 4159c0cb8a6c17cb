"""VLMEvalKit's tables say what the hub's files say: the same samples, the same figures."""

import base64
import io

import pytest
from PIL import Image

from web2code.evaluation.benchmarks import BENCHMARKS

from .public_files import FILES, mmmu, png, write_table


def encoded(seed=0):
    return base64.b64encode(png(seed)).decode()


def row(number, question, answer, seed=0, **more):
    return {"index": str(number), "image": encoded(seed), "question": question, "answer": answer, **more}


def lettered(options):
    return dict(zip("ABCDE", options, strict=False))


def mme_table(categories):
    return [
        row(number, f"Is it {answer}? Please answer yes or no.", answer, pair, category=category,
            image_path=f"{pair}.png")
        for number, (category, pair, answer) in enumerate(
            (category, pair, answer) for category in categories for pair in range(2) for answer in ("Yes", "No")
        )
    ]  # fmt: skip


def mmmu_table():
    several = repr([encoded(1), encoded(2), encoded(3)])
    nothing = {"C": "", "split": "validation"}
    return [
        row(1, "How much?", "A", 1, id="validation_Accounting_2", question_type="open", image_path="a.png",
            A="1200", B="Other Answers", **nothing),
        row(2, "Which of <image 2> and <image 1>?", "B", id="validation_Art_Theory_1",
            question_type="multiple-choice", image_path="['1.png', '2.png', '3.png']", A="left", B="it's", **nothing)
        | {"image": several},
        row(3, "Which?", "A", 2, id="dev_Art_1", question_type="multiple-choice", image_path="a.png", A="left",
            B="right", C="", split="dev"),
    ]  # fmt: skip


# By benchmark, the file's name and its rows; those of the hub's files are what `public_files` writes.
TABLES = {
    "ai2d": ("AI2D_TEST", [
        row(number, "What is D?", "AB"[number], **lettered(["root", "leaf", "stem", "bud"])) for number in range(2)
    ]),
    "chartqa": ("ChartQA_TEST", [
        row(0, "How many?", "['12345']", split="test_human"), row(1, "How many?", "12345", split="test_augmented"),
    ]),
    "docvqa": ("DocVQA_VAL", [
        row(number, "What is the date?", "['1 May 2020', 'May 1']") for number in range(2)
    ]),
    "infovqa": ("InfoVQA_VAL", [
        row(number, "What is the date?", "['1 May 2020', 'May 1']") for number in range(2)
    ]),
    "gqa": ("GQA_TestDev_Balanced", [row(number, "Who is it?", "woman") for number in range(2)]),
    "mathvista": ("MathVista_MINI", [
        row(number, f"Hint: x\nQuestion: {number}?", answer, choices=choices, answer_type=kind, question_type="x",
            answer_option="B" if choices else "", task="geometry problem solving", skills="['x']")
        for number, (choices, answer, kind) in enumerate([
            ("['3/11', '8/11']", "8/11", "text"), ("", "14", "integer"), ("", "1.2", "float"), ("", "[1, 2]", "list"),
        ])
    ]),
    "mme": ("MME", mme_table([
        "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
        "commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning",
    ])),
    "mmmu": ("MMMU_DEV_VAL", mmmu_table()),
    "ocrbench": ("OCRBench", [
        row(number, "what is written? ", answer, category=kind) for number, (kind, answer) in enumerate([
            ("Regular Text Recognition", "['CENTRE']"), ("Scene Text-centric VQA", "['stop']"),
            ("Doc-oriented VQA", "['1 May']"), ("Key Information Extraction", "['9.00']"),
            ("Handwritten Mathematical Expression Recognition", "['\\\\frac { 1 } { X }']"),
        ])
    ]),
    "pope": ("POPE", [
        row(number, "Is there a cat? Please answer yes or no.", ("Yes", "No")[number],
            category="adversarial,popular,random") for number in range(2)
    ]),
    "scienceqa_img": ("ScienceQA_TEST", [
        row(number, "What is it?", "ABC"[number], hint="Look up.", category="natural science",
            **lettered(["rock", "leaf", "cloud"])) for number in (1, 2)
    ]),
    "textvqa": ("TextVQA_VAL", [
        row(number, "what is WRITTEN here?", repr(["coca cola"] * 10), number) for number in range(2)
    ]),
}  # fmt: skip


@pytest.fixture(params=TABLES)
def table(request, tmp_path):
    name, rows = TABLES[request.param]
    write_table(tmp_path / f"{name}.tsv", rows)
    return BENCHMARKS[request.param], tmp_path, name


@pytest.fixture
def published(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    FILES[table[0].name][0](folder)
    return list(table[0].load(folder))


def told(sample):
    """What a model and a judge are told; pictures by what they show."""
    shown = [Image.open(io.BytesIO(image)).tobytes() for image in sample.images]
    return sample.prompt, shown, sample.max_new_tokens, sample.facts


def unnamed(sample):
    """Without the names of OCRBench's parts, which its table leaves out but for formulas."""
    prompt, shown, limit, facts = told(sample)
    return prompt, shown, limit, {key: value for key, value in facts.items() if key != "dataset"}


def by_question(samples):
    return sorted((unnamed(sample) for sample in samples), key=repr)


def test_the_table_says_what_the_files_of_the_hub_say(table, published):
    benchmark, folder, _ = table
    samples = list(benchmark.load(folder))
    assert len(samples) == len(published) == len({sample.id for sample in samples})
    assert by_question(samples) == by_question(published)


def test_right_answers_earn_everything(table):
    benchmark, folder, _ = table
    samples = list(benchmark.load(folder))
    answers = [sample.facts["answer"] if "answer" in sample.facts else sample.facts["answers"][0] for sample in samples]
    verdicts = [benchmark.judge(sample, answer) for sample, answer in zip(samples, answers, strict=True)]
    first = benchmark.measures(samples, verdicts)[0]
    assert first.value == first.scale


def test_a_missing_column_is_named_with_what_to_fetch(table):
    benchmark, folder, name = table
    rows = [{key: cell for key, cell in row.items() if key != "answer"} for row in TABLES[benchmark.name][1]]
    write_table(folder / f"{name}.tsv", rows)
    with pytest.raises(ValueError, match="has no column 'answer'") as raised:
        list(benchmark.load(folder))
    assert benchmark.fetch in str(raised.value)
    assert name.partition("_")[0] in benchmark.fetch


@pytest.mark.parametrize(("name", "column", "cell", "reason"), [
    ("ai2d", "answer", "F", "the letter of no option"),
    ("ai2d", "answer", "", "the letter of no option"),
    ("docvqa", "answer", "[open('x')]", "the text of a list"),
    ("docvqa", "answer", "[" * 5000, "the text of a list"),
    ("docvqa", "answer", f"['{'x' * 20_000}']", "the text of a list"),
    ("mathvista", "choices", "__import__('os')", "the text of a list"),
    ("mme", "category", "smell", "no category"),
    ("mmmu", "image", "['AAAA', '####']" * 20, "no base64"),
    ("pope", "answer", "maybe", "neither yes nor no"),
])  # fmt: skip
def test_a_cell_that_is_not_as_published_is_told(name, column, cell, reason, tmp_path):
    title, rows = TABLES[name]
    write_table(tmp_path / f"{title}.tsv", [rows[0] | {column: cell}, *rows[1:]])
    with pytest.raises(ValueError, match=reason) as raised:
        list(BENCHMARKS[name].load(tmp_path))
    assert "row 0" in str(raised.value)
    assert BENCHMARKS[name].fetch in str(raised.value)


@pytest.mark.parametrize("answer", ["[58, 38]", "[Yes, No]"])
def test_what_stands_in_brackets_in_a_chart_is_one_answer(answer, tmp_path):
    title, rows = TABLES["chartqa"]
    write_table(tmp_path / f"{title}.tsv", [rows[0] | {"answer": answer}])
    assert [sample.facts["answers"] for sample in BENCHMARKS["chartqa"].load(tmp_path)] == [(answer,)]


def test_a_split_that_does_not_count_is_left_out(tmp_path):
    mmmu(tmp_path)
    write_table(tmp_path / "MMMU_DEV_VAL.tsv", mmmu_table())
    (tmp_path / "alone").mkdir()
    write_table(tmp_path / "alone" / "MMMU_DEV_VAL.tsv", mmmu_table())
    assert len(list(BENCHMARKS["mmmu"].load(tmp_path))) == 2
    assert {sample.id for sample in BENCHMARKS["mmmu"].load(tmp_path / "alone")} == {
        "validation_Accounting_2", "validation_Art_Theory_1",
    }  # fmt: skip


def test_llava_bench_in_the_wild(tmp_path):
    rows = [
        row(number, f"What is {number}?", "", number % 3, category=("conv", "detail", "complex")[number % 3],
            caption="A cat.", gpt4_ans="It is a cat.") for number in range(60)
    ]  # fmt: skip
    write_table(tmp_path / "LLaVABench.tsv", rows)
    samples = BENCHMARKS["llava_bench_in_the_wild"].load(tmp_path)
    assert samples[1].facts == {"category": "detail", "context": "A cat.", "reference": "It is a cat."}
    assert samples[1].prompt == "What is 1?"
    write_table(tmp_path / "LLaVABench.tsv", rows[:59])
    with pytest.raises(ValueError, match="59 questions in place of 60"):
        BENCHMARKS["llava_bench_in_the_wild"].load(tmp_path)
