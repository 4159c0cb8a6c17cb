"""The page on which people vote: a real server on loopback, asked as a browser and as an intruder would."""

import http.client
from threading import Thread
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import sync_playwright

from tests.web2code.evaluation.small import write_results
from web2code.evaluation.ballot import Ballot, make_pairs
from web2code.evaluation.votes import read_votes
from web2code.rendering.chromium import find_chromium
from web2code.report.voting import make_server


@pytest.fixture
def folders(tmp_path):
    write_results(tmp_path / "a", "model-a", 0.9, num=4, rendered=True)
    write_results(tmp_path / "b", "model-b", 0.6, seed=1, num=4, rendered=True)
    return [tmp_path / "a", tmp_path / "b"]


@pytest.fixture
def served(folders, tmp_path):
    """A ballot that is being served, and the page's address."""
    ballot = Ballot(make_pairs(folders, "parity"), tmp_path / "votes.jsonl")
    server, address = make_server(ballot)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield ballot, address
    server.shutdown()
    thread.join()
    server.server_close()


def ask(address, method, path, form=None, headers=()):
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=5)
    body = urlencode(form) if form is not None else None
    connection.request(method, path, body, dict(headers))
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def token_of(address):
    return urlsplit(address).query.removeprefix("token=")


def test_pairs_hide_whose_they_are_and_follow_the_seed(folders):
    pairs = make_pairs(folders, "parity", seed=1)
    assert pairs == make_pairs(folders, "parity", seed=1)
    assert pairs != make_pairs(folders, "parity", seed=2)
    # The first sample has no rendering of either model.
    assert sorted(pair.sample for pair in pairs) == ["s1", "s2", "s3"]
    sides = {make_pairs(folders, "parity", seed)[0].systems for seed in range(20)}
    assert sides == {("model-a", "model-b"), ("model-b", "model-a")}


def test_models_of_one_name_are_refused(folders):
    with pytest.raises(ValueError, match="two or more models with different names"):
        make_pairs([folders[0], folders[0]], "parity")


def test_a_person_votes_until_all_pairs_have_a_vote(served):
    ballot, address = served
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--disable-gpu"])
        page = browser.new_page()
        page.goto(address)
        for button in ("Left is closer", "Neither", "Right is closer"):
            assert page.locator("img").count() == 3
            assert "model" not in page.content()
            assert all(page.evaluate("[...document.images].map(image => image.naturalWidth)"))
            page.get_by_role("button", name=button).click()
        assert "All 3 pairs have a vote" in page.inner_text("h1")
        browser.close()
    votes = read_votes(ballot.votes)
    assert [vote.choice for vote in votes] == ["left", "tie", "right"]
    assert [(vote.sample, (vote.left, vote.right)) for vote in votes] == [
        (pair.sample, pair.systems) for pair in ballot.pairs
    ]
    assert Ballot(ballot.pairs, ballot.votes).next() is None


def test_without_the_token_nothing_is_shown_or_recorded(served):
    ballot, address = served
    token = token_of(address)
    vote = {"pair": "0", "choice": "left"}
    assert ask(address, "GET", "/")[0] == 403
    assert ask(address, "GET", "/?token=guess")[0] == 403
    assert ask(address, "POST", "/", vote | {"token": "guess"})[0] == 403
    assert ask(address, "GET", f"/?token={token}", headers={"Host": "evil.example"}.items())[0] == 403
    assert not ballot.votes.exists()
    assert ask(address, "GET", f"/?token={token}")[0] == 200
    assert ask(address, "POST", "/", vote | {"token": token})[0] == 303
    assert len(read_votes(ballot.votes)) == 1


@pytest.mark.parametrize(
    "form",
    [{"pair": "3", "choice": "left"}, {"pair": "-1", "choice": "left"}, {"pair": "0", "choice": "both"}, {},
     {"pair": "x" * 2000, "choice": "left"}],
)  # fmt: skip
def test_what_is_no_vote_is_not_recorded(served, form):
    ballot, address = served
    assert ask(address, "POST", "/", form | {"token": token_of(address)})[0] == 400
    assert not ballot.votes.exists()


def test_a_page_sent_twice_is_one_vote(served):
    ballot, address = served
    form = {"pair": "0", "choice": "left", "token": token_of(address)}
    assert [ask(address, "POST", "/", form)[0] for _ in range(2)] == [303, 303]
    assert len(read_votes(ballot.votes)) == 1
