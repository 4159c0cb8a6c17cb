import io
import os
import random
import signal
import socket
import tempfile
import threading
import time

import psutil
import pytest
from PIL import Image

from tests.web2code.rendering.documents import (
    DRIVEN_BY_SCROLLING,
    FADE_IN,
    LEAVING_TRACES,
    MOVING,
    PICTURE,
    PLAIN,
    framed,
)
from web2code.config import Viewport
from web2code.rendering import Browsers, Limits, chromium
from web2code.rendering import browser as browser_module

PAGE = (
    "<html><style>body{margin:0;background:#fff}div{background:#d33;width:100px;height:40px}</style>"
    "<body><div>Hello</div><input type=checkbox></body></html>"
)


@pytest.fixture(scope="module")
def browsers():
    with Browsers(2, Viewport(width=256, height=128)) as pool:
        yield pool


def render(pool, *htmls):
    return list(pool.render(htmls))


def pixel(snapshot, x, y):
    return Image.open(io.BytesIO(snapshot.png)).convert("RGB").getpixel((x, y))


def browser_processes(parent):
    children = psutil.Process(parent).children(recursive=True)
    return [child.pid for child in children if "chrom" in child.name() and "--type=" not in " ".join(child.cmdline())]


def test_pixels_and_boxes_of_a_page(browsers):
    (snapshot,) = render(browsers, PAGE)
    image = Image.open(io.BytesIO(snapshot.png)).convert("RGB")
    assert image.size == (256, 128)
    assert image.getpixel((90, 35)) == (0xDD, 0x33, 0x33)
    boxes = {element.tag: element for element in snapshot.elements}
    assert boxes["div"].box == (0, 0, 100, 40)
    assert boxes["div"].background == (0xDD, 0x33, 0x33, 1)
    assert boxes["#text"].text == "Hello"
    assert boxes["input"].input_type == "checkbox"


def test_a_tall_page_is_captured_in_full_up_to_a_limit(browsers):
    tall, endless = render(
        browsers, "<html><body><p style='height:500px'>a</p></body></html>", "<p style='height:99999px'>"
    )
    assert 500 <= tall.height < 600
    assert endless.height == 128 * browser_module.MAX_VIEWPORT_HEIGHTS


def test_repeated_renderings_have_the_same_bytes_and_order(browsers):
    pages = [PAGE.replace("100px", f"{width}px") for width in range(20, 140, 5)]
    first, second = render(browsers, *pages), render(browsers, *pages)
    assert first == second
    assert [next(e.box[2] for e in s.elements if e.tag == "div") for s in first] == list(range(20, 140, 5))


@pytest.mark.parametrize("name", sorted(MOVING))
def test_what_moves_or_loads_late_gives_the_same_bytes_each_time(browsers, name):
    snapshots = render(browsers, *[MOVING[name]] * 6)
    assert snapshots[0].outcome == "rendered"
    assert len(set(snapshots)) == 1


def test_a_page_is_seen_as_it_is_after_its_animations_and_with_its_pictures(browsers):
    faded, picture, revealed, frame = render(
        browsers, FADE_IN, PICTURE, DRIVEN_BY_SCROLLING["revealed"], framed(FADE_IN)
    )
    assert pixel(faded, 5, 5) == (255, 0, 0)
    assert pixel(picture, 5, 5) == (0, 255, 0)
    assert pixel(revealed, 200, 5) == (0xFF, 0xCC, 0)
    assert pixel(frame, 20, 20) == (255, 0, 0)


@pytest.mark.parametrize("name", sorted(LEAVING_TRACES))
def test_no_page_changes_how_the_next_one_is_drawn(name):
    with Browsers(1, Viewport(width=256, height=128)) as pool:
        expected, _, after = render(pool, PLAIN, LEAVING_TRACES[name], PLAIN)
    assert after == expected


def test_pages_give_the_same_in_any_order_and_company(browsers):
    pages = [PLAIN, PAGE, *MOVING.values(), *LEAVING_TRACES.values()]
    expected = dict(zip(pages, render(browsers, *pages), strict=True))
    shuffled = random.Random(0).sample(pages * 3, 3 * len(pages))
    assert [
        snapshot == expected[page] for page, snapshot in zip(shuffled, render(browsers, *shuffled), strict=True)
    ] == [True] * len(shuffled)


def test_a_page_reaches_nothing(browsers):
    connections = []
    canary = socket.create_server(("127.0.0.1", 0))

    def listen():
        while True:
            try:
                connections.append(canary.accept())
            except OSError:
                return

    threading.Thread(target=listen, daemon=True).start()
    host = f"127.0.0.1:{canary.getsockname()[1]}"
    url = f"http://{host}"
    hostile = [
        f"<img src='{url}/img' srcset='{url}/set 2x'><input type=image src='{url}/input'>",
        f"<link rel=stylesheet href='{url}/css'><style>@import '{url}/import';body{{background:url({url}/bg)}}</style>",
        f"<style>@font-face{{font-family:f;src:url({url}/font)}}</style><p style='font-family:f'>a",
        f"<iframe src='{url}/frame'></iframe><object data='{url}/object'></object><embed src='{url}/embed'>",
        f"<link rel=preconnect href='{url}'><link rel=prefetch href='{url}/a'>"
        f"<link rel=preload as=image href='{url}/b'><body background='{url}/body'>",
        f"<video poster='{url}/poster' src='{url}/video' autoplay></video><svg><use href='{url}/use#a' /></svg>",
        f'<script type=speculationrules>{{"prerender":[{{"urls":["{url}/rules"]}}]}}</script>a',
        f"<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; report-uri {url}/report\"><img src=x>",
        f"<img src='ftp://{host}/ftp'><img src='//{host}/relative'><iframe sandbox=allow-scripts "
        f"srcdoc=\"<script>fetch('{url}/sandbox')</script>\"></iframe>",
        f"<script>fetch('{url}/fetch')</script><body onload=\"location='{url}/onload'\">",
    ]
    away = [f"<meta http-equiv=refresh content='{seconds};url={url}/refresh'>" for seconds in (0, 1, 60)]
    snapshots = render(browsers, *hostile, *away, PAGE)
    time.sleep(0.5)  # for whatever still is on its way
    canary.close()
    assert connections == []
    assert [snapshot.outcome for snapshot in snapshots] == ["rendered"] * len(hostile) + ["failed"] * 3 + ["rendered"]
    assert {snapshot.reason for snapshot in snapshots[-4:-1]} == {"the page navigated away"}


def test_a_local_file_is_not_drawn(browsers, tmp_path):
    secret = tmp_path / "secret.png"
    Image.new("RGB", (256, 128), (0, 255, 0)).save(secret)
    (snapshot,) = render(browsers, f"<body style='margin:0'><img src='file://{secret}'></body>")
    colours = {colour for _, colour in Image.open(io.BytesIO(snapshot.png)).convert("RGB").getcolors(100_000)}
    assert (0, 255, 0) not in colours


def test_scripts_do_not_run(browsers):
    (snapshot,) = render(browsers, "<body>a<script>document.body.textContent = 'changed'; while (true) {}</script>")
    assert [element.text for element in snapshot.elements if element.tag == "#text"] == ["a"]


def test_scripts_do_not_run_in_a_sandboxed_frame_with_a_process_of_its_own(browsers):
    inner = "<body style='background:#f00'><script>document.body.style.background='#0f0'</script>"
    page = f'<body style="margin:0"><iframe frameborder=0 sandbox=allow-scripts srcdoc="{inner}"></iframe>'
    assert {pixel(snapshot, 30, 30) for snapshot in render(browsers, *[page] * 4)} == {(255, 0, 0)}


def test_only_what_can_be_seen_is_an_element(browsers):
    (snapshot,) = render(
        browsers,
        "<body>seen<p style='opacity:0'><b>faint</b></p><p style='visibility:hidden'>hidden</p><p hidden>gone</p>"
        "<p style='position:absolute;left:-9999px'>far</p><p style='position:absolute;left:9999px'>away</p>",
    )
    assert [element.text for element in snapshot.elements if element.text] == ["seen"]


@pytest.mark.parametrize(
    "page",
    [
        "",
        "just words",
        "a\0b",
        "a\ud800b",
        "<p style='height:1e30px'>",
        "<span>a</span>" * 5000,
        "<table><tr><td>" * 500,
    ],
)
def test_odd_documents_render(browsers, page):
    (snapshot,) = render(browsers, page)
    assert snapshot.outcome == "rendered"


def test_a_document_that_gets_no_load_event_is_drawn(browsers):
    page = "<img src=x><link rel=stylesheet href='javascript:0'><p style='background:url(javascript:0)'>a"
    assert {snapshot.outcome for snapshot in render(browsers, *[page] * 40)} == {"rendered"}


def test_a_page_that_its_focus_scrolled_is_seen_from_its_corner(browsers):
    blue = "<body style='margin:0;background:#00f'>"
    wide = f"{blue}<p style='width:9000px'></p><input autofocus style='margin-left:8000px'>"
    assert {pixel(snapshot, 5, 5) for snapshot in render(browsers, *[wide] * 6)} == {(0, 0, 255)}


def test_a_browser_that_crashes_is_started_again():
    with Browsers(1, Viewport(width=256, height=128)) as pool:
        (before,) = render(pool, PAGE)
        crashed = pool.submit("<span>a</span>" * 20_000)
        time.sleep(0.2)
        for pid in browser_processes(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        after = pool.submit(PAGE)
        assert crashed.result(timeout=30).outcome == "failed"
        assert after.result(timeout=30) == before


def test_no_process_is_left_behind():
    with Browsers(2, Viewport(width=256, height=128)) as pool:
        render(pool, PAGE, PAGE)
        processes = browser_processes(os.getpid())
        assert processes
    deadline = time.monotonic() + 10
    while any(map(psutil.pid_exists, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in processes if psutil.pid_exists(pid)] == []


def test_a_browser_that_was_killed_leaves_nothing_in_the_temporary_folder(monkeypatch):
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        with Browsers(1, Viewport(width=256, height=128), limits=Limits(seconds=0.0)) as pool:
            assert len(os.listdir(folder)) > 1
            assert {snapshot.outcome for snapshot in render(pool, PAGE, PAGE, PAGE)} == {"failed"}
        assert os.listdir(folder) == []


def test_when_a_browser_cannot_be_started_again_whoever_waits_hears_of_it(monkeypatch, tmp_path):
    impatient = Limits(seconds=0.0)
    with Browsers(1, Viewport(width=256, height=128), limits=impatient) as pool:
        monkeypatch.setattr(browser_module, "find_chromium", lambda: str(tmp_path / "gone"))
        assert render(pool, PAGE)[0].outcome == "failed"
        with pytest.raises(Exception, match="gone"):
            render(pool, PAGE)


def test_without_a_chromium_one_sentence_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with pytest.raises(ValueError, match="apt-get install chromium"):
        chromium.find_chromium.__wrapped__()


def test_documents_that_leave_at_once_are_told_apart_from_a_dead_browser():
    # Some commands arrive while Chromium is exchanging the page.
    leaving = "<html><meta http-equiv=refresh content=0><body>away</body></html>"
    with Browsers(2) as browsers:
        snapshots = list(browsers.render([leaving, "<p>here</p>"] * 40))
    assert {snapshot.reason for snapshot in snapshots[::2]} == {"the page navigated away"}
    assert {snapshot.outcome for snapshot in snapshots[1::2]} == {"rendered"}
