"""Results in the files of other harnesses, there and back."""

import json
import zipfile

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.web2code.evaluation.small import BENCHMARKS, write_results
from web2code.evaluation import spreadsheet
from web2code.evaluation.comparison import compare
from web2code.evaluation.interchange import (
    read_lmms_eval,
    read_vlmevalkit,
    write_lmms_eval,
    write_vlmevalkit,
)
from web2code.evaluation.results import Row, read_rows, read_scores, write_rows
from web2code.interchange_command import app

HOSTILE = "=cmd|' /C calc'!A0\t\"quoted\"\r\nline\u2028two ' \\N </script>"


@pytest.fixture
def folder(tmp_path):
    answers = {"s0": "", "s1": HOSTILE, "s2": "NA", "s3": "null"}
    write_results(tmp_path / "ours", "org/model:1", 0.8, answers=answers)
    return tmp_path / "ours"


def essentials(rows):
    return [(row.id, row.answer, row.outcome, row.values, row.prompt) for row in rows]


def test_lmms_eval_there_and_back(folder, tmp_path):
    path = write_lmms_eval(folder, tmp_path / "theirs")
    assert path.relative_to(tmp_path).as_posix() == "theirs/org__model__1/20260102030405_results.json"
    scores = read_lmms_eval(path, tmp_path / "back")
    assert scores == read_scores(tmp_path / "back")
    assert scores.imported
    assert scores.model == "org/model:1"
    assert essentials(read_rows(tmp_path / "back", "parity")) == essentials(read_rows(folder, "parity"))
    ours, back = (read_scores(one).benchmarks["parity"] for one in (folder, tmp_path / "back"))
    assert (back.num, back.outcomes, back.dataset) == (ours.num, ours.outcomes, ours.dataset)
    for one, other in zip(ours.figures, back.figures, strict=True):
        assert (one.name, one.value) == (other.name, other.value)
        assert other.high - other.low == pytest.approx(one.high - one.low)


def test_a_table_for_vlmevalkit_has_the_options_and_the_category(folder, tmp_path):
    first, *others = read_rows(folder, "parity")
    facts = first.facts | {"options": {"A": "a\tpage", "B": "two"}, "category": "ocr"}
    write_rows(folder, "parity", [Row(**dict(first) | {"facts": facts}), *others])
    [path] = write_vlmevalkit(folder, tmp_path / "theirs")
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    assert table.loc[0, ["A", "B", "category"]].to_list() == ["a\tpage", "two", "ocr"]
    assert set(table["A"][1:]) == {""}


def test_the_samples_have_the_fields_of_lmms_eval(folder, tmp_path):
    path = write_lmms_eval(folder, tmp_path / "theirs")
    whole = json.loads(path.read_text())
    assert set(whole["results"]["parity"]) >= {"alias", "accuracy,none", "accuracy_stderr,none"}
    assert whole["n-samples"]["parity"] == {"original": 60, "effective": 60}
    lines = (path.parent / "20260102030405_samples_parity.jsonl").read_text().splitlines()
    sample = json.loads(lines[4])
    assert sample["doc_id"] == 4
    assert sample["filtered_resps"] == [read_rows(folder, "parity")[4].answer]
    assert sample["target"] == "yes"
    assert {"doc_hash", "prompt_hash", "target_hash", "input", "correct"} <= set(sample)


def test_a_result_of_lmms_eval_itself_is_read(tmp_path):
    theirs = tmp_path / "llava__model" / "20250102_023823_results.json"
    theirs.parent.mkdir()
    theirs.write_text(json.dumps({
        "results": {"mme": {"alias": "mme", "mme_perception_score,none": 1510.7, "mme_perception_score_stderr,none":
                    "N/A", "mme_cognition_score,none": 280.0, " ": " "},
                    "pope": {"alias": "pope", "pope_f1_score,flexible": 0.859, "pope_f1_score_stderr,flexible": 0.01}},
        "n-samples": {"mme": {"original": 2374, "effective": 2374}, "pope": {"effective": 9000}},
        "config": {"model": "llava"}, "model_name": "llava-1.5", "date": "20250102_023823",
        "task_hashes": {"mme": "abc"},
    }))  # fmt: skip
    samples = [
        {"doc_id": 7, "target": "Yes", "filtered_resps": ["Yes"], "input": "Is it?", "doc_hash": "x",
         "mme_perception_score": {"question_id": "1.jpg", "category": "scene", "score": 1.0}},
        {"doc_id": 8, "target": "No", "resps": [["Yes\ud800"]], "mme_perception_score": {"score": 0.0},
         "submission": ["not", "a number"]},
    ]  # fmt: skip
    name = theirs.name.replace("_results.json", "_samples_mme.jsonl")
    (theirs.parent / name).write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    scores = read_lmms_eval(theirs, tmp_path / "out")
    perception, cognition = scores.benchmarks["mme"].figures
    assert (perception.name, perception.value) == ("mme_perception_score", 1510.7)
    assert (perception.low, perception.high, perception.interval()) == (None, None, "")
    assert cognition.value == 280
    (f1,) = scores.benchmarks["pope"].figures
    assert (f1.name, f1.high - f1.value) == ("pope_f1_score,flexible", pytest.approx(0.0196))
    assert scores.benchmarks["mme"].dataset == "abc"
    assert scores.benchmarks["pope"].num == 9000
    first, second = read_rows(tmp_path / "out", "mme")
    assert (first.id, first.answer, first.values) == ("7", "Yes", {"mme_perception_score": 1.0})
    assert second.answer == "Yes\ufffd"


def test_a_later_result_of_the_same_model_is_added_and_another_models_is_refused(folder, tmp_path):
    first = write_lmms_eval(folder, tmp_path / "theirs")
    read_lmms_eval(first, tmp_path / "back")
    second = first.with_name("20260202000000_results.json")
    whole = json.loads(first.read_text())
    second.write_text(json.dumps(whole | {"results": {"more": {"a,none": 0.5}}, "date": "20260202"}))
    scores = read_lmms_eval(second, tmp_path / "back")
    assert (list(scores.benchmarks), scores.date) == (["parity", "more"], "20260202")
    assert read_scores(tmp_path / "back") == scores
    second.write_text(json.dumps(whole | {"model_name": "another"}))
    with pytest.raises(ValueError, match="holds the results of org/model:1 by lmms-eval, and not of another by lmms"):
        read_lmms_eval(second, tmp_path / "back")
    (table,) = write_vlmevalkit(folder, tmp_path / "tables")
    read_vlmevalkit(table, tmp_path / "tables-back", "one", "parity")
    with pytest.raises(ValueError, match="holds the results of one by VLMEvalKit, and not of two by VLMEvalKit"):
        read_vlmevalkit(table, tmp_path / "tables-back", "two", "other")
    with pytest.raises(ValueError, match="name another folder"):
        read_vlmevalkit(table, folder, "org/model:1", "other")


def test_two_imported_results_are_compared_by_their_rows(folder, tmp_path):
    write_results(tmp_path / "weak", "weak", 0.4, seed=5)
    for name in ("ours", "weak"):
        read_lmms_eval(write_lmms_eval(tmp_path / name, tmp_path / "theirs"), tmp_path / f"{name}-back")
    rows = compare(tmp_path / "ours-back", tmp_path / "weak-back", BENCHMARKS, 500).rows
    assert {row.figure: row.verdict for row in rows}["mean correct"] == "better"
    with pytest.raises(ValueError, match="no figure in common"):
        compare(tmp_path / "ours-back", tmp_path / "weak", BENCHMARKS, 100)


def test_vlmevalkit_there_and_back(folder, tmp_path):
    (path,) = write_vlmevalkit(folder, tmp_path / "theirs")
    assert path.name == "org-model-1_parity.tsv"
    scores = read_vlmevalkit(path, tmp_path / "back", "model", "parity")
    assert essentials(read_rows(tmp_path / "back", "parity")) == essentials(read_rows(folder, "parity"))
    assert scores.benchmarks["parity"].figures[0].name == "mean correct"
    assert scores.benchmarks["parity"].figures[0].value == read_scores(folder).benchmarks["parity"].figures[0].value


def test_a_table_of_vlmevalkit_itself_is_read(tmp_path):
    path = tmp_path / "model_POPE.tsv"
    path.write_text("index\tquestion\tanswer\tprediction\tscore\n1\tIs it?\tYes\tYes\tTrue\n"
                    "2\tIs it?\tNo\tFailed to obtain answer via API.\tFalse\n")  # fmt: skip
    scores = read_vlmevalkit(path, tmp_path / "out", "model", "POPE")
    assert scores.benchmarks["POPE"].figures[0].value == 0.5
    assert scores.benchmarks["POPE"].outcomes == {"no_answer": 1, "scored": 1}
    again = read_vlmevalkit(path, tmp_path / "out", "model", "MMBench")
    assert list(again.benchmarks) == ["POPE", "MMBench"]


MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def write_spreadsheet(path, strings, rows):
    """A file of Excel's format with the parts that tables of VLMEvalKit have, each part on its own."""
    parts = {
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets><sheet r:id="rId1"/></sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": '<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/>'
        "</Relationships>",
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{"".join(f"<si>{text}</si>" for text in strings)}</sst>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{"".join(rows)}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)


def test_a_spreadsheet_is_read_as_vlmevalkit_writes_it(tmp_path):
    names = ["index", "question", "answer", "prediction", "hit"]
    strings = [f"<t>{name}</t>" for name in names]
    strings += ["<t>Is it &lt;b&gt;?</t>", "<r><t>Ye</t></r><r><t>s_x000D_\n</t></r><rPh><t>ignored</t></rPh>"]
    head = "".join(f'<c r="{letter}1" t="s"><v>{place}</v></c>' for place, letter in enumerate("ABCDE"))
    rows = [
        f'<row r="1">{head}</row>',
        '<row><c r="A2"><v>1000007</v></c><c r="B2" t="s"><v>5</v></c><c r="D2" t="s"><v>6</v></c>'
        '<c r="E2"><v>1</v></c></row>',
        '<row><c r="A3"><v>8</v></c><c r="D3" t="inlineStr"><is><t>No</t></is></c><c r="E3" t="b"><v>0</v></c></row>',
    ]
    path = tmp_path / "model_MMBench_result.xlsx"
    write_spreadsheet(path, strings, rows)
    scores = read_vlmevalkit(path, tmp_path / "out", "model", "MMBench")
    assert scores.benchmarks["MMBench"].figures[0].value == 0.5
    first, second = read_rows(tmp_path / "out", "MMBench")
    assert (first.id, first.prompt, first.answer, first.facts) == ("1000007", "Is it <b>?", "Yes\r\n", {})
    assert (second.id, second.prompt, second.answer) == ("8", "", "No")


def test_a_spreadsheet_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    write_spreadsheet(tmp_path / "a.xlsx", ["<t>" + 10_000 * "a" + "</t>"], [])
    monkeypatch.setattr(spreadsheet, "MAX_BYTES", 9_000)
    with pytest.raises(ValueError, match="unpacks to more than 9000 bytes"):
        read_vlmevalkit(tmp_path / "a.xlsx", tmp_path / "out", "model", "MMBench")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pkl", "", "only .xlsx, .tsv and .csv are read"),
        ("a.xlsx", "index\tprediction\n", "is no Excel file"),
        ("a.tsv", "index\tquestion\n1\t2\n", "no column 'prediction'"),
        ("a.tsv", "index\tprediction\n1\tA\n", "name a table that VLMEvalKit has evaluated"),
        ("a.tsv", "index\tprediction\thit\n1\tA\tperhaps\n", "'perhaps' is no score"),
        ("a.tsv", "index\tprediction\thit\n1\tA\tinf\n", "'inf' is no score"),
    ],
)
def test_tables_that_say_too_little_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=words):
        read_vlmevalkit(tmp_path / name, tmp_path / "out", "model", "POPE")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("no JSON", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "has no results"),
        ('{"results": {"../../up": {"a,none": 1}}}', "no name of a benchmark"),
    ],
)
def test_results_that_are_none_are_refused(tmp_path, content, words):
    path = tmp_path / "x_results.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=words):
        read_lmms_eval(path, tmp_path / "out")
    assert not (tmp_path / "up.jsonl").exists()


def test_the_commands_write_and_read(folder, tmp_path):
    runner = CliRunner()
    for name, options in (("lmms-eval", []), ("vlmevalkit", ["--model", "m", "--benchmark", "parity"])):
        out = tmp_path / name
        written = runner.invoke(app, ["export", str(folder), str(out), "--format", name])
        assert written.exit_code == 0, written.output
        (path,) = (one for one in out.rglob("*") if one.name.endswith(("_results.json", ".tsv")))
        done = runner.invoke(app, ["import", str(path), str(tmp_path / f"{name}-back"), *options])
        assert done.exit_code == 0, done.output
        assert len(read_rows(tmp_path / f"{name}-back", "parity")) == 60
    (whole,) = (tmp_path / "lmms-eval").rglob("*_results.json")
    named = runner.invoke(app, ["import", str(whole), str(tmp_path / "x"), "--model", "m"])
    assert named.exit_code == 2
    assert "says what it holds: leave --model and --benchmark out" in named.stderr
    assert runner.invoke(app, ["import", str(tmp_path / "none.json"), str(tmp_path / "x")]).exit_code == 2
    assert runner.invoke(app, ["import", str(path), str(tmp_path / "x")]).exit_code == 2


def test_numbers_that_are_none_are_passed_over(tmp_path):
    path = tmp_path / "x_results.json"
    values = {"a": "NaN", "b": "Infinity", "c": "1" + "0" * 400, "d": "[1]", "e": "0.5"}
    figures = ", ".join(f'"{name},none": {value}' for name, value in values.items())
    rest = '"config": [], "n-samples": {"t": {"effective": "all"}}'
    path.write_text(f'{{"results": {{"t": {{{figures}}}}}, {rest}}}')
    (tmp_path / "x_samples_t.jsonl").write_text('{"doc_id": 1, "a": NaN, "b": 1e999, "c": true}\n')
    scores = read_lmms_eval(path, tmp_path / "out")
    assert [(figure.name, figure.value) for figure in scores.benchmarks["t"].figures] == [("e", 0.5)]
    assert read_rows(tmp_path / "out", "t")[0].values == {"c": 1.0}
