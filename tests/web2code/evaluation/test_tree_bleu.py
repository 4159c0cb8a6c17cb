import pytest

from web2code.evaluation.tree_bleu import tree_bleu

PAGE = "<html><head><title>t</title></head><body><div><p>a</p><p>b</p></div><ul><li>c</li></ul></body></html>"


@pytest.mark.parametrize(
    ("reference", "candidate", "recall", "precision"),
    [
        (PAGE, PAGE, 1, 1),
        # Of html(head body), head(title), body(div ul), div(p p) and ul(li) the candidate has div(p) for the fourth.
        (PAGE, PAGE.replace("<p>b</p>", ""), 4 / 5, 4 / 5),
        # html(head body) and body(div) against html(head body) and body(div div): one of two each.
        (
            "<html><head></head><body><div>a</div></body></html>",
            "<html><head></head><body><div></div><div></div></body></html>",
            1 / 2,
            1 / 2,
        ),
        # html(body p), body(ul), ul(li) and p(b) against html(body p), body(ul ul), ul(li) twice and p(i).
        (
            "<html><body><ul><li>a</li></ul></body><p><b>x</b></p></html>",
            "<html><body><ul><li>a</li></ul><ul><li>b</li></ul></body><p><i>x</i></p></html>",
            2 / 4,
            3 / 5,
        ),
        (PAGE, "", 0, 0),
        ("", PAGE, 0, 0),
        (PAGE, "<html></html>", 0, 0),
        (PAGE, "<p>no html</p>", 0, 0),
        (PAGE, "<html><![what[", 0, 0),
    ],
)
def test_worked_examples(reference, candidate, recall, precision):
    scored = tree_bleu(reference, candidate)
    assert (scored.recall, scored.precision) == pytest.approx((recall, precision))


def test_text_and_attributes_count_for_nothing():
    assert tree_bleu(PAGE, PAGE.replace(">a<", " id=x>something else<")).recall == 1
