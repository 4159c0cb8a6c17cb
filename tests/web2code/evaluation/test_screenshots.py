"""Screenshots of a user's folder, without HTML."""

import io

from PIL import Image

from web2code.evaluation.screenshots import read_screenshots


def test_pictures_are_read_and_what_macos_leaves_beside_them_is_not(tmp_path):
    for name, form in (("a.png", "PNG"), ("b.gif", "GIF")):
        stream = io.BytesIO()
        Image.new("RGB", (8, 8), "red").save(stream, form)
        (tmp_path / name).write_bytes(stream.getvalue())
        (tmp_path / f"._{name}").write_bytes(b"\0\5\26\7")
    assert [(shot.id, shot.problem) for shot in read_screenshots(str(tmp_path))] == [("a.png", ""), ("b.gif", "")]
