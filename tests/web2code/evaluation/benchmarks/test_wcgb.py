"""WCGB's pages, from a dataset or from a folder of files."""

import io
import re
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.web2code.data.small import drawing, page, sample, write_dataset
from web2code.config import Viewport
from web2code.data.images import image_size
from web2code.evaluation.benchmarks import BENCHMARKS
from web2code.evaluation.benchmarks.benchmark import Folders, Sample, Verdict
from web2code.rendering import Browsers

WCGB = BENCHMARKS["wcgb"]
PUBLISHED = Path(__file__).parents[5] / "shared" / "data" / "web2code_eval"


def test_a_dataset_gives_the_pages_that_it_holds_out(tmp_path):
    write_dataset(tmp_path, [sample(1, split="eval"), sample(2), sample(3, split="eval")])
    found = list(WCGB.load(tmp_path))
    assert [one.id for one in found] == ["p1", "p3"]
    assert (found[0].images, found[0].facts["html"]) == ((drawing(1),), page(1))
    assert found[0].facts["viewport"] == {"width": 96, "height": 96}


def test_a_folder_of_files_gives_them_by_name(tmp_path):
    for number in (2, 1):
        (tmp_path / f"n{number}.html").write_text(page(number))
        (tmp_path / f"n{number}.png").write_bytes(drawing(number))
    assert [(one.id, one.facts["html"]) for one in WCGB.load(tmp_path)] == [("n1", page(1)), ("n2", page(2))]


def test_a_folder_of_neither_says_what_it_should_hold(tmp_path):
    with pytest.raises(ValueError, match=r"should be a dataset, or hold NAME\.png and NAME\.html"):
        list(WCGB.load(tmp_path))


@pytest.mark.parametrize("packed", [False, True])
def test_screenshots_alone_are_samples_too(tmp_path, packed):
    for number in (2, 1):
        if packed:
            with zipfile.ZipFile(tmp_path / "Web2Code_image_eval.zip", "a") as archive:
                archive.writestr(f"images/n{number}.png", drawing(number))
        else:
            (tmp_path / f"n{number}.png").write_bytes(drawing(number))
    found = list(WCGB.load(tmp_path))
    assert [(one.id, one.images, one.facts["screenshot"]) for one in found] == [
        (f"n{number}", (drawing(number),), drawing(number)) for number in (1, 2)
    ]
    assert found[0].facts["viewport"] == {"width": 96, "height": 96}


def test_scores_that_need_the_html_are_refused_where_there_are_screenshots_alone(tmp_path):
    (tmp_path / "n1.png").write_bytes(drawing(1))
    by_blocks = BENCHMARKS["wcgb_design2code"]
    told = rf"wcgb_design2code: {re.escape(str(tmp_path))} holds screenshots without .*, or leave this benchmark out"
    with pytest.raises(ValueError, match=told):
        list(by_blocks.load(tmp_path))
    (tmp_path / "n1.html").write_text(page(1))
    assert [one.id for one in by_blocks.load(tmp_path)] == [one.id for one in WCGB.load(tmp_path)]
    (tmp_path / "clip").mkdir()
    with pytest.raises(ValueError, match="clip"):
        list(by_blocks.load(tmp_path))


def test_one_page_without_its_html_is_still_an_error(tmp_path):
    (tmp_path / "n1.html").write_text(page(1))
    for number in (1, 2):
        (tmp_path / f"n{number}.png").write_bytes(drawing(number))
    with pytest.raises(ValueError, match=r"n2 has only one of its two files.*Web2Code_image_eval\.zip"):
        list(WCGB.load(tmp_path))


@pytest.mark.parametrize("packed", [False, True])
def test_what_macos_leaves_beside_pictures_is_none(tmp_path, packed):
    left = {"__MACOSX/images/._n1.png": b"\0\5\26\7", "._n1.png": b"\0\5\26\7", ".DS_Store": b"\0"}
    for name, content in {"n1.png": drawing(1), **left}.items():
        if packed:
            with zipfile.ZipFile(tmp_path / "Web2Code_image_eval.zip", "a") as archive:
                archive.writestr(name, content)
        else:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
    assert [one.id for one in WCGB.load(tmp_path)] == ["n1"]
    (tmp_path / "n1.html").write_text(page(1))
    (tmp_path / "._n1.html").write_bytes(b"\0\5\26\7")
    (tmp_path / "n1.png").write_bytes(drawing(1))
    assert [one.id for one in WCGB.load(tmp_path)] == ["n1"]


def sized(width, height):
    stream = io.BytesIO()
    Image.new("L", (width, height)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(("picture", "reason"), [
    (b"no picture", "n2.png: image does not decode"),
    (drawing(2)[:-20], "n2.png: image does not decode"),
    (sized(5120, 2880), "n2.png has 5,120 x 2,880 pixels: windows are 64 to 4,096 pixels wide"),
    (sized(400, 20), "n2.png has 400 x 20 pixels: windows are 64 to 4,096 pixels wide and no less than 64 high"),
], ids=["text", "cut", "wide", "low"])  # fmt: skip
@pytest.mark.parametrize("with_html", [False, True])
def test_a_picture_that_no_page_can_be_compared_with_is_named(tmp_path, picture, reason, with_html):
    (tmp_path / "n1.png").write_bytes(drawing(1))
    (tmp_path / "n2.png").write_bytes(picture)
    for number in (1, 2) if with_html else ():
        (tmp_path / f"n{number}.html").write_text(page(number))
    with pytest.raises(ValueError, match=f"wcgb: .*{reason}.*; take its screenshot again, or leave it out"):
        list(WCGB.load(tmp_path))


def test_of_screenshots_only_what_pixels_show_is_a_figure_and_failures_count():
    samples = [Sample(name, (), "", 1, {"reference": "screenshot"}) for name in "abc"]
    verdicts = [Verdict("a", "scored", {"similarity": 9.0}), Verdict("b", "failed"), Verdict("c", "no_answer")]
    figures = {measure.name: measure.value for measure in WCGB.measures(samples, verdicts)}
    assert figures == {"similarity of pixels": pytest.approx(3), "render failed": pytest.approx(2 / 3)}
    assert "pixels alone" in WCGB.remark(samples)
    assert WCGB.remark([Sample("a", (), "", 1, {"html": page(1)})]) == ""


def test_a_page_is_compared_with_a_screenshot_by_its_pixels(tmp_path):
    document = "<html><body style='margin:0;background:#fee'><h1>Offer</h1><button>Buy</button></body></html>"
    with Browsers(num=1, viewport=Viewport(width=320, height=240)) as browsers:
        (tmp_path / "shot.png").write_bytes(browsers.submit(document).result().png)
    (sample,) = WCGB.load(tmp_path)
    scorer = WCGB.scorer(Folders(tmp_path / "pictures", tmp_path, tmp_path / "kept"))
    try:
        same, other, none = (scorer.score(sample, text) for text in (document, document.replace("fee", "00f"), "no"))
    finally:
        scorer.close()
    assert same.values == {"similarity": pytest.approx(10)}
    assert other.values["similarity"] < 9
    assert none.outcome == "unparsed"
    assert (tmp_path / "pictures" / "shot.png").is_file()


def test_the_published_screenshots_are_read_as_they_are():
    if not PUBLISHED.is_dir():
        pytest.skip("the published screenshots are not here")
    found = list(WCGB.load(PUBLISHED))
    assert len({sample.id for sample in found}) == len(list(PUBLISHED.rglob("*.png")))
    assert all(image_size(sample.images[0])[0] == sample.facts["viewport"]["width"] for sample in found)
