import time

import pytest

from web2code.evaluation.html_tree import elements, first, parse, serialise


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<!doctype html><p class='a'>x</p>", '<!DOCTYPE html>\n<p class="a">x</p>'),
        ("<p>a &amp; b &lt; &eacute;</p>", "<p>a &amp; b &lt; é</p>"),
        ("<a title='say \"it&apos;s\"'>x</a>", '<a title="say &quot;it\'s&quot;">x</a>'),
        ("<a title='\"x\"' hidden>x</a>", '<a hidden="" title=\'"x"\'>x</a>'),
        ("<ul><li>a<li>b</ul>c", "<ul><li>a<li>b</li></li></ul>c"),
        ("</b><p>a</i></p>b", "<p>a</p>b"),
        ("<br><hr/><img src=x>", '<br/><hr/><img src="x"/>'),
        ("<br></br>x<br>y", "<br/>x<br/>y"),
        ("<br>a<br/>b</br>c", "<br/>a<br/>bc"),
        ("<div/>a", "<div></div>a"),
        ("<style>a > b {}</style><script>1 < 2</script>", "<style>a > b {}</style><script>1 < 2</script>"),
        ("<!-- c --><?php x?><p>a", "<!-- c --><?php x?><p>a</p>"),
        ("<p>a</p>  \n  <p>b</p>   <i>c</i>", "<p>a</p>\n<p>b</p> <i>c</i>"),
        ("<pre>  <b>x</b>  </pre>", "<pre>  <b>x</b>  </pre>"),
        ("", ""),
    ],
)
def test_documents_are_read_as_the_published_metrics_read_them(html, expected):
    assert serialise(parse(html)) == expected


def test_what_was_written_reads_the_same():
    html = "<html><body><p title='a&quot;b'>x &lt; y<li>z<img src=a></body></html>"
    written = serialise(parse(html))
    assert serialise(parse(written)) == written


def test_elements_come_in_document_order():
    root = parse("<a><b><c></c></b><d></d></a><e>")
    assert [element.name for element in elements(root)] == list("abcde")
    assert first(root, "d").name == "d"
    assert first(root, "x") is None


@pytest.mark.parametrize(
    "html", ["<div>" * 50_000, "<!--" * 50_000, "<a " * 50_000, "</p>" * 50_000, "<![CDATA[" * 20_000, "&" * 100_000]
)
def test_hostile_markup_is_read_in_time(html):
    began = time.monotonic()
    serialise(parse(html))
    assert time.monotonic() - began < 10


def test_markup_that_the_parser_gives_up_on_is_a_user_mistake():
    with pytest.raises(ValueError, match="cannot be parsed"):
        parse("<p>a<![what[x]]></p>")
