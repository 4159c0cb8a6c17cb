"""Every general benchmark on a tiny file in its public format."""

import io

import pyarrow.parquet as pq
import pytest
from PIL import Image

from web2code.evaluation.benchmarks import BENCHMARKS
from web2code.evaluation.benchmarks.benchmark import Verdict
from web2code.evaluation.measure import interval
from web2code.evaluation.results import make_row, measures_of

from .public_files import FILES

SUFFIXES = {
    "ai2d": "choices directly.", "mathvista": "?", "mmbench": "choices directly.", "mmmu": ".", "ocrbench": "?",
    "scienceqa": "choices directly.", "scienceqa_img": "choices directly.", "wub": "?", "funsd": "?", "sroie": "?",
}  # fmt: skip
TOKENS = {
    "docvqa": 32, "infovqa": 32, "stvqa": 32, "funsd": 128, "sroie": 128, "mathvista": 1024, "mmbench": 1024,
    "mmmu": 128, "ocrbench": 128, "pope": 128, "wub": 512,
}  # fmt: skip
PARQUET = [name for name in FILES if name not in ("funsd", "mmbench", "sroie", "stvqa", "wub")]


@pytest.fixture(params=FILES)
def files(request, tmp_path):
    write, number = FILES[request.param]
    write(tmp_path)
    return BENCHMARKS[request.param], tmp_path, number


def right(sample):
    return sample.facts["answer"] if "answer" in sample.facts else sample.facts["answers"][0]


def judged(benchmark, samples, answer):
    return [benchmark.judge(sample, answer(sample)) for sample in samples]


def test_samples_come_in_a_fixed_order_with_ids_of_their_own(files):
    benchmark, folder, number = files
    samples = list(benchmark.load(folder))
    assert len(samples) == number == len({sample.id for sample in samples})
    assert samples == list(benchmark.load(folder))
    for sample in samples:
        for image in sample.images:
            assert Image.open(io.BytesIO(image)).size == (8, 8)
        assert "<image>" not in sample.prompt
        assert sample.prompt.endswith(SUFFIXES.get(benchmark.name, "using a single word or phrase."))
        assert sample.max_new_tokens == TOKENS.get(benchmark.name, 16)


def test_right_answers_earn_everything_and_missing_ones_nothing(files):
    benchmark, folder, _ = files
    samples = list(benchmark.load(folder))
    best = benchmark.measures(samples, judged(benchmark, samples, right))
    assert len({measure.name for measure in best}) == len(best)
    for measure in best:
        if "ratio" not in measure.name and measure.name != "always the commoner answer":
            assert measure.value == (0 if measure.name in ("unparsed", "no answer") else measure.scale), measure.name
        found = interval(measure, 20, seed=0)
        assert 0 <= found.low <= found.high <= measure.scale
    missing = benchmark.measures(samples, [Verdict(sample.id, "no_answer") for sample in samples])
    figures = {measure.name: measure.value for measure in missing}
    assert figures.pop("no answer") == 1
    assert [measure.units for measure in missing] == [measure.units for measure in best]
    assert not {name for name, value in figures.items() if value and "ratio (lmms-eval)" not in name} - {
        "always the commoner answer"
    }


def test_what_is_about_one_picture_is_one_unit_and_figures_stay_the_same(files):
    benchmark, folder, _ = files
    samples = list(benchmark.load(folder))
    verdicts = judged(benchmark, samples, right)
    rows = [make_row(folder, sample, "", verdict) for sample, verdict in zip(samples, verdicts, strict=True)]
    num = len({row.pictures[:1] or row.id for row in rows})
    for alone, together in zip(benchmark.measures(samples, verdicts), measures_of(benchmark, rows), strict=True):
        assert (together.name, together.value) == (alone.name, pytest.approx(alone.value))
        assert len(together.units) <= num, alone.name


def test_a_blank_answer_is_unparsed_and_worth_nothing(files):
    benchmark, folder, _ = files
    samples = list(benchmark.load(folder))
    verdicts = judged(benchmark, samples, lambda sample: " \n")
    assert {verdict.outcome for verdict in verdicts} == {"unparsed"}
    assert all(verdict.reason for verdict in verdicts)
    figures = {measure.name: measure.value for measure in benchmark.measures(samples, verdicts)}
    assert figures["unparsed"] == 1
    assert not next(iter(figures.values()))


def test_thoughts_are_no_part_of_an_answer(files):
    benchmark, folder, _ = files
    samples = list(benchmark.load(folder))
    for thought in ("<think>no; A is wrong, 7</think>\n\n", "yes? B?\n</think>\n", f"<think>{'hm ' * 9000}</think>"):
        thoughtful = judged(benchmark, samples, lambda sample, thought=thought: thought + right(sample))
        assert thoughtful == judged(benchmark, samples, right)
    assert {one.outcome for one in judged(benchmark, samples, lambda sample: f"<think>{right(sample)}</think>")} == {
        "unparsed"
    }


@pytest.mark.parametrize("name", FILES)
def test_an_empty_folder_says_what_to_fetch(name, tmp_path):
    with pytest.raises(ValueError, match="folder") as raised:
        list(BENCHMARKS[name].load(tmp_path))
    assert BENCHMARKS[name].fetch in str(raised.value)
    assert str(tmp_path) in str(raised.value)


@pytest.mark.parametrize("files", PARQUET, indirect=True)
def test_a_missing_column_is_named_with_what_to_fetch(files):
    benchmark, folder, _ = files
    for path in sorted(folder.rglob("*.parquet")):
        table = pq.read_table(path)
        pq.write_table(table.drop_columns([name for name in ("question", "query") if name in table.column_names]), path)
    with pytest.raises(ValueError, match=r"has no column 'que") as raised:
        list(benchmark.load(folder))
    assert benchmark.fetch in str(raised.value)


@pytest.mark.parametrize("files", [*PARQUET, "funsd", "sroie", "stvqa"], indirect=True)
def test_a_cut_off_file_is_no_crash(files):
    benchmark, folder, _ = files
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".parquet", ".json", ".txt"):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"no whole|no JSON") as raised:
        list(benchmark.load(folder))
    assert benchmark.fetch in str(raised.value)
