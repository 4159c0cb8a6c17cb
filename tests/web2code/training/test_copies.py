"""Copies of states: as they were, in memory that is used again."""

from collections import OrderedDict

import pytest
import torch

from web2code.training.copies import Copies

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@pytest.mark.parametrize("device", DEVICES)
def test_copies_are_of_the_states_as_they_were(device):
    copies, weight = Copies(torch.device(device)), torch.arange(6.0, device=device)
    states = [(OrderedDict(weight=weight, step=torch.tensor(3)), "name"), {"half": weight[:2].bfloat16(), "rate": 0.1}]
    for number in range(3):
        weight.add_(1)
        copies.begin()
        (kept, name), other = copies.of(states)
        weight.zero_()
        assert type(kept) is OrderedDict
        assert kept["weight"].tolist() == ([1, 2, 3, 4, 5, 6] if number == 0 else [1] * 6)
        assert (kept["step"], name, other["half"].tolist(), other["rate"]) == (3, "name", [0, 1], 0.1)


@pytest.mark.parametrize("device", DEVICES)
def test_memory_is_used_again_where_it_fits(device):
    copies = Copies(torch.device(device))
    taken = []
    for size in (4, 4, 5):
        copies.begin()
        taken.append(copies.of([torch.ones(size, device=device)])[0])
    assert taken[0] is taken[1]
    assert taken[2].tolist() == [1] * 5
    assert all(each.device.type == "cpu" for each in taken)
    assert taken[0].is_pinned() == (device == "cuda")
