"""A page that ended its browser has another try, for which the process has nothing else to draw."""

import contextlib
import signal
import threading
import time

import psutil
import pytest

from tests.web2code.rendering.test_hostile import main_process
from web2code.config import Viewport
from web2code.rendering import Browsers, Limits
from web2code.rendering.turns import Turns

VIEWPORT = Viewport(width=200, height=100)
PAGE = "<html><body><h1>Words</h1></body></html>"
ENDLESS = "<style>" + "".join(f":has(b ~ i:nth-child({n + 1}n+1) ~ b) b{{color:red}}" for n in range(200)) + "</style>"
ENDLESS += "<div>" * 50 + "<b>x</b><i>y</i>" * 20_000


@contextlib.contextmanager
def browsers(retry, seconds=2.0, num=1):
    with Browsers(num, VIEWPORT, layout=False, limits=Limits(seconds=seconds), retry=retry) as pool:
        yield pool


@pytest.mark.parametrize(("retry", "outcome"), [(True, "rendered"), (False, "failed")])
@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_a_page_whose_browser_stood_still_or_died_by_chance_is_drawn_after_all(retry, outcome, how):
    with browsers(retry) as pool:
        main_process().send_signal(how)
        snapshot = pool.submit(PAGE).result(timeout=60)
        assert snapshot.outcome == outcome
        assert bool(snapshot.reason) == (outcome == "failed")
        assert pool.submit(PAGE).result(timeout=60).outcome == "rendered"


def test_a_page_that_takes_too_long_both_times_has_failed():
    with browsers(True, seconds=1.0) as pool:
        began = time.monotonic()
        snapshot = pool.submit(ENDLESS).result(timeout=60)
        assert (snapshot.outcome, snapshot.reason) == ("failed", "the page took more than 1 s")
        assert time.monotonic() - began >= 2.0
        assert pool.submit(PAGE).result(timeout=60).outcome == "rendered"


def test_two_that_fail_at_once_wait_for_each_other():
    with browsers(True, num=2) as pool:
        for process in psutil.Process().children(recursive=True):
            if "chrom" in process.name() and "--type=" not in " ".join(process.cmdline()):
                process.send_signal(signal.SIGSTOP)
        snapshots = [pool.submit(PAGE) for _ in range(4)]
        assert [snapshot.result(timeout=60).outcome for snapshot in snapshots] == ["rendered"] * 4


def test_whoever_is_alone_has_nobody_beside_them():
    turns, running, seen = Turns(), set(), []
    lock = threading.Lock()

    def take(name, turn):
        for _ in range(20):
            with turn():
                with lock:
                    running.add(name)
                    seen.append(frozenset(running))
                time.sleep(0.001)
                with lock:
                    running.discard(name)

    threads = [threading.Thread(target=take, args=(f"together {n}", turns.together)) for n in range(3)]
    threads += [threading.Thread(target=take, args=(f"alone {n}", turns.alone)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(seen) == 100
    assert all(len(names) == 1 for names in seen if any(name.startswith("alone") for name in names))
    assert any(len(names) > 1 for names in seen)
