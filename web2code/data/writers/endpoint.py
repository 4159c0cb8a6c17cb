"""Writes data through an OpenAI-compatible endpoint, a local vLLM included.

Every reply is kept under a digest of what was asked, so that a build that was stopped goes on without asking again.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import openai

from web2code.artifacts import replace_text
from web2code.config import Endpoint, WriterConfig
from web2code.data.writers.writer import Item, Made, Pair, WriterError

T = TypeVar("T")
TRIES = 3
# So many rows in a row without any answer, and the endpoint is down rather than the row hard.
DOWN_AFTER = 8
MAX_HTML_CHARS = 24_000
TOKENS_PER_CHAR = 0.3

CRITERIA = (
    "layout", "alignment of elements", "proportions", "visual harmony", "colour scheme", "aesthetics", "fonts", "texts",
    "numbers and special characters", "controls such as menus, buttons and forms",
)  # fmt: skip
KINDS = (
    "an online shop", "a company's landing page", "a blog", "a portfolio", "a contact page", "a log-in page", "a forum",
    "an advertisement", "a school", "a charity", "an event", "a news site", "a documentation page", "a restaurant",
)  # fmt: skip


class EndpointError(RuntimeError):
    """The endpoint as a whole does not work: refused, unknown model, no answer to anything."""


@dataclass
class Meter:
    """What was asked so far. Costs are in the currency of the configured prices."""

    asked: int = 0
    from_cache: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


class EndpointWriter:
    """A chat model as writer, with a rate limit, retries, a cache, and a meter of what it costs."""

    def __init__(self, config: WriterConfig, endpoint: Endpoint, cache: Path, dry_run: bool = False) -> None:
        self.config, self.endpoint, self.cache, self.dry_run, self.meter = config, endpoint, cache, dry_run, Meter()
        self.name = f"endpoint:{config.model}"
        self.licence = config.licence
        self._lock = threading.Lock()
        self._next_at = 0.0
        self._failures = 0
        self._client = openai.OpenAI(
            base_url=endpoint.url,
            api_key=os.environ.get(endpoint.key_variable) or "none",
            max_retries=endpoint.retries,
            timeout=endpoint.timeout_seconds,
        )

    def page(self, key: str) -> str:
        """A reply that should hold an HTML document about one kind of site."""
        number = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16)
        kind, criterion = KINDS[number % len(KINDS)], CRITERIA[number // len(KINDS) % len(CRITERIA)]
        prompt = (
            f"Write one complete HTML document for {kind} (variant {number % 10_000}). Put all styles into the "
            f"document, use no scripts and no external files. Take particular care of {criterion}. Reply with the "
            "HTML alone."
        )
        return self._ask(key, prompt, _html)

    def texts(self, key: str, slots: list[str]) -> list[str]:
        """Texts that could stand together on one page."""
        prompt = (
            "Write the texts of one web page of a made-up business, as a JSON array of strings, one for each of these "
            f"places in order: {json.dumps(slots)}. A link or button has one to three words, a title two to four, a "
            "sentence eight to fourteen. Reply with the JSON array alone."
        )
        return self._ask(key, prompt, lambda reply: _strings(reply, len(slots)))

    def questions(self, key: str, html: str, num: int) -> list[Pair]:
        """Questions about what is seen on the page, answered from its HTML."""
        prompt = (
            f"Here is the HTML of a web page. Write {num} different questions about what a visitor sees on it (texts, "
            "colours, layout, controls), each with its answer in one full sentence. Do not speak of HTML. Reply with a "
            f'JSON array of {num} objects {{"question": ..., "answer": ...}} alone.\n\n{html[:MAX_HTML_CHARS]}'
        )
        return self._ask(key, prompt, lambda reply: _pairs(reply, num))

    def sentences(self, key: str, pairs: list[Pair]) -> list[str]:
        """Every answer as a full sentence that keeps its fact."""
        asked = [{"question": question, "answer": answer} for question, answer in pairs]
        prompt = (
            "Rewrite each short answer as one full sentence that answers its question and adds nothing. Reply with a "
            f"JSON array of {len(pairs)} strings alone.\n\n{json.dumps(asked, ensure_ascii=False)}"
        )
        return self._ask(key, prompt, lambda reply: _strings(reply, len(pairs)))

    def ahead(self, items: Iterable[Item], make: Callable[[Item], Made]) -> Iterator[Made]:
        """As many rows at once as the configuration allows, in order."""
        pending: deque[Future[Made]] = deque()
        with ThreadPoolExecutor(self.endpoint.concurrency) as pool:
            try:
                for item in items:
                    pending.append(pool.submit(make, item))
                    if len(pending) >= 2 * self.endpoint.concurrency:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def _ask(self, key: str, prompt: str, parse: Callable[[str], T]) -> T:
        """What `parse` makes of the reply; a reply that it cannot read is asked for again."""
        for attempt in range(TRIES):
            reply = self._reply(key, prompt, attempt)
            try:
                return parse(reply)
            except (ValueError, KeyError, TypeError):
                continue
        raise WriterError("writer's reply cannot be read")

    def _reply(self, key: str, prompt: str, attempt: int) -> str:
        identity = [self.endpoint.url, self.config.model, self.config.temperature, key, prompt, attempt]
        path = self.cache / f"{hashlib.sha256(json.dumps(identity).encode()).hexdigest()}.json"
        if path.exists():
            with self._lock:
                self.meter.from_cache += 1
            return json.loads(path.read_text())["reply"]
        if self.dry_run:
            self._count(int(len(prompt) * TOKENS_PER_CHAR), self.config.max_tokens // 2)
            raise WriterError("dry run: not asked")
        if self.endpoint.max_cost and self.meter.cost >= self.endpoint.max_cost:
            raise EndpointError(
                f"the writer has cost {self.meter.cost:.2f}, and max_cost is {self.endpoint.max_cost:.2f}: raise it "
                "and run again to go on"
            )
        self._wait_for_turn()
        answer = self._complete(prompt)
        reply = answer.choices[0].message.content if answer.choices else None
        usage = answer.usage
        self._count(usage.prompt_tokens if usage else 0, usage.completion_tokens if usage else 0)
        replace_text(path, json.dumps({"reply": reply or ""}))
        return reply or ""

    def _complete(self, prompt: str) -> Any:
        config = self.config
        try:
            answer = self._client.chat.completions.create(
                model=config.model, messages=[{"role": "user", "content": prompt}], temperature=config.temperature,
                max_tokens=config.max_tokens,
            )  # fmt: skip
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            raise EndpointError(f"{self.endpoint.url} refuses {config.model}: {error.message}") from None
        except openai.BadRequestError:
            raise WriterError("writer refused the request") from None
        except (openai.OpenAIError, ValueError) as error:
            with self._lock:
                self._failures += 1
            if self._failures >= DOWN_AFTER:
                raise EndpointError(
                    f"{self.endpoint.url} did not answer {self._failures} requests in a row ({type(error).__name__}): "
                    "see whether it is up, and run again to go on"
                ) from None
            raise WriterError("writer did not answer") from None
        if not hasattr(answer, "choices"):
            raise WriterError("writer did not answer")
        with self._lock:
            self._failures = 0
        return answer

    def _wait_for_turn(self) -> None:
        if not self.endpoint.requests_per_minute:
            return
        with self._lock:
            now = time.monotonic()
            self._next_at = max(now, self._next_at) + 60 / self.endpoint.requests_per_minute
            wait = self._next_at - 60 / self.endpoint.requests_per_minute - now
        time.sleep(max(0.0, wait))

    def _count(self, input_tokens: int, output_tokens: int) -> None:
        with self._lock:
            self.meter.asked += 1
            self.meter.input_tokens += input_tokens
            self.meter.output_tokens += output_tokens
            self.meter.cost += (
                input_tokens * self.endpoint.input_price + output_tokens * self.endpoint.output_price
            ) / 1_000_000


def _html(reply: str) -> str:
    if "<html" not in reply.lower():
        raise ValueError("no HTML")
    return reply


def _array(reply: str, num: int) -> list[Any]:
    start, end = reply.find("["), reply.rfind("]")
    values = json.loads(reply[start : end + 1])
    if not isinstance(values, list) or len(values) != num:
        raise ValueError("another number of entries")
    return values


def _strings(reply: str, num: int) -> list[str]:
    values = _array(reply, num)
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise ValueError("no text")
    return [value.strip() for value in values]


def _pairs(reply: str, num: int) -> list[Pair]:
    pairs = [(str(value["question"]).strip(), str(value["answer"]).strip()) for value in _array(reply, num)]
    if not all(question and answer for question, answer in pairs):
        raise ValueError("no text")
    return pairs
