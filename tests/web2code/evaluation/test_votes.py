"""Ratings from votes, proved on votes whose strengths are known."""

import json
from itertools import combinations

import numpy as np
import pytest

from web2code.evaluation.votes import Vote, append_vote, rate, read_votes, strengths

TRUE = {"weak": 850.0, "middle": 1000.0, "strong": 1150.0}


def vote(left, right, choice, sample="page"):
    return Vote(sample=sample, left=left, right=right, choice=choice, time="2026-01-01T00:00:00Z")


def drawn(seed, num):
    """Votes on each pair of systems, as the model says they fall."""
    random = np.random.default_rng(seed)
    votes = []
    for left, right in combinations(TRUE, 2):
        chance = 1 / (1 + 10 ** ((TRUE[right] - TRUE[left]) / 400))
        votes += [vote(left, right, "left" if won else "right") for won in random.random(num) < chance]
    return votes


def test_known_strengths_are_found_and_lie_in_their_intervals():
    inside, errors = 0, []
    for seed in range(12):
        found = rate(drawn(seed, 200), samples=100, seed=seed)
        assert [rating.system for rating in found.ratings] == ["strong", "middle", "weak"]
        for rating in found.ratings:
            inside += rating.elo.low <= TRUE[rating.system] <= rating.elo.high
            errors.append(rating.elo.mean - TRUE[rating.system])
    assert inside >= 30
    assert abs(np.mean(errors)) < 1e-6
    assert np.std(errors) < 20


def test_two_systems_have_the_difference_that_their_wins_say():
    found = rate([vote("a", "b", "left")] * 750 + [vote("a", "b", "right")] * 250)
    one, other = found.ratings
    assert one.elo.mean - other.elo.mean == pytest.approx(400 * np.log10(3), abs=0.5)
    assert one.elo.mean + other.elo.mean == pytest.approx(2000)
    assert found.wins["a"]["b"] == 0.75
    assert found.wins["b"]["a"] == 0.25


def test_a_tie_is_half_a_win_for_each_and_sides_do_not_matter():
    votes = [vote("a", "b", "left")] * 3 + [vote("a", "b", "tie")] * 4 + [vote("a", "b", "right")]
    turned = [vote("b", "a", {"left": "right", "right": "left", "tie": "tie"}[one.choice]) for one in votes]
    assert rate(votes).wins == rate(turned).wins == {"a": {"b": 0.625}, "b": {"a": 0.375}}
    ratings = [{rating.system: rating.elo.mean for rating in rate(found).ratings} for found in (votes, turned)]
    assert ratings[0] == pytest.approx(ratings[1])
    assert rate([vote("a", "b", "tie")] * 9).ratings[0].elo.mean == pytest.approx(1000)


def test_a_system_that_always_wins_has_a_rating():
    found = rate([vote("a", "b", "left")] * 20)
    assert found.ratings[0].system == "a"
    assert 1200 < found.ratings[0].elo.mean < 2000


def test_the_strengths_are_the_most_likely_ones():
    random = np.random.default_rng(0)
    wins = random.integers(20, 200, (4, 4)) * (1 - np.eye(4))
    found = strengths(wins)
    expected = 1 / (1 + np.exp(found[None, :] - found[:, None]))
    # At the maximum each system has won as often as its strength says, but for the prior's small pull.
    assert wins.sum(axis=1) == pytest.approx(((wins + wins.T) * expected).sum(axis=1), abs=0.2)


def test_the_same_votes_give_the_same_ratings():
    votes = drawn(0, 30)
    assert rate(votes, 50, seed=1) == rate(votes, 50, seed=1)
    assert rate(votes, 50, seed=1) != rate(votes, 50, seed=2)
    assert rate([]).ratings == ()


def test_votes_survive_a_kill_in_the_middle_of_a_line(tmp_path):
    path = tmp_path / "votes.jsonl"
    assert read_votes(path) == []
    append_vote(path, vote("a", "b", "left"))
    with path.open("a") as file:
        file.write('{"sample": "page", "le')
    append_vote(path, vote("a", "b", "tie"))
    assert [found.choice for found in read_votes(path)] == ["left", "tie"]
    with path.open("a") as file:
        file.write(json.dumps({"sample": "page", "choice": "both"}) + "\n")
    with pytest.raises(ValueError, match="line 4 is no vote"):
        read_votes(path)
