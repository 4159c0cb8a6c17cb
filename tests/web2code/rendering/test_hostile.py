import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from PIL import Image
from playwright.sync_api import Error, sync_playwright

from tests.web2code.rendering.canary import MARK, Canary
from tests.web2code.rendering.hostile_pages import COSTLY, LARGEST, LEAVING, ODD, REACHING, SCRIPTED, TOO_LARGE
from web2code.config import Viewport
from web2code.rendering import Browsers, Limits, Snapshot, find_chromium
from web2code.rendering.browser import Browser
from web2code.rendering.stylesheets import with_local_stylesheets
from web2code.rendering.watchdog import Watchdog, resident_megabytes

VIEWPORT = Viewport(width=400, height=300)
# Shorter where pages last for ever, so that the suite does not.
HASTE = Limits(seconds=2.0)
# What is over by itself: the kill, and a machine that has other work.
LATE_SECONDS = 10.0
NAMED = re.compile(
    r"the page (took more than (2|10) s|used more than 1500 MB|has more than 50000 elements|crashed Chromium"
    r"|navigated away)|the page's font names have more than 10000000 characters"
    r"|the document is larger than 2000000 bytes"
)
GROUPS = {
    "reaching": REACHING,
    "scripted": SCRIPTED,
    "leaving": LEAVING,
    "costly": COSTLY,
    "odd": ODD,
    "largest": LARGEST,
    "too large": TOO_LARGE,
}
PAGES = {f"{group}: {name}": page for group, pages in GROUPS.items() for name, page in pages.items()}
INNOCENT = """<!doctype html><html lang=en><title>Innocent</title><style title=own>h1{color:#246}
#badge{position:fixed;right:0;bottom:0;background:gold}@keyframes k{from{margin:9px}}#moving{animation:k 9s}</style>
<h1>Plain words</h1><p id=moving>with a <a href=x>link</a><ol><li>one<li>two</ol><input autofocus value=abc>
<table border><tr><td>1<td>2</table><progress></progress><div style='height:500px;width:900px'>long</div>
<svg width=9 height=9><circle r=9 /></svg><p id=badge>badge</p>"""


@dataclass(frozen=True)
class Seen:
    """What came of a hostile page, how long it took, and the innocent page in the same browser after it."""

    snapshot: Snapshot
    seconds: float
    after: Snapshot


@dataclass(frozen=True)
class Aftermath:
    pages: dict[str, Seen]
    innocent: Snapshot
    alarms: list[str]
    downloads: list[str]
    processes: list[str]


def named(*groups):
    return [name for name in PAGES if name.partition(":")[0] in groups]


def browser_processes():
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "chrom" in child.name() and child.status() != psutil.STATUS_ZOMBIE]


def main_process():
    (browser,) = [process for process in browser_processes() if "--type=" not in " ".join(process.cmdline())]
    return browser


def holding(folder, mark):
    """Files below a folder whose content holds a text."""
    found = []
    for path in Path(folder).rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and mark.encode() in path.read_bytes():
                found.append(str(path))
    return found


def meet(pool: Browsers, page: str | Callable[[], str], fill: Callable[[str], str]) -> Seen:
    html = fill(page if isinstance(page, str) else page())
    began = time.monotonic()
    snapshot = pool.submit(html).result(timeout=120)
    seconds = time.monotonic() - began
    return Seen(snapshot, seconds, pool.submit(INNOCENT).result(timeout=120))


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory):
    """All the pages rendered, by two browsers, each page followed by the innocent one."""
    canary = Canary(tmp_path_factory.mktemp("canary"))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as environment:
        environment.setenv("TMPDIR", folder)
        environment.setenv("PATH", f"{canary.programs}:{os.environ['PATH']}")

        def visit(names):
            limits = HASTE if set(names) <= set(named("costly")) else Limits()
            with Browsers(1, VIEWPORT, limits=limits) as pool:
                innocent = pool.submit(INNOCENT).result(timeout=120)
                pages = {name: meet(pool, PAGES[name], lambda html, n=name: canary.fill(n, html)) for name in names}
                return innocent, pages, holding(folder, MARK)

        with ThreadPoolExecutor(2) as threads:
            cheap, costly = named(*set(GROUPS) - {"costly"}), named("costly")
            parts = list(threads.map(visit, [cheap[::2], cheap[1::2], costly[::2], costly[1::2]]))
        time.sleep(0.5)  # for whatever still is on its way
    innocents, pages, downloads = zip(*parts, strict=True)
    assert len(set(innocents)) == 1
    yield Aftermath(
        {name: seen for part in pages for name, seen in part.items()},
        innocents[0],
        canary.alarms(),
        [path for part in downloads for path in part],
        [" ".join(process.cmdline())[:200] for process in browser_processes()],
    )
    canary.close()


@pytest.mark.parametrize("name", PAGES)
def test_every_page_ends_in_time_with_an_outcome_and_leaves_nothing_to_the_next(aftermath, name):
    seen = aftermath.pages[name]
    assert seen.seconds < (HASTE if name in named("costly") else Limits()).seconds + LATE_SECONDS
    if seen.snapshot.outcome == "rendered":
        assert Image.open(io.BytesIO(seen.snapshot.png)).size == (seen.snapshot.width, seen.snapshot.height)
    else:
        assert NAMED.fullmatch(seen.snapshot.reason)
    assert seen.after == aftermath.innocent


def test_no_page_reached_a_server_a_file_or_another_program(aftermath):
    assert aftermath.alarms == []


def test_no_page_left_a_download(aftermath):
    assert aftermath.downloads == []


def test_no_process_outlived_the_browsers(aftermath):
    assert aftermath.processes == []


@pytest.mark.parametrize("name", named("reaching", "scripted", "odd", "largest"))
def test_what_is_only_strange_is_drawn(aftermath, name):
    assert (aftermath.pages[name].snapshot.outcome, aftermath.pages[name].snapshot.reason) == ("rendered", "")


@pytest.mark.parametrize("name", named("reaching", "scripted", "leaving"))
def test_no_script_has_painted_and_no_file_is_seen(aftermath, name):
    snapshot = aftermath.pages[name].snapshot
    if snapshot.outcome == "rendered":
        colours = Image.open(io.BytesIO(snapshot.png)).convert("RGB").getcolors(1_000_000)
        assert (0, 255, 0) not in {colour for _, colour in colours}


@pytest.mark.parametrize("name", named("leaving"))
def test_a_page_that_leaves_is_not_judged_by_where_it_went(aftermath, name):
    snapshot = aftermath.pages[name].snapshot
    assert snapshot.reason in ("the page navigated away", "")


@pytest.mark.parametrize("name", named("too large"))
def test_a_document_above_the_size_limit_is_refused(aftermath, name):
    assert aftermath.pages[name].snapshot == Snapshot("failed", "the document is larger than 2000000 bytes")


def test_the_canary_hears_and_sees(tmp_path):
    canary = Canary(tmp_path)
    assert canary.alarms() == []
    for address in (("127.0.0.1", canary.port), ("::1", canary.port))[: len(canary.servers)]:
        socket.create_connection(address).close()
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", canary.port))
    canary.file.read_text()
    subprocess.run([canary.programs / "xdg-open", "x"], check=True)
    deadline = time.monotonic() + 5
    while len(canary.connections) < len(canary.servers) and time.monotonic() < deadline:
        time.sleep(0.01)
    kinds = [alarm.split()[0] for alarm in canary.alarms()]
    canary.close()
    assert kinds == ["connection"] * len(canary.servers) + ["datagram", "the", f"{canary.programs}/xdg-open"]


def test_the_same_pages_reach_the_canary_in_a_browser_as_it_comes(tmp_path):
    canary = Canary(tmp_path)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), chromium_sandbox=os.geteuid() != 0)
        page = browser.new_page(java_script_enabled=False)
        for name, html in REACHING.items():
            if "pdf" in name or "chrome" in name or "download" in name or "programs" in name:
                continue
            with contextlib.suppress(Error):
                page.set_content(canary.fill(name, html), timeout=3000)
        time.sleep(1)
        browser.close()
    reached = {name for name in REACHING if canary.fill(name, "$URL").split("/")[-2] in canary.paths}
    canary.close()
    assert len(reached) >= 35, f"only {sorted(reached)}"


def test_a_page_that_takes_too_long_is_named_and_the_next_renders():
    with Browsers(1, VIEWPORT, limits=Limits(seconds=0.0)) as pool:
        slow = pool.submit(INNOCENT).result(timeout=60)
        again = pool.submit("x" * 2_000_001).result(timeout=60)
    assert slow == Snapshot("failed", "the page took more than 0 s")
    assert again == Snapshot("failed", "the document is larger than 2000000 bytes")


def test_a_page_that_takes_too_much_memory_is_named():
    endless = "<iframe srcdoc='<meta http-equiv=refresh content=0>'></iframe>" + "<b>a</b>" * 40_000
    with Browsers(1, VIEWPORT, limits=Limits(megabytes=50)) as pool:
        assert pool.submit(endless).result(timeout=60) == Snapshot("failed", "the page used more than 50 MB")


def test_memory_is_that_of_all_processes():
    hoard = "import sys; hoard = b'x' * 200_000_000; print('ready', flush=True); sys.stdin.read()"
    before = resident_megabytes(os.getpid())
    with subprocess.Popen([sys.executable, "-c", hoard], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert resident_megabytes(child.pid) == pytest.approx(210, abs=15)
        assert resident_megabytes(os.getpid()) - before == pytest.approx(210, abs=30)
    assert resident_megabytes(child.pid) == 0


def test_memory_of_the_driver_counts_and_the_browser_is_ended():
    hoard = "import sys; hoard = b'x' * 200_000_000; print('ready', flush=True); sys.stdin.read()"
    with (
        subprocess.Popen(["sleep", "60"]) as browser,
        subprocess.Popen([sys.executable, "-c", hoard], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as driver,
    ):
        driver.stdout.readline()
        with Watchdog(browser.pid, driver.pid, 0.0, Limits(megabytes=100)) as watchdog:
            browser.wait(timeout=20)
        assert watchdog.reason == "the page used more than 100 MB"
        assert driver.poll() is None


def test_the_driver_is_the_process_above_the_browser():
    browser = Browser(VIEWPORT, True, "page", Limits(), {})
    assert psutil.Process(browser.driver).ppid() == os.getpid()
    assert browser.pid in {below.pid for below in psutil.Process(browser.driver).children(recursive=True)}
    browser.close()


def test_long_font_names_that_variables_make_of_one_are_refused():
    def page(num):
        styles = f"<style>:root{{--f:'{'z' * 50_000}'}}i{{font-family:var(--u),var(--f)}}</style>"
        return styles + "".join(f"<i style='--u:x{n}'>a</i>" for n in range(num))

    with Browsers(1, VIEWPORT, limits=Limits(seconds=60.0)) as pool:
        refused = Snapshot("failed", "the page's font names have more than 10000000 characters")
        assert pool.submit(page(300)).result(timeout=60) == refused
        assert pool.submit(page(300).replace("i{", "i::before{content:'x';")).result(timeout=60) == refused
        assert pool.submit(page(20)).result(timeout=60).outcome == "rendered"


def test_a_page_with_too_many_elements_fails_only_where_elements_are_asked_for():
    many = "<i>a</i>" * 100
    limits = Limits(elements=100)
    with Browsers(1, VIEWPORT, limits=limits) as pool:
        assert pool.submit(many).result(timeout=60) == Snapshot("failed", "the page has more than 100 elements")
        # 63 elements with a box each, and the texts and their own elements before each.
        crowded = "<style>b::before{content:'x'}</style>" + "<b></b>" * 60
        assert pool.submit(crowded).result(timeout=60) == Snapshot("failed", "the page has more than 100 elements")
        assert pool.submit("<i>a</i>" * 20).result(timeout=60).outcome == "rendered"
    with Browsers(1, VIEWPORT, layout=False, limits=limits) as pool:
        assert pool.submit(many).result(timeout=60).outcome == "rendered"


def test_a_page_whose_process_crashes_is_named_at_once_and_the_next_renders():
    with Browsers(1, VIEWPORT) as pool:
        expected = pool.submit(INNOCENT).result(timeout=60)
        crashing = pool.submit("<span>a</span>" * 40_000)
        began = time.monotonic()
        while time.monotonic() < began + 0.3:
            for process in browser_processes():
                with contextlib.suppress(psutil.Error):
                    if "--type=renderer" in process.cmdline():
                        os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.05)
        assert crashing.result(timeout=60) == Snapshot("failed", "the page crashed Chromium")
        assert time.monotonic() - began < 5
        assert pool.submit(INNOCENT).result(timeout=60) == expected


def test_more_than_half_of_a_limit_is_a_strain():
    hoard = "import sys; hoard = b'x' * 200_000_000; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hoard], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        strained = []
        for limits, seconds in (
            (Limits(seconds=60.0, megabytes=1_000), 0.6),
            (Limits(seconds=60.0, megabytes=300), 0.6),
            (Limits(seconds=4.0), 2.1),
        ):
            with Watchdog(child.pid, child.pid, 0.0, limits) as watchdog:
                time.sleep(seconds)
            assert watchdog.reason == ""
            strained.append(watchdog.strained)
        assert strained == [False, True, True]
        with Watchdog(child.pid, child.pid, 0.0, Limits(megabytes=100)) as watchdog:
            child.wait(timeout=20)
        assert watchdog.reason == "the page used more than 100 MB"


def test_a_browser_that_was_strained_is_replaced():
    lasting = "<b>a</b>" * 100_000
    with Browsers(1, VIEWPORT, layout=False, limits=Limits(seconds=60.0)) as pool:
        browser = main_process()
        driver = browser.ppid()
        idle = peak = resident_megabytes(driver)
        answer = pool.submit(lasting)
        while not answer.done():
            peak = max(peak, resident_megabytes(driver))
            time.sleep(0.02)
        assert pool.submit(INNOCENT).result(timeout=60).outcome == "rendered"
        assert browser.is_running()
    strict = Limits(seconds=60.0, megabytes=int(1.4 * (peak - idle)))
    with Browsers(1, VIEWPORT, layout=False, limits=strict) as pool:
        browser = main_process()
        assert pool.submit(lasting).result(timeout=60).outcome == "rendered"
        assert pool.submit(INNOCENT).result(timeout=60).outcome == "rendered"
        assert not browser.is_running()


def test_a_cancelled_document_does_not_end_the_browser():
    with Browsers(1, VIEWPORT, limits=Limits(seconds=60.0)) as pool:
        first = pool.submit("<b>a</b>" * 10_000)
        cancelled = pool.submit(INNOCENT)
        assert cancelled.cancel()
        assert first.result(timeout=60).outcome == "rendered"
        assert pool.submit(INNOCENT).result(timeout=60).outcome == "rendered"


def test_documents_of_nothing_but_links_do_not_grow():
    link = "<link href=https://a.example/bootstrap/3.3.7/css/bootstrap.css>"
    began = time.monotonic()
    assert len(with_local_stylesheets(link * 30_000)) < 20_000_000
    assert len(with_local_stylesheets("<link " * 300_000)) == 1_800_000
    assert time.monotonic() - began < 2
