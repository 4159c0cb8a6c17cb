import http.server
import io
import threading

import pytest
from PIL import Image

from web2code.config import Viewport
from web2code.rendering import Browsers, chromium
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


def test_a_page_reaches_nothing(browsers):
    requests = []

    class Canary(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Canary)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    hostile = [
        f"<img src='{url}/img'>",
        f"<link rel=stylesheet href='{url}/css'><style>@import '{url}/import';body{{background:url({url}/bg)}}</style>",
        f"<iframe src='{url}/frame'></iframe><object data='{url}/object'></object>",
        f"<script>fetch('{url}/fetch')</script><body onload=\"location='{url}/onload'\">",
        f"<meta http-equiv=refresh content='0;url={url}/refresh'>",
    ]
    snapshots = render(browsers, *hostile, PAGE)
    server.shutdown()
    assert requests == []
    assert snapshots[4].outcome == "failed"
    assert snapshots[4].reason == "the page navigated away"
    assert snapshots[5].outcome == "rendered"


def test_a_local_file_is_not_drawn(browsers, tmp_path):
    secret = tmp_path / "secret.png"
    Image.new("RGB", (256, 128), (0, 255, 0)).save(secret)
    (snapshot,) = render(browsers, f"<body style='margin:0'><img src='file://{secret}'></body>")
    colours = {colour for _, colour in Image.open(io.BytesIO(snapshot.png)).convert("RGB").getcolors(100_000)}
    assert (0, 255, 0) not in colours


def test_scripts_do_not_run(browsers):
    (snapshot,) = render(browsers, "<body>a<script>document.body.textContent = 'changed'; while (true) {}</script>")
    assert [element.text for element in snapshot.elements if element.tag == "#text"] == ["a"]


def test_a_document_that_is_too_large_fails_and_the_next_renders(browsers):
    huge, after = render(browsers, "x" * (browser_module.MAX_HTML_BYTES + 1), PAGE)
    assert (huge.outcome, after.outcome) == ("failed", "rendered")


def test_a_browser_that_takes_too_long_is_killed_and_started_again(monkeypatch):
    with Browsers(1, Viewport(width=256, height=128)) as pool:
        monkeypatch.setattr(browser_module, "TIMEOUT_SECONDS", 0.0)
        (slow,) = render(pool, PAGE)
        monkeypatch.setattr(browser_module, "TIMEOUT_SECONDS", 20.0)
        (after,) = render(pool, PAGE)
    assert slow.outcome == "failed"
    assert "took too long" in slow.reason
    assert after.outcome == "rendered"


def test_without_a_chromium_one_sentence_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with pytest.raises(ValueError, match="apt-get install chromium"):
        chromium.find_chromium.__wrapped__()
