"""The leaderboard and the pages of answers, opened in a browser with scripts on."""

import pytest
from playwright.sync_api import sync_playwright
from typer import Typer
from typer.testing import CliRunner

from tests.web2code.evaluation.small import write_results
from web2code.evaluation.results import Figure, read_scores, write_scores
from web2code.evaluation.votes import Vote, append_vote
from web2code.leaderboard_command import leaderboard as command
from web2code.rendering.chromium import find_chromium
from web2code.report.leaderboard import boards, group_of, own_entry, published_entries, write_leaderboard
from web2code.report.published import TABLES

HOSTILE = "</script><script>document.title='owned'</script><img src=https://example.com/x.png onerror=alert(1)>"


def as_benchmark(folder, name):
    """The same results under the name of a benchmark of which there are published figures."""
    scores = read_scores(folder)
    (folder / f"{name}.jsonl").write_bytes((folder / "parity.jsonl").read_bytes())
    parity = scores.benchmarks["parity"]
    write_scores(folder, type(scores)(**dict(scores) | {"benchmarks": scores.benchmarks | {name: parity}}))


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    home = tmp_path_factory.mktemp("leaderboard")
    write_results(home / "a", f"model {HOSTILE}", 0.9, num=70, answers={"s1": HOSTILE, "s2": ""}, rendered=True)
    write_results(home / "b", "second model", 0.6, seed=1, num=70)
    for folder in ("a", "b"):
        as_benchmark(home / folder, "wub")
    for number in range(6):
        choice = "left" if number else "tie"
        append_vote(home / "votes.jsonl", Vote(sample=str(number), left=HOSTILE, right="b", choice=choice, time=""))
    return write_leaderboard([home / "a", home / "b"], home / "out", home / "votes.jsonl")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def opened(page_path, browser):
    """The page in a new tab; afterwards nothing has been asked of any network, and nothing hostile has run."""
    page = browser.new_page()
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    page.goto(page_path.as_uri())
    yield page
    assert [url for url in requests if not url.startswith(("data:", "file:"))] == []
    assert errors == []
    assert page.title() != "owned"
    page.close()


def column(page, group, number):
    return page.locator(f"section[data-group={group}] tbody tr").evaluate_all(
        f"rows => rows.map(row => row.cells[{number}].dataset.value)"
    )


def numbers(values):
    return [float(value) for value in values if value]


def test_a_click_sorts_and_a_second_one_turns_round(opened):
    header = opened.locator("section[data-group=web] th").nth(1)
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    down = column(opened, "web", 1)
    assert numbers(down) == sorted(numbers(down), reverse=True)
    assert "" not in down[: len(numbers(down))]
    header.locator("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    up = column(opened, "web", 1)
    assert numbers(up) == sorted(numbers(up))
    assert "" not in up[: len(numbers(up))]
    opened.locator("section[data-group=web] th").first.locator("button").click()
    assert header.get_attribute("aria-sort") == "none"
    names = column(opened, "web", 0)
    assert names[0].lower() <= names[1].lower() <= names[-1].lower()


def test_groups_and_published_figures_can_be_hidden(opened):
    sections = opened.locator("section[data-group]")
    groups = sections.evaluate_all("all => all.map(one => one.dataset.group)")
    assert groups == ["web", "judged", "general", "text", "other", "votes"]
    opened.get_by_role("button", name="General", exact=True).click()
    assert [group for group in groups if opened.locator(f"section[data-group={group}]").is_visible()] == ["general"]
    opened.get_by_role("button", name="all", exact=True).click()
    opened.get_by_label("published figures").uncheck()
    assert opened.locator("tr.published:visible").count() == 0
    assert opened.locator("section[data-group=web] tr.own:visible").count() == 2


def test_what_was_measured_on_the_first_samples_alone_says_so_and_is_ranked_with_nothing(tmp_path, browser):
    for name, chance in (("whole", 0.6), ("limited", 0.99)):
        write_results(tmp_path / name, name, chance, num=70)
        as_benchmark(tmp_path / name, "wub")
    scores = read_scores(tmp_path / "limited")
    first = {name: type(one)(**dict(one) | {"limit": 70}) for name, one in scores.benchmarks.items()}
    write_scores(tmp_path / "limited", type(scores)(**dict(scores) | {"benchmarks": first}))
    path = write_leaderboard([tmp_path / "limited", tmp_path / "whole"], tmp_path / "out")
    page = browser.new_page()
    page.goto(path.as_uri())
    rows = page.locator("section[data-group=web] tr.own")
    assert [rows.nth(number).locator("b").inner_text() for number in range(2)] == ["whole", "limited"]
    assert "70 samples" in rows.nth(0).inner_text()
    assert "only the first 70" in rows.nth(1).inner_text()
    assert rows.nth(1).locator("td").first.get_attribute("data-value") == ""
    page.locator("section[data-group=web] th button").nth(1).click()
    names = [name for name in column(page, "web", 0) if name in ("whole", "limited")]
    assert names == ["whole", "limited"]
    assert column(page, "web", 0)[0] != "limited"
    page.close()


def test_other_samples_than_the_published_ones_are_told_beside_the_figure(tmp_path, browser):
    write_results(tmp_path / "ours", "ours", 0.6, num=70)
    as_benchmark(tmp_path / "ours", "wub")
    scores = read_scores(tmp_path / "ours")
    split = {name: type(one)(**dict(one) | {"published": (5990,)}) for name, one in scores.benchmarks.items()}
    write_scores(tmp_path / "ours", type(scores)(**dict(scores) | {"benchmarks": split}))
    page = browser.new_page()
    page.goto(write_leaderboard([tmp_path / "ours"], tmp_path / "out").as_uri())
    cells = page.locator("section[data-group=web] tr.own td")
    assert "70 of 5,990 published samples" in cells.nth(0).inner_text()
    assert cells.nth(0).get_attribute("data-value") == ""
    page.close()


def test_another_number_of_samples_than_the_published_one_is_ranked_with_nothing(tmp_path):
    write_results(tmp_path, "ours", 0.99, num=70)
    as_benchmark(tmp_path, "wub")
    scores = read_scores(tmp_path)

    def of_split(num):
        return type(scores)(**dict(scores) | {"benchmarks": {
            "wub": type(scores.benchmarks["wub"])(**dict(scores.benchmarks["wub"]) | {"published": (num,)})
        }})  # fmt: skip

    partly, whole = own_entry(of_split(5990), ""), own_entry(of_split(70), "")
    assert {cell.whole for cell in partly.cells.values()} == {False}
    assert all("70 of 5,990 published samples" in cell.detail for cell in partly.cells.values())
    assert {cell.whole for cell in whole.cells.values()} == {True}
    assert boards([partly, whole])[0].entries == [whole, partly]


def test_published_figures_name_their_source_and_ours_their_interval(opened):
    published = opened.locator("section[data-group=web] tr.published").first
    assert "published" in published.inner_text()
    assert published.locator("a").first.get_attribute("href").startswith("https://")
    own = opened.locator("section[data-group=web] tr.own").first
    assert "–" in own.inner_text()
    assert "2 unscored" in own.inner_text()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(opened, width, scheme):
    opened.emulate_media(color_scheme=scheme)
    opened.set_viewport_size({"width": width, "height": 900})
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    opened.goto(opened.locator("tr.own td a").first.evaluate("link => link.href"))
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_a_figure_leads_to_the_answers_behind_it(opened):
    opened.locator("tr.own td a").first.click()
    assert opened.locator(".case").count() == 60
    first, second = (opened.locator(".case").nth(number) for number in (0, 1))
    # What was not scored comes first.
    assert HOSTILE in first.inner_text()
    assert "no answer" in second.inner_text()
    assert opened.locator("script").count() == 0
    widths = opened.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(widths) == 119
    assert all(widths)
    opened.locator(".pages a").first.click()
    assert opened.locator(".case").count() == 10


def test_judged_figures_stand_apart_from_computed_ones():
    found = boards([*published_entries()])
    groups = {key: board.group.name for board in found for key in board.columns}
    assert groups["wcgb_judge", "overall (published)"] == "judged"
    assert groups["design2code", "similar (o4-mini as judge)"] == "judged"
    assert groups["design2code", "Block"] == "web"
    assert groups["mme", "perception"] == "general"
    assert sum(len(board.columns) for board in found) == len(groups)


def test_published_figures_are_on_the_scales_that_they_name():
    figures = {(model, name, figure.name): figure for table in TABLES for model, name, figure in table.figures()}
    assert all(0 <= figure.value <= figure.scale for figure in figures.values())
    assert all(figure.published for figure in figures.values())
    best = "CrystalChat-7B, all web data"
    groups = [figures[best, "wcgb_judge", f"{name} (published)"].value for name in ("vsa", "cad", "tcc", "uii")]
    assert figures[best, "wcgb_judge", "overall (published)"].value == pytest.approx(sum(groups) / 4, abs=1e-3)
    assert figures[best, "wub", "accuracy (published)"].value == pytest.approx(0.7414)
    assert figures["LLaVAR-2 13B, Vicuna", "ocrbench", "score"].value == 680


def test_figures_of_which_nobody_says_how_they_were_counted_stand_in_columns_of_their_own():
    figures = [(model, name, figure.name) for table in TABLES for model, name, figure in table.figures()]
    of_llavar2 = {(name, figure) for model, name, figure in figures if model.startswith("LLaVAR-2")}
    assert {figure for name, figure in of_llavar2 if name != "ocrbench"} == {"as reported, metric not stated"}
    assert not of_llavar2 & {(name, figure) for model, name, figure in figures if not model.startswith("LLaVAR-2")}


def test_pages_that_are_harder_stand_apart_and_raw_websight_is_there():
    entries = {(entry.model, entry.about): entry.cells for entry in published_entries()}
    hard = {key for cells in entries.values() for key in cells if key[0] == "design2code_hard"}
    assert {figure for _, figure in hard} == {"Block", "Text", "Position", "Colour", "CLIP"}
    assert {group_of(key).name for key in hard} == {"web"}
    raw = entries["Llama-3-8B, + raw WebSight v0.1", "Web2Code, arXiv 2406.20098"]
    assert raw["textvqa_ocr", "accuracy"].text == "23.4"


def test_of_our_figures_those_are_shown_that_stand_for_a_benchmark_or_were_published(tmp_path):
    scores = write_results(tmp_path, "ours", 0.9)
    parity = scores.benchmarks["parity"]
    more = Figure(name="cognition", value=1, low=1, high=1)
    mme = type(parity)(**dict(parity) | {"figures": (*parity.figures, more)})
    changed = type(scores)(
        **dict(scores) | {"benchmarks": {"mme": mme, "empty": parity.model_copy(update={"figures": ()})}}
    )
    entry = own_entry(changed, "answers/ours")
    assert [figure for _, figure in entry.cells] == ["accuracy", "accuracy (published)", "cognition"]
    assert group_of(("mme", "accuracy")).name == "general"


def test_a_models_answers_stay_where_they_are_when_others_come_and_leave_the_folder_never(tmp_path):
    names = ["ours", "Ours", "../..", "", "ours-2", "a/b"]
    for number, name in enumerate(names):
        write_results(tmp_path / str(number), name, 0.9, num=2)
    expected = {"ours", "Ours-2", "model", "model-2", "ours-2-2", "a-b"}
    write_leaderboard([tmp_path / "0"], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "answers").iterdir()] == ["ours"]
    write_leaderboard([tmp_path / str(number) for number in range(len(names))], tmp_path / "out")
    assert {path.name for path in (tmp_path / "out" / "answers").iterdir()} == expected
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"index.html", "answers"}


def test_the_command_says_what_is_wrong(tmp_path, page_path):
    app = Typer()
    app.command()(command)
    done = CliRunner().invoke(app, [str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    folders = [str(page_path.parent.parent / name) for name in ("a", "b")]
    done = CliRunner().invoke(app, [*folders, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert (tmp_path / "out" / "index.html").exists()


def test_votes_that_are_not_there_are_a_sentence(tmp_path):
    write_results(tmp_path / "a", "model", 0.9)
    app = Typer()
    app.command()(command)
    options = [str(tmp_path / "a"), "--out", str(tmp_path / "out"), "--votes", str(tmp_path / "vote.jsonl")]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 2
    assert "is no file: name the one that `web2code vote` recorded" in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()
