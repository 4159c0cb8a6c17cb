from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from web2code.modelling.resolution_adapters import ResolutionAdapter, ResolutionMerge

PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "mixture_of_resolution"


@pytest.mark.skipif(not PUBLISHED.exists(), reason="LLaVA-HR's published outputs are not beside this checkout")
@pytest.mark.parametrize("case", ["same_grid", "slow_coarser", "slow_finer"])
@pytest.mark.parametrize(("name", "module"), [("adapter", ResolutionAdapter), ("merge", ResolutionMerge)])
def test_output_equals_what_llava_hr_publishes(case, name, module):
    tensors = load_file(PUBLISHED / f"{case}.safetensors")
    fast, slow, expected = (tensors[f"{name}.{key}"] for key in ("fast", "slow", "output"))
    prefix = f"{name}.weights."
    ours = module(fast.shape[-1], slow.shape[1])
    ours.load_state_dict({key.removeprefix(prefix): tensors[key] for key in tensors if key.startswith(prefix)})
    torch.testing.assert_close(ours.double()(fast, slow), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("module", [ResolutionAdapter, ResolutionMerge])
@pytest.mark.parametrize("height", [2, 4, 8])
def test_a_new_module_gives_back_the_patches(module, height):
    fast = torch.randn(3, 16, 6)
    assert torch.equal(module(6, 5)(fast, torch.randn(3, 5, height, height)), fast)


def test_the_gate_is_one_number_a_picture():
    torch.manual_seed(0)
    adapter = ResolutionAdapter(6, 5)
    torch.nn.init.normal_(adapter.slow_proj.weight)
    fast, slow = torch.randn(2, 16, 6), torch.randn(2, 5, 4, 4)
    together = adapter(fast, slow)
    alone = torch.cat([adapter(fast[:1], slow[:1]), adapter(fast[1:], slow[1:])])
    torch.testing.assert_close(together, alone)
    assert not torch.allclose(together, fast)
