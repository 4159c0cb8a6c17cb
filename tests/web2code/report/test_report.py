import json
import re

import pytest
from playwright.sync_api import sync_playwright

from tests.tasks.datasets import make_rows, picture, write_dataset
from web2code.artifacts import publish
from web2code.config import (
    BenchmarkResult,
    BenchmarksRecord,
    DatasetRecord,
    Decision,
    EvaluationRecord,
    Interval,
    ModelRecord,
    PixelResult,
    StageRecord,
    SystemResult,
    Understanding,
    Visual,
    Where,
)
from web2code.plan import Plan
from web2code.recipes import resolve
from web2code.rendering.chromium import find_chromium
from web2code.report import write_report
from web2code.summary import RunSummary

HOSTILE = "<script>document.title='owned'</script><img src=https://example.com/x.png onerror=alert(1)>"
HALF = Interval(mean=5, low=4, high=6)
GROUPS = ("overall", "vsa", "cad", "tcc", "uii")


def system():
    return SystemResult(
        wub=Understanding(
            accuracy=0.5, num=8, unparsed=2, interval=Interval(mean=0.5, low=0.3, high=0.7), balanced_accuracy=0.5,
            yes_ratio=0.4, majority=0.5,
        ),
        wcgb_visual=Visual(
            overall=5, vsa=5, cad=5, tcc=5, uii=5, num=4, render_failed=1, intervals=dict.fromkeys(GROUPS, HALF)
        ),
    )  # fmt: skip


def stage(name, zero_stage):
    return StageRecord(
        fingerprint=name, name=name, zero_stage=zero_stage, steps=3, first_loss=3, last_loss=1,
        seconds_to_first_step=2, seconds=4, samples_per_second=9, losses=(3, 2, 1), learning_rates=(0.1, 0.1, 0.1),
    )  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of four pages whose answers, ids and reasons are hostile; one of them did not render."""
    home = tmp_path_factory.mktemp("report")
    rows = make_rows()
    data = home / "data"
    record = write_dataset(data, rows)
    out = home / "evaluation"
    held_out = [row for row in rows if row["split"] == "eval" and row["part"] == "DWCG"]
    samples = []
    for number, row in enumerate(held_out):
        for kind in ("reference", "candidate"):
            if kind == "reference" or number:
                (out / "pictures" / kind).mkdir(parents=True, exist_ok=True)
                (out / "pictures" / kind / f"{row['id']}.png").write_bytes(picture(number))
        samples.append({
            "system": "candidate", "id": row["id"], "outcome": "rendered" if number else "failed",
            "reason": "" if number else HOSTILE, "html": HOSTILE * 20, **dict.fromkeys(GROUPS, float(2 * number)),
        })  # fmt: skip
    (out / "samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    shot = {"system": "candidate", "id": "shot", "outcome": "failed", "reason": HOSTILE, "html": HOSTILE,
            "similarity": 0.0}  # fmt: skip
    (out / "screenshots.jsonl").write_text(json.dumps(shot) + "\n")
    systems = dict.fromkeys(("candidate", "untrained", "constant_page"), system())
    evaluation = EvaluationRecord(
        fingerprint="e", dataset_version="v.dir", evaluator="x", systems=systems,
        screenshots={"candidate": PixelResult(num=1, render_failed=1, similarity=Interval(mean=0, low=0, high=0))},
    )  # fmt: skip
    publish(out, str(out), evaluation)
    summary = RunSummary(run="20260101-000000-abcd", recipe="tiny", seconds={"dataset": 1.0, "align": 2.0, "total": 3})
    model = ModelRecord(name="web2code-tiny", version=1, aliases=("champion",))
    assert isinstance(record, DatasetRecord)
    beside = {"champion": HALF, "difference": Interval(mean=-1, low=-2, high=0), "better": "more", "p": 0.0312}
    result = BenchmarkResult(title=HOSTILE, figure="points", scale=10, num=60, lost=1, candidate=HALF, **beside)
    benchmarks = BenchmarksRecord(fingerprint="b", candidate="c", results={"points": result})
    for result in (record, "v.dir", evaluation, benchmarks, Decision(promoted=True, reason=HOSTILE), model):
        summary.take(result)
    plan = Plan(recipe=resolve("tiny"), where=Where(home=str(home), data_dir=str(data)), sources=())
    return write_report(home / "report.html", summary, plan, [stage("align", 2), stage("instruct", 3)], out)


@pytest.fixture(scope="module")
def opened(report):
    """The report in a browser with scripts on, and every request that it made."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--disable-gpu"])
        page = browser.new_page()
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(report.as_uri())
        yield page, requests
        browser.close()


def test_it_needs_nothing_else_and_runs_nothing(report, opened):
    page, requests = opened
    assert [url for url in requests if not url.startswith(("data:", report.as_uri()))] == []
    assert page.locator("script").count() == 0
    assert "owned" not in page.title()
    assert HOSTILE in page.inner_text("body") or "document.title='owned'" in page.inner_text("body")


def test_benchmarks_are_shown_beside_the_champion(opened):
    page, _ = opened
    (row,) = page.locator("tr", has_text="-1.00 (-2.00 to 0.00)").all_inner_texts()
    assert row.split("\t")[1:] == ["points", "5.00 (4.00 to 6.00)", "5.00 (4.00 to 6.00)", "-1.00 (-2.00 to 0.00)",
                                   "0.031", "60", "1"]  # fmt: skip


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(opened, width):
    page, _ = opened
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_picture_is_shown_and_the_worst_case_comes_first(opened):
    page, _ = opened
    widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert widths
    assert all(widths)
    cases = page.locator(".cases").first.inner_text()
    scores = [float(score) for score in re.findall(r"^(\d+\.\d+)", cases, re.MULTILINE)]
    assert scores == sorted(scores)
    assert len(scores) == 4


def test_plots_have_no_text_on_top_of_another(opened):
    page, _ = opened
    page.set_viewport_size({"width": 1280, "height": 900})
    overlaps = page.evaluate("""() => [...document.querySelectorAll('svg')].flatMap(svg => {
      const texts = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
      return texts.flatMap(([a, p], i) => texts.slice(i + 1).filter(([b, q]) =>
        p.left < q.right && q.left < p.right && p.top + 2 < q.bottom - 2 && q.top + 2 < p.bottom - 2
      ).map(([b]) => a + ' / ' + b));
    })""")
    assert overlaps == []
