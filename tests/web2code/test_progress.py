import re
import subprocess
import sys

import pytest

from web2code import progress
from web2code.progress import parse, report
from web2code.progress_bars import ProgressBars


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.setattr(progress, "_last_line", {})


def test_what_steps_without_a_line_measured_goes_with_the_next_line(capsys):
    for step in range(1, 5):
        report("instruct", step, 4, f"step {step}", {"loss": 4.0 - step})
    lines = [parse(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["done"] for line in lines] == [1, 4]
    told = [[(step["step"], step["loss"]) for step in line["metrics"]] for line in lines]
    assert told == [[(1, 3.0)], [(2, 2.0), (3, 1.0), (4, 0.0)]]


def test_a_stage_that_measures_nothing_tells_nothing(capsys):
    report("judge", 1, 2, "batches")
    assert "metrics" not in parse(capsys.readouterr().out)


def test_lines_of_several_threads_stay_whole():
    code = (
        "import sys; from concurrent.futures import ThreadPoolExecutor; from web2code.progress import report\n"
        "sys.setswitchinterval(1e-6)\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    list(pool.map(lambda number: report(f'judge {number}', 1, 1), range(4000)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = [parse(line) for line in done.stdout.splitlines()]
    assert {line["stage"] for line in found if line} == {f"judge {number}" for number in range(4000)}


def test_a_plain_line_tells_the_time_that_remains(capsys, monkeypatch):
    now = iter(range(0, 1000, 10))
    bars = ProgressBars()
    assert bars.plain
    bars.bars.get_time = lambda: next(now)
    for done in (1, 2, 3, 4):
        bars.show(f'@progress {{"stage": "instruct", "done": {done}, "total": 16, "text": "loss 1.000", "time": 0}}')
    assert "instruct: 4/16 loss 1.000 · ETA 0:" in capsys.readouterr().out


def test_on_a_narrow_terminal_the_text_gives_way_to_the_figures(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    bars = ProgressBars()
    for done in (1, 250):
        text = "loss 1.234 · 12.3k tokens/s · padding 3%"
        bars.show(f'@progress {{"stage": "instruct", "done": {done}, "total": 1000, "text": "{text}", "time": 0}}')
    with bars.bars.console.capture() as shown:
        bars.bars.console.print(bars.bars.get_renderable())
    line = re.sub(r"\x1b\[[0-9;]*m", "", shown.get())
    assert len(line.splitlines()) == 1
    assert " 250/1000 " in line
    assert "loss 1.234" in line
