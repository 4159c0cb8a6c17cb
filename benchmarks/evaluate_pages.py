"""WCGB from screenshots to scores: all at once on Ray, its parts alone, and as Web2Code's scripts do it.

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
from web2code.modelling.templates import CODE_PROMPT
from web2code.plan import home_folder

NUM, NUM_PUBLISHED = 100, 3


def evaluate(model: Path, out: str, engines: int = 1, scored: bool = True) -> tuple[float, float]:
    """Seconds from the start of the program, and the overall score; without `scored`, only answers are written."""
    import ray

    from ray_jobs import benchmark
    from web2code.evaluation.benchmarks import BENCHMARKS

    began = time.perf_counter()
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    data = Path("data").resolve()
    job = BenchmarkJob(
        where=Where(
            home=str(home_folder()), data_dir=str(data), out=out, num_workers=engines, folders={"wcgb": str(data)}
        ),
        name="demo", checkpoint="demo", engine=EngineConfig(model=str(model)), limit=NUM,
        benchmarks={"wcgb": digest_tree(data)},
    )  # fmt: skip
    if not scored:
        wcgb = BENCHMARKS["wcgb"]
        BENCHMARKS["wcgb"] = wcgb.__class__(
            **vars(wcgb) | {"scorer": None, "judge": lambda sample, text: benchmark.Verdict(sample.id, "unparsed")}
        )
    scores = benchmark.main(job)
    seconds = time.perf_counter() - began
    ray.shutdown()
    return seconds, scores.benchmarks["wcgb"].figures[0].value


def published(model: Path) -> tuple[float, float]:
    """A call for each image, then a browser for each page with its seconds of waiting; scoring is not counted."""
    from web2code.data.pages import read_pages
    from web2code.evaluation.engines.engine import Request
    from web2code.evaluation.engines.transformers import OwnCheckpoint

    began = time.perf_counter()
    checkpoint = OwnCheckpoint(str(model), "cpu")
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for row in read_pages("data", "eval")[:NUM_PUBLISHED]:
            request = Request(row["id"], (row["image"],), CODE_PROMPT, 3000)
            files.append(Path(folder) / f"{row['id']}.html")
            files[-1].write_text(extract_html(checkpoint.answer([request])[0]) or "")
        render_as_published(files)
    return (time.perf_counter() - began) * NUM / NUM_PUBLISHED, 0.0


def main() -> None:
    """All ways in turns."""
    model = demo_model()
    names = {
        "published": "as published, by that for 100 pages",
        "all": "answers, renderings and scores at once",
        "answers": "answers alone",
        "scores": "renderings and scores alone",
        "two": "at once, with two engines",
    }
    arms = {name: Arm(text) for name, text in names.items()}
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            ways = {
                "published": partial(published, model),
                "all": partial(evaluate, model, f"{folder}/all"),
                "answers": partial(evaluate, model, f"{folder}/scores", scored=False),
                "scores": partial(evaluate, model, f"{folder}/scores"),
                "two": partial(evaluate, model, f"{folder}/two", 2),
            }
            for name, way in ways.items():
                _, memory, (seconds, score) = apart(way)
                arms[name].seconds.append(seconds)
                arms[name].gigabytes.append(memory)
                print(f"round {number + 1}  {names[name]:<40} {seconds:7.2f} s  overall {score:.3f}", flush=True)
    report("WCGB", NUM, "pages", arms)
    print(
        f"{arms['published'].median / arms['all'].median:.1f} times the published procedure; at once takes "
        f"{arms['all'].median / max(arms['answers'].median, arms['scores'].median):.2f} of the slower part alone; two "
        f"engines are {arms['all'].median / arms['two'].median:.2f} times as fast as one"
    )


if __name__ == "__main__":
    main()
