"""Split a resolution into base.txt, torch-cpu.txt and torch-cuda.txt: `split_lock.py ALL CUDA`."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent


def entries(path: str) -> dict[str, str]:
    """Package name to its lines."""
    blocks = re.split(r"\n(?=[a-zA-Z0-9])", Path(path).read_text().strip())
    return {re.split(r"[=<>\[ ]", block)[0]: block for block in blocks}


everything, cuda = entries(sys.argv[1]), entries(sys.argv[2])
base = {name: block for name, block in everything.items() if name != "torch"}
(HERE / "base.txt").write_text("\n".join(base.values()) + "\n")
(HERE / "torch-cpu.txt").write_text(everything["torch"] + "\n")
(HERE / "torch-cuda.txt").write_text("\n".join(block for name, block in cuda.items() if name not in base) + "\n")
