"""What published scripts get wrong or make hard to see, and what hostile files and answers try."""

import base64
import csv
import json
import shutil
import time

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web2code.evaluation.benchmarks import BENCHMARKS
from web2code.evaluation.benchmarks.benchmark import Sample, Verdict
from web2code.evaluation.benchmarks.files import parse_list, read_rows, samples_of

from .public_files import FILES, mmbench_rows, png, write_parquet, write_table

LONG = 10_000_000
# At the length that is still judged, patterns that make careless expressions slow.
HOSTILE = [
    (unit * 20_000)[:length]
    for length in (16_384, 16_000)
    for unit in (
        "1", "1,", "111,", "1.", "1e", "-", "[", "[1,", "a", "a ", " ", "(A", "A ", "answer ", "answer(", ".\n", "=",
        "so is ", "\\", "İ", "''", "The answer is ", "<", "yes no ", "<think>", "<think></think", "$", "{$", "$ ",
        "option B is ", "\\mathbf{", "\u0301\u0316", "A\n", "1 000", "<|a",
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    found = {}
    for name, (write, _) in FILES.items():
        folder = tmp_path_factory.mktemp(name)
        write(folder)
        found[name] = list(BENCHMARKS[name].load(folder))
    return found


def figures(name, samples, answers):
    verdicts = [BENCHMARKS[name].judge(sample, answer) for sample, answer in zip(samples, answers, strict=True)]
    return {measure.name: measure.value for measure in BENCHMARKS[name].measures(samples, verdicts)}


def test_none_is_no_answer_to_a_question_about_a_page(loaded):
    found = figures("wub", loaded["wub"], ["NONE", "NONE", "yes"])
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["accuracy (published)"] == pytest.approx(2 / 3)
    assert found["unparsed"] == pytest.approx(2 / 3)
    assert found["yes ratio"] == pytest.approx(1 / 3)
    assert found["balanced accuracy"] == pytest.approx(1 / 4)


def test_a_question_of_wub_without_an_answer_counts_but_for_the_published_script(loaded):
    samples = loaded["wub"]
    verdicts = [BENCHMARKS["wub"].judge(samples[0], "Yes"), *(Verdict(one.id, "no_answer") for one in samples[1:])]
    found = {measure.name: measure.value for measure in BENCHMARKS["wub"].measures(samples, verdicts)}
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["accuracy (published)"] == 1
    assert found["no answer"] == pytest.approx(2 / 3)


def test_always_yes_is_shown_by_balanced_accuracy_and_the_commoner_answer(loaded):
    found = figures("wub", loaded["wub"], ["yes"] * 3)
    assert found["accuracy"] == found["always the commoner answer"] == pytest.approx(2 / 3)
    assert (found["balanced accuracy"], found["yes ratio"]) == (0.5, 1)


def test_pope_misses_a_yes_that_is_answered_by_garbage(loaded):
    # Of each split a yes, then a no.
    found = figures("pope", loaded["pope"], ["Yes", "no", "maybe", "no", "maybe", "yes"])
    assert found["recall"] == pytest.approx(1 / 3)
    assert found["recall (lmms-eval)"] == 1
    assert found["precision"] == 0.5
    assert found["F1"] == pytest.approx(0.4)
    assert found["F1, adversarial"] == 1
    assert found["F1, random"] == 0


def test_the_script_of_pope_takes_garbage_for_a_yes(loaded):
    found = figures("pope", loaded["pope"], ["garbage", "It is not. Yes", "yes", "no", "No, it has", "nothing"])
    assert found["accuracy (published)"] == pytest.approx(4 / 6)
    assert found["yes ratio (published)"] == 0.5
    # 1, 1, and 0 for the split whose yes is missed and whose no is not.
    assert found["F1, mean of splits (published)"] == pytest.approx(2 / 3)


def test_the_yes_ratio_of_pope_is_that_of_the_answers(loaded):
    found = figures("pope", loaded["pope"], ["no"] * 6)
    assert (found["yes ratio"], found["yes ratio (lmms-eval)"]) == (0, 0.5)


def test_a_full_stop_is_right_in_pope_but_for_lmms_eval(loaded):
    found = figures("pope", loaded["pope"], ["Yes.", "No."] * 3)
    assert (found["accuracy"], found["accuracy (lmms-eval)"]) == (1, 0)


def test_a_pair_of_mme_needs_both_answers(loaded):
    found = figures("mme", loaded["mme"], ["yes"] * 56)
    assert (found["perception"], found["cognition"], found["existence"]) == (500, 200, 50)
    assert found["accuracy"] == 0.5


@pytest.mark.parametrize("times", [1, 3])
def test_a_pair_of_mme_has_two_questions(tmp_path, times):
    row = {
        "question_id": "1.png", "image": {"bytes": png(), "path": None}, "question": "?", "answer": "Yes",
        "category": "OCR",
    }  # fmt: skip
    write_parquet(tmp_path / "test.parquet", [{**row, "question_id": "0.png"}] * 2 + [row] * times)
    with pytest.raises(ValueError, match=r"not two questions about OCR/1\.png"):
        list(BENCHMARKS["mme"].load(tmp_path))


def test_ocrbench_does_not_add_up_over_runs(loaded):
    answers = [sample.facts["answers"][0] for sample in loaded["ocrbench"]]
    assert figures("ocrbench", loaded["ocrbench"], answers) == figures("ocrbench", loaded["ocrbench"], answers)
    assert figures("ocrbench", loaded["ocrbench"], answers)["score"] == 5


@pytest.mark.parametrize("name", ["mmmu", "mmbench", "ai2d", "scienceqa", "mathvista"])
def test_what_names_no_option_is_unparsed_and_wrong_however_often_it_is_judged(loaded, name):
    sample = next(one for one in loaded[name] if one.facts.get("options") or one.facts.get("choices"))
    verdicts = {repr(BENCHMARKS[name].judge(sample, "I cannot tell")) for _ in range(20)}
    assert len(verdicts) == 1
    verdict = BENCHMARKS[name].judge(sample, "I cannot tell")
    assert (verdict.outcome, verdict.values.get("correct", 0)) == ("unparsed", 0)


def test_lmms_eval_earns_by_chance_in_mmmu_what_we_do_not():
    facts = {"answers": ("B",), "options": {"A": "x", "B": "y"}, "kind": "multiple-choice", "domain": "Science"}
    samples = [Sample(str(number), (), "", 8, facts) for number in range(400)]
    found = figures("mmmu", samples, ["hm"] * 400)
    assert found["accuracy"] == 0
    assert found["accuracy (lmms-eval)"] == pytest.approx(0.5, abs=0.08)


def test_one_wrong_rotation_spoils_a_question_of_mmbench(loaded):
    samples = loaded["mmbench"]
    assert [sample.id for sample in samples] == ["7", "1000007", "8", "1000008"]
    found = figures("mmbench", samples, ["A", "A", "B", "A"])
    assert found["accuracy"] == 0.5
    assert found["accuracy, each rotation"] == 0.75
    assert len(next(iter(BENCHMARKS["mmbench"].measures(samples, [Verdict("", "no_answer")] * 4))).units) == 2


def test_a_question_of_mmbench_counts_in_all_its_rotations_or_not_at_all(loaded):
    benchmark, samples = BENCHMARKS["mmbench"], loaded["mmbench"]
    three, one = figures("mmbench", samples[:3], ["A", "A", "B"]), figures("mmbench", samples[:1], ["A"])
    assert (three["accuracy"], three["accuracy, each rotation"]) == (0, pytest.approx(2 / 3))
    assert one["accuracy, each rotation"] == 1
    assert not {"accuracy", "accuracy (lmms-eval)", "accuracy, ocr"} & one.keys()
    assert benchmark.remark(samples) == benchmark.remark(samples[:2]) == ""
    assert benchmark.remark(samples[:3]).startswith(", not counting 1 of 2 questions:")


def test_a_question_of_mme_without_its_other_has_no_points(loaded):
    benchmark, samples = BENCHMARKS["mme"], loaded["mme"]
    answers = [sample.facts["answer"] for sample in samples]
    found = figures("mme", samples[:3], ["no", "no", answers[2]])
    assert (found["existence"], found["accuracy"]) == (50, pytest.approx(2 / 3))
    assert "count" not in figures("mme", samples[:5], answers[:5])
    assert benchmark.remark(samples) == ""
    assert benchmark.remark(samples[:5]).startswith(", not counting 1 of 3 pairs:")


def test_lmms_eval_draws_from_a_to_e_in_mmbench():
    facts = {"answer": "A", "options": {"A": "x", "B": "y"}, "question": 0, "rotation": 0}
    drawn = [BENCHMARKS["mmbench"].judge(Sample(str(number), (), "", 8, facts), "hm") for number in range(2000)]
    assert sum(verdict.values["lmms-eval"] for verdict in drawn) / 2000 == pytest.approx(0.2, abs=0.03)


def test_rotations_share_a_picture_and_cells_may_have_megabytes(tmp_path):
    large = png(size=700)
    assert len(large) > csv.field_size_limit() or len(large) > 1_000_000
    rows = mmbench_rows()
    rows[0]["image"] = base64.b64encode(large).decode()
    write_table(tmp_path / "MMBench_DEV_EN.tsv", rows)
    samples = list(BENCHMARKS["mmbench"].load(tmp_path))
    assert samples[0].images == samples[1].images == (large,)
    assert samples[2].prompt.startswith("See.\nWho?\nA. he\nB. she\nAnswer")


def test_pictures_of_a_table_may_be_files_beside_it_and_nowhere_else(tmp_path):
    (tmp_path / "secret.png").write_bytes(png())
    folder = tmp_path / "bench"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(1))
    rows = [
        {key: cell for key, cell in row.items() if key != "image"} | {"image_path": "a.png"} for row in mmbench_rows()
    ]
    write_table(folder / "MMBench.tsv", rows)
    assert {sample.images for sample in BENCHMARKS["mmbench"].load(folder)} == {(png(1),)}
    rows[1]["image_path"] = "../secret.png"
    write_table(folder / "MMBench.tsv", rows)
    with pytest.raises(ValueError, match="outside"):
        list(BENCHMARKS["mmbench"].load(folder))


def test_a_picture_that_a_parquet_file_names_lies_in_its_folder(tmp_path):
    (tmp_path / "secret.png").write_bytes(png())
    folder = tmp_path / "bench"
    row = {"question": "?", "options": ["a", "b"], "answer": "0"}
    for name in ("../secret.png", str(tmp_path / "secret.png")):
        write_parquet(folder / "test.parquet", [{**row, "image": {"bytes": None, "path": name}}])
        with pytest.raises(ValueError, match="outside"):
            list(BENCHMARKS["ai2d"].load(folder))


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("answer", "9", "KeyError"), ("answer", "x", "invalid literal"), ("options", None, "TypeError"),
        ("image", {"bytes": None, "path": None}, "no picture"), ("question", None, "row 1"),
        ("options", ["a"] * 27, "27 options"),
    ],
)  # fmt: skip
def test_a_row_that_is_not_as_published_is_named(tmp_path, column, value, reason):
    row = {"question": "?", "options": ["a", "b"], "answer": "0", "image": {"bytes": png(), "path": None}}
    write_parquet(tmp_path / "test.parquet", [row, {**row, column: value}])
    with pytest.raises(ValueError, match=reason) as raised:
        list(BENCHMARKS["ai2d"].load(tmp_path))
    assert "row 1" in str(raised.value)
    assert BENCHMARKS["ai2d"].fetch in str(raised.value)


def test_answers_that_are_kept_back_are_named(tmp_path):
    FILES["docvqa"][0](tmp_path)
    for path in tmp_path.rglob("*.parquet"):
        rows = pq.read_table(path).to_pylist()
        write_parquet(path, [{**row, "answers": None} for row in rows])
    with pytest.raises(ValueError, match="not published"):
        list(BENCHMARKS["docvqa"].load(tmp_path))


@pytest.mark.parametrize(
    "line",
    [
        '{"image": "00021.png"}', "[1]", "{", "[" * 100_000,
        '{"image": "x", "question_id": 1, "Q": "?", "A": "Yes"}',
        '{"image": "00021.png", "question_id": 1, "Q": "?", "A": "Maybe"}',
    ],
)  # fmt: skip
def test_a_line_of_wub_that_is_not_as_published_is_named(tmp_path, line):
    FILES["wub"][0](tmp_path)
    with open(tmp_path / "Web2Code_eval.jsonl", "a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match="Web2Code_eval") as raised:
        list(BENCHMARKS["wub"].load(tmp_path))
    assert BENCHMARKS["wub"].fetch in str(raised.value)


def test_questions_of_wub_may_begin_with_a_byte_order_mark_and_other_encodings_are_named(tmp_path):
    FILES["wub"][0](tmp_path)
    path = tmp_path / "Web2Code_eval.jsonl"
    text = path.read_text()
    path.write_text(text, encoding="utf-8-sig")
    assert len(list(BENCHMARKS["wub"].load(tmp_path))) == 3
    path.write_text(text, encoding="utf-16")
    with pytest.raises(ValueError, match=r"Web2Code_eval\.jsonl is no text in UTF-8: fetch"):
        list(BENCHMARKS["wub"].load(tmp_path))


@pytest.mark.parametrize(
    "form", [[1], [{"id": 1}], [{"id": 1, "text": "x", "label": "question", "linking": [[1]]}], None]
)
def test_a_form_that_is_not_as_published_is_named(tmp_path, form):
    FILES["funsd"][0](tmp_path)
    (tmp_path / "testing_data" / "annotations" / "f2.json").write_text(json.dumps({"form": form}))
    with pytest.raises(ValueError, match=r"f2\.json"):
        list(BENCHMARKS["funsd"].load(tmp_path))


def test_values_of_a_form_are_joined(loaded):
    assert [sample.facts["answers"] for sample in loaded["funsd"]] == [("1 May 2020",)] * 2


def test_a_decimal_point_is_part_of_a_total(loaded):
    total = next(sample for sample in loaded["sroie"] if sample.id.endswith("total"))
    answers = ("9.00", "$9.00.", "900", "9,00")
    assert [BENCHMARKS["sroie"].judge(total, answer).values["exact"] for answer in answers] == [1, 1, 0, 0]


def test_receipts_may_lie_beside_their_texts(tmp_path):
    (tmp_path / "X1.txt").write_text(json.dumps({"total": "9.00", "company": None}))
    (tmp_path / "X1.jpg").write_bytes(png(form="JPEG"))
    assert [sample.id for sample in BENCHMARKS["sroie"].load(tmp_path)] == ["X1/total"]


def test_pictures_stand_in_the_order_of_their_numbers(loaded):
    by_id = {sample.id: sample for sample in loaded["mmmu"]}
    assert by_id["validation_Art_Theory_1"].images == (png(1), png(2))
    assert by_id["validation_Accounting_2"].images == (png(1),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "{'a': 1}",
        "[" * 5000,
        "[" + "-" * 9000 + "1]",
        "['a'",
        "__import__('os')",
        "['a'] * 9",
        "['a']" + " " * 20_000,
    ],
)
def test_the_text_of_a_list_is_only_a_list(text):
    with pytest.raises(ValueError, match="list"):
        parse_list(text)


def test_ocr_words_stand_in_the_prompt_where_they_are_asked_for(loaded):
    assert loaded["textvqa"][0].prompt.startswith("What is written here?\nAnswer")
    assert loaded["textvqa_ocr"][0].prompt.startswith("What is written here?\nReference OCR token: COCA, COLA\nAnswer")


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "a#2", "a#3", "a#2#2"]), min_size=1, max_size=12))
def test_ids_are_distinct_whatever_the_file_repeats(tmp_path_factory, names):
    made = list(samples_of([{"id": name} for name in names], tmp_path_factory.getbasetemp(), "", bare))
    assert len({sample.id for sample in made}) == len(names)
    assert made[0].id == names[0]


def bare(number, row):
    return Sample(row["id"], (), "", 1)


def test_rows_are_read_as_they_are_needed(tmp_path):
    write_parquet(tmp_path / "test-0.parquet", [{"number": number} for number in range(100)])
    (tmp_path / "test-1.parquet").write_bytes(b"broken")
    rows = read_rows(tmp_path, "", ("number",), "test")
    assert [next(rows)["number"] for _ in range(100)] == list(range(100))
    with pytest.raises(ValueError, match="no whole Parquet"):
        next(rows)


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_answer_is_judged_in_under_a_second(loaded, name):
    for sample in loaded[name][:4]:
        for answer in ("a" * LONG, "1" * LONG, "(A) yes 1, " * (LONG // 11), "<think>a" * (LONG // 8), *HOSTILE):
            started = time.perf_counter()
            verdict = BENCHMARKS[name].judge(sample, answer)
            assert time.perf_counter() - started < 1
            assert len(answer) < LONG - 11 or verdict.outcome == "unparsed"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_answer_has_a_verdict(loaded, data):
    words = st.lists(
        st.sampled_from(["yes", "no", "A", "(B)", "answer", "is", "1,2", "[1]", "=", "so ", "%", "\n", "."])
    )
    answer = data.draw(st.one_of(st.text(), words.map("".join), words.map(" ".join)))
    name = data.draw(st.sampled_from(sorted(FILES)))
    sample = data.draw(st.sampled_from(loaded[name][:4]))
    verdict = BENCHMARKS[name].judge(sample, answer)
    assert verdict == BENCHMARKS[name].judge(sample, answer)
    assert (verdict.outcome == "unparsed") == bool(verdict.reason)
    assert all(isinstance(value, float) and 0 <= value <= 1 for value in verdict.values.values())
    best = BENCHMARKS[name].measures([sample] * 1, [verdict])[0]
    assert verdict.outcome == "scored" or best.value == 0


# By benchmark, the folder of its configuration in the hub's repository, and that of another one.
CONFIGURATIONS = {
    "docvqa": ("DocVQA", "InfographicVQA"), "infovqa": ("InfographicVQA", "DocVQA"),
    "scienceqa": ("ScienceQA-FULL", "ScienceQA-IMG"), "scienceqa_img": ("ScienceQA-IMG", "ScienceQA-FULL"),
    "mmbench": ("en", "cn"),
}  # fmt: skip


def write_configuration(name, folder):
    if name != "mmbench":
        return FILES[name][0](folder)
    rows = [{**row, "image": {"bytes": png(), "path": None}} for row in mmbench_rows()]
    return write_parquet(folder / "dev-00000-of-00001.parquet", rows)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_of_a_repository_with_configurations_the_benchmarks_own_is_read(tmp_path, name):
    own, other = CONFIGURATIONS[name]
    # The whole repository may have the name of a configuration, as lmms-lab/DocVQA has.
    repository = tmp_path / "DocVQA" if "DocVQA" in (own, other) else tmp_path
    for configuration in (own, other):
        write_configuration(name, repository / configuration)
    write_configuration(name, tmp_path / "alone")
    samples = list(BENCHMARKS[name].load(tmp_path / "alone"))
    assert list(BENCHMARKS[name].load(repository / own)) == samples
    shutil.rmtree(tmp_path / "alone")
    assert list(BENCHMARKS[name].load(tmp_path)) == samples


@pytest.mark.parametrize("name", ["docvqa", "infovqa", "mmbench"])
def test_another_configuration_is_not_the_benchmark(tmp_path, name):
    own, other = CONFIGURATIONS[name]
    write_configuration(name, tmp_path / other)
    with pytest.raises(ValueError, match=f"holds {other} in place of {own}") as raised:
        list(BENCHMARKS[name].load(tmp_path))
    assert f"{own}/" in str(raised.value)


@pytest.mark.parametrize("name", ["ai2d", "docvqa", "mmbench", "mmmu", "mathvista"])
def test_two_sets_of_files_are_never_read_as_one(tmp_path, name):
    for copy in ("first", "second"):
        (tmp_path / copy).mkdir()
        FILES[name][0](tmp_path / copy)
    with pytest.raises(ValueError, match=r"leave one of them there; fetch"):
        list(BENCHMARKS[name].load(tmp_path))


def test_missing_shards_are_named(tmp_path):
    FILES["docvqa"][0](tmp_path)
    data = tmp_path / "data"
    (data / "validation-00001-of-00002.parquet").unlink()
    with pytest.raises(ValueError, match=r"1 of 2 shards: add validation-00001-of-00002\.parquet; fetch"):
        list(BENCHMARKS["docvqa"].load(tmp_path))
    (data / "validation-00000-of-00002.parquet").rename(data / "validation-00007-of-00100-1028f23e353fbe3e.parquet")
    with pytest.raises(ValueError, match=r"1 of 100 shards: add validation-00000-of-00100\.parquet, .*, \.\.\.; fetch"):
        list(BENCHMARKS["docvqa"].load(tmp_path))


@pytest.mark.parametrize(("num", "missing"), [(2, "1000007, 1000008"), (3, "1000008")])
def test_rotations_that_are_missing_are_named(tmp_path, num, missing):
    write_table(tmp_path / "MMBench.tsv", mmbench_rows()[:num])
    with pytest.raises(ValueError, match=f"it lacks index {missing}; fetch"):
        list(BENCHMARKS["mmbench"].load(tmp_path))
