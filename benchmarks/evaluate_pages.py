"""WCGB from screenshots to scores: the whole program on Ray, and as Web2Code's scripts do it.

The program renders references where no evaluation before has done so; the scripts are given them. Needs a finished
`make demo`.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.arms import ROUNDS, Arm, apart, report
from benchmarks.demo import demo_model
from benchmarks.render_pages import published as render_as_published
from web2code.config import BenchmarkJob, EngineConfig, Where, digest_tree
from web2code.evaluation.answers import extract_html
from web2code.evaluation.results import read_rows
from web2code.modelling.templates import CODE_PROMPT

# Published are four of each of the script's six threads; what pages take beside the starts, the second hundred shows.
NUM, NUM_PUBLISHED, NUM_MORE, MAX_NEW_TOKENS = 100, 24, 200, 3000


def ours(model: Path, num: int, home: str = "") -> tuple[float, list[str]]:
    """Seconds from the program's start to the scores on disk, and the answers; `home` keeps the references."""
    began = time.perf_counter()
    import ray

    from ray_jobs import benchmark

    data = str(Path("data").resolve())
    with tempfile.TemporaryDirectory() as out:
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        job = BenchmarkJob(
            where=Where(home=home or out, data_dir=data, out=out, num_workers=1, folders={"wcgb": data}),
            name="demo", checkpoint="demo", engine=EngineConfig(model=str(model)), limit=num,
            benchmarks={"wcgb": digest_tree(Path(data))},
        )  # fmt: skip
        scores = benchmark.main(job)
        seconds = time.perf_counter() - began
        ray.shutdown()
        assert scores.benchmarks["wcgb"].num == num
        return seconds, [row.answer for row in read_rows(Path(out), "wcgb")]


def published(model: Path) -> tuple[float, float, list[str]]:
    """A call for each image, then a browser for each page with its seconds of waiting, six at once; no scoring.

    Seconds of loading and seconds of the pages, and the answers.
    """
    began = time.perf_counter()
    from web2code.data.pages import read_pages
    from web2code.evaluation.engines.engine import Request
    from web2code.evaluation.engines.transformers import OwnCheckpoint

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
        return loading, time.perf_counter() - began, answers


def main() -> None:
    """All in turns."""
    with tempfile.TemporaryDirectory() as home:
        measure(demo_model(), home)


def measure(model: Path, home: str) -> None:
    """The references of all pages are there before the first round."""
    taken = f"as published: {NUM_PUBLISHED} pages, taken {NUM} / {NUM_PUBLISHED} times"
    whole, more = Arm(taken), Arm(f"{taken}, without loading")
    ours_alone, ours_again = Arm("`web2code evaluate`"), Arm("`web2code evaluate`, references rendered before")
    ours_more = Arm(f"`web2code evaluate`, references rendered before: {NUM_MORE} pages less {NUM}")
    apart(partial(ours, model, NUM_MORE, home))
    for number in range(ROUNDS):
        _, memory, (loading, seconds, expected) = apart(partial(published, model))
        seconds *= NUM / NUM_PUBLISHED
        add(whole, loading + seconds, memory)
        add(more, seconds, memory)
        for arm, place in ((ours_alone, ""), (ours_again, home)):
            _, memory, (took, given) = apart(partial(ours, model, NUM, place))
            add(arm, took, memory)
            assert given[:NUM_PUBLISHED] == expected, "the answers differ"
        _, memory, (longer, _) = apart(partial(ours, model, NUM_MORE, home))
        add(ours_more, longer - took, memory)
        found = f"{ours_alone.seconds[-1]:.2f}, {took:.2f} with references, {longer:.2f} s for {NUM_MORE}"
        print(f"round {number + 1}  {whole.seconds[-1]:.2f} s as published, ours {found}", flush=True)
    arms = {"published": whole, "alone": ours_alone, "again": ours_again}
    report("WCGB from end to end", NUM, "pages", arms, "Starts of programs and of Ray are counted; answers are equal.")
    report("WCGB, each further hundred pages", NUM, "pages", {"published": more, "ours": ours_more})
    print(
        f"{whole.median / ours_alone.median:.1f} times as fast, {whole.median / ours_again.median:.1f} with references "
        f"rendered before, {more.median / ours_more.median:.1f} for each further hundred"
    )


def add(arm: Arm, seconds: float, memory: float) -> None:
    """One more round."""
    arm.seconds.append(seconds)
    arm.gigabytes.append(memory)


if __name__ == "__main__":
    main()
