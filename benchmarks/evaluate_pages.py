"""WCGB from screenshots to scores: the whole program on Ray, and as Web2Code's scripts do it.

Needs a finished `make demo`.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.arms import ROUNDS, Arm, apart, report
from benchmarks.generate_answers import demo_model
from benchmarks.render_pages import published as render_as_published
from web2code.config import BenchmarkJob, EngineConfig, Where, digest_tree
from web2code.evaluation.answers import extract_html
from web2code.evaluation.results import read_rows
from web2code.modelling.templates import CODE_PROMPT

NUM, NUM_PUBLISHED, MAX_NEW_TOKENS = 100, 3, 3000


def ours(model: Path) -> tuple[float, list[str]]:
    """Seconds from Ray's start to the scores on disk, and the answers."""
    import ray

    from ray_jobs import benchmark

    data = str(Path("data").resolve())
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        job = BenchmarkJob(
            where=Where(home=out, data_dir=data, out=out, num_workers=1, folders={"wcgb": data}),
            name="demo", checkpoint="demo", engine=EngineConfig(model=str(model)), limit=NUM,
            benchmarks={"wcgb": digest_tree(Path(data))},
        )  # fmt: skip
        scores = benchmark.main(job)
        seconds = time.perf_counter() - began
        ray.shutdown()
        assert scores.benchmarks["wcgb"].num == NUM
        return seconds, [row.answer for row in read_rows(Path(out), "wcgb")]


def published(model: Path) -> tuple[float, list[str]]:
    """A call for each image, then a browser for each page with its seconds of waiting; scoring is not counted."""
    from web2code.data.pages import read_pages
    from web2code.evaluation.engines.engine import Request
    from web2code.evaluation.engines.transformers import OwnCheckpoint

    began = time.perf_counter()
    checkpoint = OwnCheckpoint(str(model), "cpu")
    loading = time.perf_counter() - began
    answers, files = [], []
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        for row in read_pages("data", "eval")[:NUM_PUBLISHED]:
            request = Request(row["id"], (row["image"],), CODE_PROMPT, MAX_NEW_TOKENS)
            answers += checkpoint.answer([request])
            files.append(Path(folder) / f"{row['id']}.html")
            files[-1].write_text(extract_html(answers[-1]) or "")
        render_as_published(files)
        seconds = time.perf_counter() - began
    return loading + seconds * NUM / NUM_PUBLISHED, answers


def main() -> None:
    """Both in turns."""
    model = demo_model()
    arms = {
        "published": Arm(f"as published: {NUM_PUBLISHED} pages, taken {NUM} / {NUM_PUBLISHED} times"),
        "ours": Arm("`web2code evaluate`: answers, renderings and scores at once"),
    }
    for number in range(ROUNDS):
        given = {}
        for name, way in (("published", published), ("ours", ours)):
            _, memory, (seconds, given[name]) = apart(partial(way, model))
            arms[name].seconds.append(seconds)
            arms[name].gigabytes.append(memory)
            print(f"round {number + 1}  {name:<10} {seconds:7.2f} s", flush=True)
        assert given["published"] == given["ours"][:NUM_PUBLISHED], "the answers differ"
    report("WCGB from end to end", NUM, "pages", arms, "Starts of programs and of Ray are counted; answers are equal.")
    print(f"{arms['published'].median / arms['ours'].median:.1f} times as fast")


if __name__ == "__main__":
    main()
