"""What this machine's processors can compute in."""

from __future__ import annotations

import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# As Linux calls the instructions on x86 and on ARM.
BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}


def multiply_bfloat16() -> bool:
    """Whether the processors multiply bfloat16 matrices themselves, as far as Linux tells.

    Without such instructions torch takes some twenty times as long as for float32.
    """
    try:
        lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        return False
    return bool(lines) and all(BFLOAT16 & set(line.split()) for line in lines)
