"""vLLM: every request goes in at once, and the engine batches them token by token.

Runs in the environment that `make vllm` makes: besides the seam, and names of formats that travel with what is pickled,
only vLLM and what it brings are imported.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import Any

from PIL import Image

from web2code.data.images import FORMATS
from web2code.evaluation.engines.engine import Inbox, Reply, Request

# Replies are gathered for so long: handing one over takes a millisecond of the process that answers.
GATHER_SECONDS = 0.2


class VllmEngine:
    """A model that vLLM loads: an exported checkpoint, or any public one that it knows.

    Args:
        model: folder or public name.
        stop: texts that end an answer, where a template has such.
        options: further arguments of `vllm.LLM`, e.g. `dtype`, `max_model_len`, `tensor_parallel_size`.
    """

    def __init__(self, model: str, stop: tuple[str, ...] = (), **options: Any) -> None:
        from vllm import LLM

        self.llm = LLM(model, **{"seed": 0, "limit_mm_per_prompt": {"image": 8}, **options})
        self.stop = list(stop)

    def stream(self, inbox: Inbox) -> Iterator[list[Reply]]:
        """Replies as they are finished; new requests join while others are being answered."""
        engine, keys, closed = self.llm.llm_engine, {}, False
        ready, handed_over = list[Reply](), time.monotonic()
        while not closed or engine.has_unfinished_requests():
            while not closed and (bundle := inbox.take(wait=not engine.has_unfinished_requests())) != []:
                if bundle is None:
                    closed = True
                    break
                for request in bundle:
                    try:
                        keys[self._enqueue(request)] = request.key
                    except Exception as error:  # a request that vLLM refuses is that request's outcome
                        ready.append(Reply(request.key, error=f"vLLM refused the request: {_first_line(error)}"))
            if engine.has_unfinished_requests():
                for output in engine.step():
                    if output.finished:
                        ready.append(Reply(keys.pop(output.request_id), output.outputs[0].text.strip()))
            if ready and not (engine.has_unfinished_requests() and time.monotonic() - handed_over < GATHER_SECONDS):
                yield ready
                ready, handed_over = [], time.monotonic()

    def version(self) -> str:
        """That of vLLM in its own environment, and the type of the weights."""
        from vllm import __version__

        return f"vllm {__version__}, {str(self.llm.llm_engine.model_config.dtype).removeprefix('torch.')}"

    def _enqueue(self, request: Request) -> str:
        from vllm import SamplingParams

        params = SamplingParams(temperature=0, max_tokens=request.max_new_tokens, stop=self.stop or None)
        [identifier] = self.llm.enqueue_chat([_messages(request)], params, use_tqdm=False)
        return identifier.rpartition("-")[0]  # outputs are named without the random part


def _messages(request: Request) -> list[dict[str, Any]]:
    pictures = [{"type": "image_pil", "image_pil": _decoded(image)} for image in request.images]
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": request.prompt}]}]


def _decoded(image: bytes) -> Image.Image:
    """As `web2code.modelling.images.decoded`: vLLM itself would put transparency on white, and turn what EXIF turns."""
    with Image.open(io.BytesIO(image), formats=FORMATS) as opened:
        picture = opened.convert("RGB")
    picture.info.clear()
    return picture


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
