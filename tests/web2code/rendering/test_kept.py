"""Renderings that are kept are found again, whole or not at all."""

from web2code.config import Viewport
from web2code.rendering import Browsers
from web2code.rendering.kept import Kept

HTML = "<body style='background:#fee'><h1>Offer é</h1><input type=text><p>Two\nlines</p></body>"
VIEWPORT = Viewport(width=200, height=150)


def test_what_was_kept_is_what_was_rendered(tmp_path):
    with Browsers(num=1, viewport=VIEWPORT) as browsers:
        snapshot = browsers.submit(HTML).result()
    kept = Kept(tmp_path, "page")
    assert kept.find(HTML, VIEWPORT) is None
    kept.add(HTML, VIEWPORT, snapshot)
    assert Kept(tmp_path, "page").find(HTML, VIEWPORT) == snapshot
    assert kept.find(f"{HTML} ", VIEWPORT) is None
    assert kept.find(HTML, Viewport(width=201, height=150)) is None
    assert Kept(tmp_path, "page_down").find(HTML, VIEWPORT) is None
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:50])
    assert kept.find(HTML, VIEWPORT) is None
