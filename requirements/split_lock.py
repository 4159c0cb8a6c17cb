"""Split resolutions into base, peers, torch-cpu, torch-cuda, vllm-cpu and vllm-cuda.txt.

`split_lock.py ALL EVERY PEERS CUDA VLLM VLLM_CUDA`
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent


def entries(path: str) -> dict[str, str]:
    """Package name to its lines."""
    blocks = re.split(r"\n(?=[a-zA-Z0-9])", Path(path).read_text().strip())
    return {re.split(r"[=<>\[ ]", block)[0]: block for block in blocks}


everything, universal, with_peers, cuda, vllm, vllm_cuda = map(entries, sys.argv[1:])
torch_cuda = {name: block for name, block in cuda.items() if name not in everything or name == "torch"}
base = {name: block for name, block in universal.items() if name not in torch_cuda}
different = [name for name, block in torch_cuda.items() if vllm_cuda[name] != block]
assert not different, f"vLLM for GPUs and torch for GPUs need different versions of {different}"
(HERE / "base.txt").write_text("\n".join(base.values()) + "\n")
(HERE / "torch-cpu.txt").write_text(everything["torch"] + "\n")
for name, found, known in (
    ("peers", with_peers, everything),
    ("torch-cuda", cuda, base),
    ("vllm-cpu", vllm, {"torch"}),
    ("vllm-cuda", vllm_cuda, torch_cuda),
):
    added = [block for package, block in found.items() if package not in known]
    (HERE / f"{name}.txt").write_text("\n".join(added) + "\n")
