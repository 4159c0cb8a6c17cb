"""vLLM's own batch call on a file of requests, in vLLM's environment: `python -m benchmarks.raw_vllm MODEL FILE`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main(model: str, file: str) -> None:
    """Print the seconds that all requests took together, loading not counted, and the texts."""
    from vllm import LLM, SamplingParams

    requests = json.loads(Path(file).read_text())
    llm = LLM(model, dtype="float32", enforce_eager=True, seed=0, limit_mm_per_prompt={"image": 8})
    conversations = [
        [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{request['image']}"}},
            {"type": "text", "text": request["prompt"]},
        ]}]
        for request in requests
    ]  # fmt: skip
    params = [SamplingParams(temperature=0, max_tokens=request["max_new_tokens"]) for request in requests]
    began = time.perf_counter()
    outputs = llm.chat(conversations, params, use_tqdm=False)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "texts": [output.outputs[0].text.strip() for output in outputs]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
