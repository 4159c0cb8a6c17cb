"""A model is asked what benchmarks ask, its pages are rendered, judged and scored, and nothing is done twice."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace

import psutil
import pytest
from PIL import Image

from ray_jobs.benchmark import folders_of, is_final, main
from tests.web2code.chat import HANG, ChatServer
from tests.web2code.evaluation.benchmarks.public_files import FILES, png, write_llava_bench
from web2code.config import ASPECTS, BenchmarkJob, Endpoint, EngineConfig, JudgeConfig, Viewport, Where, digest_tree
from web2code.endpoint import EndpointError
from web2code.evaluation.benchmarks import BENCHMARKS
from web2code.evaluation.benchmarks.benchmark import Verdict
from web2code.evaluation.benchmarks.llava_bench import COCO, IN_THE_WILD
from web2code.evaluation.journal import Journal
from web2code.evaluation.results import read_rows, read_scores
from web2code.rendering import Browsers

PAGE = "<html><body style='background:#{}'><h1>Offer {}</h1><p>Call 555-01{}</p><button>Buy</button></body></html>"
PAGES = {f"page{number}": PAGE.format(colour, number, number) for number, colour in enumerate(("fee", "efe", "eef"))}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A folder of pages with their screenshots."""
    folder = tmp_path_factory.mktemp("pages")
    with Browsers(num=1, viewport=Viewport(width=320, height=240)) as browsers:
        for name, snapshot in zip(PAGES, browsers.render(PAGES.values()), strict=True):
            (folder / f"{name}.html").write_text(PAGES[name])
            (folder / f"{name}.png").write_bytes(snapshot.png)
    return folder


@pytest.fixture
def server():
    """What answers and what judges, on a real socket."""
    server = ChatServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.released.set()
    server.shutdown()


def job_of(folder, home, server, *names, judges=("j",)):
    return job_at({name: folder for name in names}, home, server, judges)


def job_at(folders, home, server, judges=("j",)):
    endpoint = Endpoint(url=server.url, concurrency=1, retries=0)
    return BenchmarkJob(
        where=Where(
            home=str(home), data_dir="", out=str(home / "results"), num_workers=1,
            folders={name: str(folder) for name, folder in folders.items()}, endpoint=endpoint, judge=endpoint,
        ),
        name="model", checkpoint="m", engine=EngineConfig(kind="openai", model="m"),
        benchmarks={name: digest_tree(folder) for name, folder in folders.items()}, judge=JudgeConfig(models=judges),
        bootstrap_samples=100,
    )  # fmt: skip


def shown(body):
    """Which page a request shows, by its background."""
    url = body["messages"][-1]["content"][0]["image_url"]["url"]
    colour = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).getpixel((310, 230))
    return [(0xFF, 0xEE, 0xEE), (0xEE, 0xFF, 0xEE), (0xEE, 0xEE, 0xFF)].index(colour)


def test_pages_are_answered_rendered_judged_and_scored_once(local_ray, pages, tmp_path, server):
    answers = [f"Here it is:\n```html\n{PAGES['page0']}\n```", "I cannot see a page.", "<html></html>"]

    def reply(body):
        if body["messages"][0]["role"] == "system":
            return json.dumps(dict.fromkeys(ASPECTS, 7))
        return answers[shown(body)]

    server.reply = reply
    job = job_of(
        pages, tmp_path, server,
        "wcgb", "wcgb_judge", "wcgb_widths", "wcgb_page_down", "wcgb_judge_published", "wcgb_design2code",
    )  # fmt: skip
    scores = main(job)
    assert scores == read_scores(tmp_path / "results")
    rows = {row.id: row for row in read_rows(tmp_path / "results", "wcgb")}
    assert (rows["page0"].outcome, rows["page0"].values["overall"]) == ("scored", pytest.approx(10))
    assert (rows["page1"].outcome, rows["page2"].outcome) == ("unparsed", "scored")
    assert rows["page2"].values["overall"] == 0
    judged = {row.id: row for row in read_rows(tmp_path / "results", "wcgb_judge")}
    assert [judged[name].outcome for name in PAGES] == ["scored", "unparsed", "scored"]
    figures = {figure.name: figure for figure in scores.benchmarks["wcgb_judge"].figures}
    assert figures["overall"].value == pytest.approx(14 / 3)
    assert figures["overall (published)"].value == pytest.approx(7)
    for name in ("wcgb_widths", "wcgb_page_down"):
        seen = {row.id: row for row in read_rows(tmp_path / "results", name)}
        assert [seen[page].outcome for page in PAGES] == ["scored", "unparsed", "scored"]
        assert seen["page0"].values["overall"] == pytest.approx(10)
    published = {row.id: row for row in read_rows(tmp_path / "results", "wcgb_judge_published")}
    assert [published[name].outcome for name in PAGES] == ["scored", "unparsed", "scored"]
    assert published["page0"].values["overall"] == pytest.approx(7)
    with Image.open(folders_of(job, "wcgb_judge_published").pictures / "page0.png") as image:
        assert image.size == (1920, 1080)
    elements = {row.id: row for row in read_rows(tmp_path / "results", "wcgb_design2code")}
    for name in ("elements", "tree_bleu", "ssim"):
        assert elements["page0"].values[name] == pytest.approx(1)
    visual = scores.benchmarks["wcgb"].figures[0]
    assert visual.value == pytest.approx(10 / 3)
    assert visual.low < visual.value < visual.high
    asked = len(server.seen)
    again = main(job)
    assert len(server.seen) == asked
    assert again.benchmarks == scores.benchmarks
    alone = main(job_of(pages, tmp_path, server, "wcgb"))
    assert alone.benchmarks.keys() == scores.benchmarks.keys()
    assert len(server.seen) == asked


def changed(job, **where):
    """The same job elsewhere."""
    return BenchmarkJob.model_validate(job.model_dump() | {"where": job.where.model_dump() | where})


def test_another_model_under_the_same_name_is_asked_anew(local_ray, pages, tmp_path, server):
    server.reply = lambda body: PAGES[f"page{shown(body)}"]
    first = main(job_of(pages, tmp_path, server, "wcgb"))
    assert first.engine == f"m at 127.0.0.1:{server.server_port}"
    server.reply = PAGES["page0"]
    second = main(changed(job_of(pages, tmp_path, server, "wcgb"), out=str(tmp_path / "second")))
    figures = [scores.benchmarks["wcgb"].figures[0].value for scores in (first, second)]
    assert figures[0] == pytest.approx(10)
    assert figures[1] < 9.5
    assert {row.answer for row in read_rows(tmp_path / "second", "wcgb")} == {PAGES["page0"]}
    assert len(server.seen) == 6


def of(job, **fields):
    """The same job with other fields."""
    return BenchmarkJob.model_validate(job.model_dump() | fields)


def test_a_folder_of_results_is_of_one_model_and_engine_wherever_its_weights_lie(local_ray, public, tmp_path, server):
    server.reply = "Yes"
    job = job_at({"wub": public["wub"]}, tmp_path, server)
    before, asked = main(job), len(server.seen)
    other = of(job, checkpoint="other", name="another")
    precise = of(job, engine=dict(job.engine) | {"dtype": "float32"})
    with pytest.raises(
        ValueError, match=r"/results holds the results of model \(m\) by m at .* another \(other\) by openai"
    ):
        main(other)
    with pytest.raises(
        ValueError, match=r"dtype auto, and not of model \(m\) by openai, dtype float32: name another folder"
    ):
        main(precise)
    assert read_scores(tmp_path / "results") == before
    (tmp_path / "results" / "scores.json").unlink()  # as a kill leaves it
    for job_elsewhere in (other, precise, of(job, engine=dict(job.engine) | {"max_length": 9})):
        with pytest.raises(ValueError, match=r"/answers-wub-.* has answers of another model, or by other settings"):
            main(job_elsewhere)
    moved = of(job, engine=dict(job.engine) | {"model": "moved"}, name="renamed")
    assert main(moved).model == "renamed"
    assert len(server.seen) == asked


def test_what_is_in_a_folder_stays_beside_what_comes_later_or_is_not_lost_unsaid(local_ray, public, tmp_path, server):
    server.reply = "Yes"
    main(job_at({"wub": public["wub"]}, tmp_path, server))
    server.reply = lambda body: (400, "Unsupported value: 'temperature'") if "temperature" in body else "Yes"
    further = job_at({"mme": public["mme"]}, tmp_path, server)
    scores = main(further)
    assert list(scores.benchmarks) == ["wub", "mme"]
    answered = f"m at 127.0.0.1:{server.server_port}"
    assert scores.engine == f"{answered}; {answered}, without temperature"
    with pytest.raises(
        ValueError, match=r"holds wub, scored with another seed: ask for the same benchmarks again as well"
    ):
        main(of(further, seed=1))
    assert read_scores(tmp_path / "results") == scores
    both = job_at({name: public[name] for name in ("wub", "mme")}, tmp_path, server)
    asked = len(server.seen)
    assert main(of(both, seed=1)).benchmarks.keys() == scores.benchmarks.keys()
    assert len(server.seen) == asked


def test_a_judge_is_shown_the_pictures_of_the_answers_that_have_its_verdicts(local_ray, pages, tmp_path, server):
    seen = []

    def reply(body):
        if not is_judge(body):
            return PAGES[f"page{shown(body)}"]
        seen.append(judged_picture(body))
        return json.dumps(dict.fromkeys(ASPECTS, 7))

    server.reply = reply
    job = job_of(pages, tmp_path, server, "wcgb")
    main(job)
    elsewhere = tmp_path / "results" / "renderings" / "wcgb"  # of the same pages by an older version
    elsewhere.mkdir(exist_ok=True)
    for name in PAGES:
        Image.new("RGB", (64, 64)).save(elsewhere / f"{name}.png")
    (folders_of(job, "wcgb").pictures / "page1.png").unlink()
    scores = main(job_of(pages, tmp_path, server, "wcgb", "wcgb_judge"))
    assert seen == [(320, 240)] * 3
    assert scores.benchmarks["wcgb_judge"].outcomes == {"scored": 3}
    assert len(server.seen) == 3 + 3


def test_what_an_endpoint_did_not_answer_it_is_asked_again(local_ray, pages, tmp_path, server):
    server.reply = lambda body: PAGES["page0"] if shown(body) != 1 else (503, "overloaded")
    first = main(job_of(pages, tmp_path, server, "wcgb")).benchmarks["wcgb"]
    assert first.outcomes == {"no_answer": 1, "scored": 2}
    asked = len(server.seen)
    server.reply = lambda body: PAGES[f"page{shown(body)}"]
    second = main(job_of(pages, tmp_path, server, "wcgb")).benchmarks["wcgb"]
    assert second.outcomes == {"scored": 3}
    assert [shown(body) for body in server.seen[asked:]] == [1]
    main(job_of(pages, tmp_path, server, "wcgb"))
    assert len(server.seen) == asked + 1


def test_what_found_a_full_gpu_is_asked_again_another_time():
    engine = EngineConfig(kind="transformers", model="m")
    job = BenchmarkJob(where=Where(home="", data_dir=""), name="m", checkpoint="m", benchmarks={}, engine=engine)
    assert not is_final(job, {"error": "OutOfMemoryError: CUDA out of memory"})
    assert is_final(job, {"error": "ValueError: the prompt takes 9 tokens"})
    assert is_final(job, {"error": ""})


def test_what_is_asked_in_other_words_is_asked_again_and_nothing_else(local_ray, public, tmp_path, server, monkeypatch):
    server.reply = lambda body: "Yes" if len(body["messages"]) == 1 else "No"
    job = job_at({"wub": public["wub"]}, tmp_path, server)
    main(job)
    before = len(server.seen)
    load = BENCHMARKS["wub"].load

    def reworded(folder):
        first, *others = load(folder)
        return [replace(first, prompt=f"{first.prompt} Think.", max_new_tokens=9), *others]

    monkeypatch.setitem(BENCHMARKS, "wub", replace(BENCHMARKS["wub"], load=reworded))
    server.reply = "No"
    main(job)
    assert len(server.seen) == before + 1
    assert server.seen[-1]["max_tokens"] == 9
    rows = read_rows(tmp_path / "results", "wub")
    assert [row.answer for row in rows] == ["No", *["Yes"] * (len(rows) - 1)]
    assert rows[0].prompt.endswith(" Think.")


def test_a_server_that_sets_its_own_temperature_is_told_in_the_scores(local_ray, pages, tmp_path, server):
    def reply(body):
        refused = "temperature" in body
        return (400, "Unsupported value: 'temperature' does not support 0.") if refused else PAGES["page0"]

    server.reply = reply
    job = job_of(pages, tmp_path, server, "wcgb")
    expected = f"m at 127.0.0.1:{server.server_port}, without temperature"
    assert main(job).engine == expected
    for path in (tmp_path / "results").glob("answers-*.jsonl"):
        path.unlink()
    assert main(job).engine == expected


def test_an_engine_gets_the_key_that_its_endpoint_names_and_judges_cost_no_more_than_was_allowed(
    local_ray, public, tmp_path, server, monkeypatch
):
    server.reply = reply_to_anything
    monkeypatch.setenv("MODEL_KEY", "secret")  # the cluster runs already, without it
    job = job_at({IN_THE_WILD.name: public[IN_THE_WILD.name]}, tmp_path, server)
    limits = {"output_price": 1e4, "max_cost": 4.5, "concurrency": 1}  # a reply costs 0.5
    job = changed(
        job, endpoint=dict(job.where.endpoint) | {"key_variable": "MODEL_KEY"}, judge=dict(job.where.judge) | limits
    )
    for _ in range(2):
        with pytest.raises(EndpointError, match=r"the judge has cost 4\.50, and max_cost is 4\.50"):
            main(job)
        assert sum(body["model"] == "j" for body in server.seen) == 9
    scores = main(changed(job, judge=dict(job.where.judge) | {"max_cost": 0}))
    assert scores.judges["j"].requests == IN_THE_WILD.num
    assert scores.judges["j"].cost == pytest.approx(IN_THE_WILD.num / 2)
    assert server.keys == {"m": {"secret"}, "j": {"none"}}
    assert main(changed(job, judge=dict(job.where.judge) | {"max_cost": 0})).judges == scores.judges


def test_an_evaluation_of_the_first_samples_says_so(local_ray, pages, tmp_path, server):
    server.reply = PAGES["page0"]
    job = job_of(pages, tmp_path, server, "wcgb")
    found = main(of(job, limit=2)).benchmarks["wcgb"]
    assert (found.num, found.limit) == (2, 2)
    whole = main(job).benchmarks["wcgb"]
    assert (whole.num, whole.limit) == (3, 0)
    assert len(server.seen) == 3


def test_pages_are_scored_while_others_are_written(local_ray, pages, tmp_path, server):
    job = job_of(pages, tmp_path, server, "wcgb")
    picture, seen = folders_of(job, "wcgb").pictures / "page0.png", []

    def reply(body):
        if shown(body) == 2:
            seen.append(appears(picture))
        return PAGES[f"page{shown(body)}"]

    server.reply = reply
    main(job)
    assert seen == [True], "nothing was scored before the last answer was written"


def is_judge(body):
    """Whether a request asks a model to judge two pictures."""
    return body["messages"][0]["role"] == "system"


def judged_picture(body):
    """The size of the rendered page that a judge is shown."""
    url = body["messages"][1]["content"][2]["image_url"]["url"]
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).size


def test_all_judges_begin_before_the_last_answer_is_written_and_share_what_the_endpoint_allows(
    local_ray, pages, tmp_path, server
):
    begun, asking, all_begun, waited, numbers_at_once = set(), set(), threading.Event(), [], []

    def reply(body):
        if not is_judge(body):
            if shown(body) == 0:
                waited.append(all_begun.wait(60))
            return PAGES[f"page{shown(body)}"]
        asking.add(id(body))
        begun.add((judged_picture(body), body["model"]))
        if len(begun) == 4:
            all_begun.set()
        time.sleep(0.1)  # another judge might be asked meanwhile
        numbers_at_once.append(len(asking))
        asking.remove(id(body))
        return json.dumps(dict.fromkeys(ASPECTS, 7))

    server.reply = reply
    names = ("wcgb", "wcgb_judge", "wcgb_judge_published")
    job = job_of(pages, tmp_path, server, *names, judges=("j", "other"))
    scores = main(changed(job, endpoint={"url": server.url, "concurrency": 2, "retries": 0}))
    assert waited == [True], "the last answer was written before all judges had begun"
    assert begun == {(size, model) for size in ((320, 240), (1920, 1080)) for model in ("j", "other")}
    assert numbers_at_once == [1] * 3 * 2 * 2
    for name in ("wcgb_judge", "wcgb_judge_published"):
        assert scores.benchmarks[name].outcomes == {"scored": 3}
        assert [row.id for row in read_rows(tmp_path / "results", name)] == list(PAGES)


def test_a_judge_that_does_not_work_ends_all_while_an_answer_is_awaited_and_no_answer_is_lost(
    local_ray, pages, tmp_path, server
):
    folder, refused, asked = many(pages, tmp_path / "many", 6), threading.Event(), []

    def reply(body):
        if is_judge(body):
            refused.set()
            return 401, "no such key"
        asked.append(body)
        if len(asked) == 3:
            refused.wait(60)
            return HANG
        return PAGES["page0"]

    server.reply = reply
    job = job_of(folder, tmp_path, server, "wcgb", "wcgb_judge")
    with pytest.raises(EndpointError, match=r"/v1 refuses j: .*no such key"):
        main(job)
    assert len(asked) == 3
    assert len(server.seen) == 3 + 1
    server.reply = lambda body: json.dumps(dict.fromkeys(ASPECTS, 7)) if is_judge(body) else PAGES["page0"]
    assert main(job).benchmarks["wcgb_judge"].outcomes == {"scored": 6}
    assert len(server.seen) == 4 + 4 + 6  # what was not answered, then what was not judged


def many(pages, folder, num):
    """A folder with copies of a page, whose screenshots differ in one pixel: what is asked alike is asked once."""
    folder.mkdir()
    for number in range(num):
        picture = Image.open(pages / "page0.png").convert("RGB")
        picture.putpixel((0, 0), (number, 0, 0))
        picture.save(folder / f"n{number}.png")
        (folder / f"n{number}.html").write_text(PAGES["page0"])
    return folder


class Patient:
    """Scores nothing until all answers are written."""

    def __init__(self, folders):
        self.sign, self.pictures = folders.files / "written", folders.pictures

    def score(self, sample, text):
        self.pictures.mkdir(parents=True, exist_ok=True)
        (self.pictures / f"{sample.id}.png").touch()
        return Verdict(sample.id, "scored" if appears(self.sign) else "failed", {"overall": 10.0}, "")

    def close(self):
        pass


def test_no_answer_waits_for_a_scorer(local_ray, pages, tmp_path, server, monkeypatch):
    folder = many(pages, tmp_path / "many", 12)

    def reply(body):
        if len(server.seen) == 12:
            (folder / "written").touch()
        return PAGES["page0"]

    server.reply = reply
    monkeypatch.setitem(BENCHMARKS, "wcgb", replace(BENCHMARKS["wcgb"], scorer=Patient))
    job = job_of(folder, tmp_path, server, "wcgb")
    assert main(job).benchmarks["wcgb"].outcomes == {"scored": 12}


def test_killed_while_it_scores_it_renders_nothing_again_that_has_a_verdict(local_ray, pages, tmp_path, server):
    folder = many(pages, tmp_path / "many", 8)
    job, results = job_of(folder, tmp_path, server, "wcgb"), tmp_path / "results"
    rendered = folders_of(job, "wcgb").pictures

    def reply(body):
        number = len(server.seen)
        if number == 8:
            return HANG
        if number >= 4:
            assert all(appears(rendered / f"n{done}.png") for done in range(2))
            time.sleep(0.2)
        return PAGES["page1"]

    server.reply = reply
    process = start(job, tmp_path, local_ray)
    wait_until(process, lambda: len(verdicts(results)) >= 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    known = verdicts(results)
    assert len(known) < 8
    pictures = {name: rendered / f"{name}.png" for name in known}
    before = {name: path.stat().st_mtime_ns for name, path in pictures.items()}
    server.released.set()
    server.reply = PAGES["page1"]
    scores = main(job)
    assert scores.benchmarks["wcgb"].outcomes == {"scored": 8}
    assert {name: path.stat().st_mtime_ns for name, path in pictures.items()} == before
    assert {name: entry for name, entry in verdicts(results).items() if name in known} == known


def test_a_machine_that_is_lost_takes_no_answer_and_no_verdict_with_it(cluster, pages, tmp_path, server):
    folder, lost = many(pages, tmp_path / "many", 8), threading.Event()

    def reply(body):
        if len(server.seen) > 4:
            lost.wait(60)
        return PAGES["page1"]

    server.reply = reply
    job = job_of(folder, tmp_path, server, "wcgb")
    process = start(job, tmp_path, cluster.address)
    (leaving,) = cluster.worker_nodes
    wait_until(process, lambda: verdicts(tmp_path / "results"))
    assert all(map(scorers_on, cluster.list_all_nodes())), "a machine has no scorer"
    cluster.remove_node(leaving, allow_graceful=False)
    lost.set()
    assert process.wait(120) == 0
    assert read_scores(tmp_path / "results").benchmarks["wcgb"].outcomes == {"scored": 8}
    assert len(verdicts(tmp_path / "results")) == 8


def scorers_on(node):
    """The processes on a machine that score."""
    (raylet,) = node.all_processes["raylet"]
    return [one for one in psutil.Process(raylet.process.pid).children() if "Scorer" in " ".join(one.cmdline())]


def appears(path):
    """Whether there is such a file within half a minute."""
    deadline = time.monotonic() + 30
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return path.exists()


def verdicts(results):
    """The verdicts on WCGB's pages that are written down."""
    return next((Journal(path).entries for path in results.glob("verdicts-wcgb-*.jsonl")), {})


def start(job, folder, ray_address):
    """The evaluation in a process of its own."""
    file = folder / "job.json"
    file.write_text(job.model_dump_json())
    return subprocess.Popen(
        [sys.executable, "-m", "ray_jobs.benchmark", str(file)], env={**os.environ, "RAY_ADDRESS": ray_address},
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def wait_until(process, happened):
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)


def test_screenshots_alone_are_judged_and_compared_by_their_pixels(local_ray, pages, tmp_path, server):
    folder = tmp_path / "screenshots"
    folder.mkdir()
    for name in PAGES:
        (folder / f"{name}.png").write_bytes((pages / f"{name}.png").read_bytes())
    answers = [PAGES["page0"], "I cannot see a page.", "<html></html>"]

    def reply(body):
        if body["messages"][0]["role"] == "system":
            return json.dumps(dict.fromkeys(ASPECTS, 7))
        return answers[shown(body)]

    server.reply = reply
    scores = main(job_of(folder, tmp_path, server, "wcgb", "wcgb_judge"))
    computed, judged = scores.benchmarks["wcgb"], scores.benchmarks["wcgb_judge"]
    assert "pixels alone" in computed.title
    assert [figure.name for figure in computed.figures] == ["similarity of pixels", "render failed"]
    assert computed.figures[0].value == pytest.approx(10 / 3)
    assert computed.figures[1].value == pytest.approx(1 / 3)
    assert judged.figures[0].value == pytest.approx(14 / 3)


@pytest.fixture(scope="module")
def public(pages, tmp_path_factory):
    """By benchmark, a folder of tiny files in the public layout."""
    folders = {name: tmp_path_factory.mktemp(name) for name in [*FILES, "design2code", IN_THE_WILD.name, COCO.name]}
    for name, (write, _) in FILES.items():
        write(folders[name])
    (folders["design2code"] / "1.html").write_text(PAGES["page0"])
    (folders["design2code"] / "1.png").write_bytes((pages / "page0.png").read_bytes())
    (folders["design2code"] / "rick.jpg").write_bytes(png(form="JPEG"))
    for variant in (IN_THE_WILD, COCO):
        write_llava_bench(folders[variant.name], variant)
    folders["wcgb"] = pages
    return folders | {name: folders[one.answers_of] for name, one in BENCHMARKS.items() if one.answers_of}


def reply_to_anything(body):
    """As a model that writes one page, says yes and A, and judges by what it is asked for."""
    text = json.dumps(body["messages"])
    if "answer_1" in text:
        return json.dumps({"answer_1": 8, "answer_2": 4})
    if "ten aspects" in text:
        return json.dumps(dict.fromkeys(ASPECTS, len(body["model"])))
    if "Two students" in text or "Think aloud" in text:
        return "The answer is B."
    return PAGES["page1"] if "HTML" in text else "Yes" if "yes or no" in text or "Is " in text else "A"


def test_killed_while_it_asks_everything_it_goes_on(local_ray, public, tmp_path, server):
    assert public.keys() == BENCHMARKS.keys()

    def begun():
        return any(path.stat().st_size for path in (tmp_path / "results").glob("answers-mme-*.jsonl"))

    # The model falls silent then, so that the kill comes before the end however late it is.
    server.reply = lambda body: HANG if body["model"] == "m" and begun() else reply_to_anything(body)
    job = job_at(public, tmp_path, server, judges=("j", "other"))
    process = start(job, tmp_path, local_ray)
    wait_until(process, begun)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = sum(body["model"] == "m" for body in server.seen)
    server.reply = reply_to_anything
    scores = main(job)
    assert scores.benchmarks.keys() == public.keys()
    assert all(benchmark.num and benchmark.figures for benchmark in scores.benchmarks.values())
    of_model = Counter(json.dumps(body) for body in server.seen if body["model"] == "m")
    assert before < sum(of_model.values())
    # What several samples ask alike is asked once each; what was on its way when it was killed may be asked once more.
    num = sum(benchmark.num for name, benchmark in scores.benchmarks.items() if not BENCHMARKS[name].answers_of)
    assert sum(of_model.values()) <= num + 1
    assert sum(benchmark.outcomes.get("unjudged", 0) for benchmark in scores.benchmarks.values()) == 0
    judged = {figure.name: figure.value for figure in scores.benchmarks["wcgb_judge"].figures}
    assert judged["overall"] == pytest.approx((len("j") + len("other")) / 2)


def test_more_engines_than_the_cluster_holds_are_refused_before_one_is_started(local_ray, pages, tmp_path, server):
    job = changed(job_of(pages, tmp_path, server, "wcgb"), num_workers=9, start_seconds=0)
    told = r"^9 engines with 0\.5 CPUs each do not fit on the cluster: it holds 4, for it has 2 CPUs on 1 machine"
    with pytest.raises(ValueError, match=told):
        main(job)
    assert not server.seen


def test_a_bad_picture_costs_no_engine(pages, tmp_path, server):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "a.html").write_text("<html></html>")
    (folder / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"a\.png: image does not decode"):
        main(job_of(folder, tmp_path, server, "wcgb"))
    (folder / "a.png").unlink()
    with pytest.raises(ValueError, match="a has only one of its two files"):
        main(job_of(folder, tmp_path, server, "wcgb"))
    assert not server.seen


def test_screenshots_without_the_html_that_scores_need_cost_no_engine(pages, tmp_path, server):
    folder = tmp_path / "screenshots"
    folder.mkdir()
    (folder / "page0.png").write_bytes((pages / "page0.png").read_bytes())
    with pytest.raises(ValueError, match=r"wcgb_design2code: .* holds screenshots without their HTML"):
        main(job_of(folder, tmp_path, server, "wcgb", "wcgb_design2code"))
    assert not server.seen


def test_every_benchmark_says_what_to_fetch():
    assert all(benchmark.fetch.startswith(("fetch ", "name ")) for benchmark in BENCHMARKS.values())


def test_a_picture_of_the_wrong_mode_is_fine(tmp_path):
    Image.new("RGBA", (90, 70)).save(tmp_path / "a.png")
    (tmp_path / "a.html").write_text("<html></html>")
    (sample,) = BENCHMARKS["wcgb"].load(tmp_path)
    assert sample.facts["viewport"] == {"width": 90, "height": 70}
