from collections import Counter

import lxml.html
import pytest

from web2code.config import PagesConfig
from web2code.pages import draw_pages
from web2code.pages.folder import sections

DOCUMENT = b"""<!doctype html><html><head><title>t</title><script>alert(1)</script></head><body onload="x()">
<h1>Manual of things</h1><p class="a" style="color:red" onclick="y()">First   paragraph with some words.</p>
<img src="http://example.invalid/a.png" alt="x"><ul><li>one thing</li><li>another thing</li></ul>
<div><div><p>%s</p></div><table><tr><td>a cell with text</td></tr></table></div>
<iframe src="http://example.invalid"></iframe></body></html>""" % (b"long text " * 30)


def cut(document, chars=400):
    return list(sections(document, chars, Counter()))


def test_sections_are_small_whole_documents_of_what_is_visible():
    found = cut(DOCUMENT)
    assert len(found) >= 2
    assert all(
        len(html) <= 400 and html.startswith("<html><body>") and html.endswith("</body></html>") for html in found
    )
    text = " ".join(lxml.html.document_fromstring(html).text_content() for html in found)
    for words in ("Manual of things", "First paragraph with some words.", "another thing", "a cell with text"):
        assert words in text


def test_nothing_that_runs_or_fetches_is_left():
    joined = "".join(cut(DOCUMENT)).lower()
    for trace in ("script", "onclick", "onload", "iframe", "http", "src=", "class="):
        assert trace not in joined


@pytest.mark.parametrize(
    "document", [b"", b"\xff\xfe\x00", b"<" * 5000, b"<div>" * 3000 + b"deep text in here ok", b"\x00"]
)
def test_hostile_documents_do_no_harm(document):
    assert all(len(html) <= 400 for html in cut(document))


def test_a_document_is_on_one_side_of_the_split(tmp_path):
    for number in range(12):
        body = "".join(f"<p>paragraph {i} of document number {number} has words</p>" for i in range(20))
        (tmp_path / f"{number}.html").write_text(f"<html><body>{body}</body></html>")
    config = PagesConfig(source="folder", folder_digest="x", num_train=500, num_eval=8, max_html_chars=300)
    splits = draw_pages(config, str(tmp_path), Counter())
    assert splits["eval"]
    assert not {page.source for page in splits["train"]} & {page.source for page in splits["eval"]}


def test_a_folder_without_text_is_refused(tmp_path):
    (tmp_path / "empty.html").write_text("<html><body></body></html>")
    with pytest.raises(ValueError, match=r"gives 0 page\(s\) with visible text: name a folder"):
        draw_pages(PagesConfig(source="folder", folder_digest="x"), str(tmp_path), Counter())
