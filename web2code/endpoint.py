"""A chat model behind an OpenAI-compatible endpoint, a local vLLM included.

Every reply is kept under a digest of what was asked, so that work that was stopped goes on without asking again.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import openai
from PIL import Image

from web2code.artifacts import replace_text
from web2code.config import Endpoint
from web2code.endpoint_errors import EndpointError, Unanswered
from web2code.endpoint_http import WholeReplies
from web2code.evaluation.journal import Journal

Item = TypeVar("Item")
Made = TypeVar("Made")
T = TypeVar("T")
TRIES = 3
# So many questions in a row without any answer, and the endpoint is down rather than the question hard.
DOWN_AFTER = 8
# Statuses by which an endpoint refuses all that it is asked: the key, the bill, the model, the address.
REFUSES_ALL = (401, 402, 403, 404, 405)
# Statuses below 500 by which it refuses nothing: asked later, it may answer.
LATER = (408, 409, 429)
# What a dry run counts with; endpoints cut pictures up in their own ways.
TOKENS_PER_CHAR = 0.3
PIXELS_PER_TOKEN = 750


@dataclass
class Meter:
    """What was asked so far, or in a dry run would be. Costs are in the currency of the configured prices."""

    asked: int = 0
    from_cache: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    def add(self, input_tokens: int, output_tokens: int, endpoint: Endpoint) -> None:
        """Count a request, at an endpoint's prices."""
        self.asked += 1
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.cost += (input_tokens * endpoint.input_price + output_tokens * endpoint.output_price) / 1_000_000

    def __str__(self) -> str:
        return (
            f"{self.asked} requests, {self.from_cache} replies from the cache, {self.input_tokens} tokens in, "
            f"{self.output_tokens} out, cost {self.cost:.2f}"
        )


@dataclass(frozen=True)
class Question:
    """What is asked at once.

    Args:
        parts: texts and PNG pictures, in order.
        schema: JSON schema of the reply. An endpoint that knows schemas holds the model to it; others never see it, so
            whoever reads the reply must check it all the same.
    """

    parts: tuple[str | bytes, ...]
    system: str = ""
    schema: dict[str, Any] | None = None

    @property
    def plain(self) -> bool:
        """Whether it is a single text."""
        return len(self.parts) == 1 and isinstance(self.parts[0], str) and not self.system and not self.schema

    @property
    def identity(self) -> Any:
        """What the reply depends on, as a JSON value; of a single text the text itself."""
        seen = [part if isinstance(part, str) else hashlib.sha256(part).hexdigest() for part in self.parts]
        return seen[0] if self.plain else [self.system, seen, self.schema]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The question as the protocol has it."""
        parts = [_content_part(part) for part in self.parts]
        content = parts[0]["text"] if self.plain else parts
        system = [{"role": "system", "content": _sendable(self.system)}] if self.system else []
        return [*system, {"role": "user", "content": content}]

    @property
    def tokens(self) -> int:
        """An estimate of its size."""
        return int(sum(map(_estimated_tokens, (self.system, *self.parts))))


class Client:
    """Asks a chat model, with a rate limit, retries, a cache, and a meter of what it costs.

    `not_taken` are the settings that the endpoint refused and gave its replies without: the temperature, or none.
    `meter` tells of this run, `spent` also of what was paid for before. After an `EndpointError` nothing more is asked.

    Args:
        role: who the model is in messages: the writer, the judge.
        alike: questions with one system text are of one kind, so that one refused after another means a request that
            the endpoint cannot take, which ends the work, rather than questions that are too long.
        paid: file that notes what every reply took, so that `max_cost` holds over all runs of the same work.
    """

    def __init__(
        self, role: str, endpoint: Endpoint, model: str, temperature: float, max_tokens: int, cache: Path,
        dry_run: bool = False, alike: bool = False, paid: Path | None = None,
    ) -> None:  # fmt: skip
        self.role, self.endpoint, self.model = role, endpoint, model
        self.temperature, self.max_tokens = temperature, max_tokens
        self.cache, self.dry_run, self.alike = cache, dry_run, alike
        self.meter, self.spent = Meter(), Meter()
        self._paid = Journal(paid) if paid else None
        for entry in self._paid.entries.values() if self._paid else ():
            self.spent.add(entry["input_tokens"], entry["output_tokens"], endpoint)
        self._lock = threading.Lock()
        self._next_at = 0.0
        self._failures = 0
        self._ended = ""
        self._refusals: Counter[str] = Counter()  # in a row, by system text
        self._knows_schemas = True
        self.not_taken: set[str] = set()
        self._settings: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature}
        self._client = openai.OpenAI(
            base_url=endpoint.url,
            api_key=os.environ.get(endpoint.key_variable) or "none",
            max_retries=endpoint.retries,
            timeout=endpoint.timeout_seconds,
            http_client=WholeReplies(endpoint.url, endpoint.timeout_seconds),
        )

    def ask(self, key: str, question: Question, parse: Callable[[str], T]) -> T:
        """What `parse` makes of the reply; a reply that it cannot read is asked for again.

        Raises:
            Unanswered: no reply came, or none that can be read.
            EndpointError: the endpoint does not work, or has cost as much as it may.
        """
        for attempt in range(TRIES):
            try:
                reply = self._reply(key, question, attempt)
            except EndpointError as error:
                self._ended = str(error)
                raise
            try:
                return parse(reply)
            except (ValueError, KeyError, TypeError):
                continue
        raise Unanswered(f"{self.role}'s reply cannot be read")

    def ahead(self, items: Iterable[Item], make: Callable[[Item], Made]) -> Iterator[Made]:
        """`make(item)` of every item, in order, as many at once as the configuration allows."""
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

    def _reply(self, key: str, question: Question, attempt: int) -> str:
        settings = [self.temperature, self.max_tokens]
        identity = [self.endpoint.url, self.model, *settings, key, question.identity, attempt]
        path = self.cache / f"{hashlib.sha256(json.dumps(identity).encode()).hexdigest()}.json"
        if path.exists() and (kept := _kept(path)):
            with self._lock:
                self.meter.from_cache += 1
                self._refusals[question.system] = 0
            self.not_taken.update(kept.get("not_taken", ()))
            return kept["reply"]
        if self.dry_run:
            with self._lock:
                self.meter.add(question.tokens, self.max_tokens // 2, self.endpoint)
            raise Unanswered("dry run: not asked")
        if self._ended:
            raise EndpointError(self._ended)
        if self.endpoint.max_cost and self.spent.cost >= self.endpoint.max_cost:
            raise EndpointError(
                f"the {self.role} has cost {self.spent.cost:.2f}, and max_cost is {self.endpoint.max_cost:.2f}: raise "
                "it and run again to go on"
            )
        self._wait_for_turn()
        answer = self._complete(question)
        reply = _text(answer)
        tokens = _usage(answer, "prompt_tokens"), _usage(answer, "completion_tokens")
        self._pay(*tokens)
        if not reply.strip() and _is_cut_off(answer):
            raise Unanswered(f"{self.role}'s reply was cut off at {self.max_tokens} tokens, before any answer")
        self.not_taken.update({"temperature"} - self._settings.keys())
        replace_text(path, json.dumps({"reply": reply, "not_taken": sorted(self.not_taken)}))
        if self.endpoint.max_cost and reply.strip() and not any(tokens):
            raise EndpointError(
                f"{self.endpoint.url} does not tell what tokens a reply took, so that max_cost would never be reached: "
                "run without it to go on"
            )
        return reply

    def _complete(self, question: Question) -> Any:
        try:
            answer = self._create(question)
        except openai.APIStatusError as error:
            status = error.status_code
            if status in REFUSES_ALL:
                raise EndpointError(f"{self.endpoint.url} refuses {self.model}: {error.message}") from None
            if status < 500 and status not in LATER:
                self._count_refusal(question, error.message)
                raise Unanswered(f"{self.role} refused the request (status {status})") from None
            self._count_failure(error.message)
            raise Unanswered(f"{self.role} did not answer") from None
        except (openai.OpenAIError, ValueError) as error:
            self._count_failure(type(error).__name__)
            raise Unanswered(f"{self.role} did not answer") from None
        with self._lock:
            self._failures = self._refusals[question.system] = 0
        return answer

    def _create(self, question: Question) -> Any:
        if question.schema is None or not self._knows_schemas:
            return self._post(question)
        form = {"name": "reply", "strict": True, "schema": question.schema}
        try:
            return self._post(question, {"type": "json_schema", "json_schema": form})
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            answer = self._post(question)
            self._knows_schemas = False  # without the schema the endpoint takes the question
            return answer

    def _post(self, question: Question, response_format: Any = openai.omit) -> Any:
        """Ask once, or where the endpoint refuses a setting by its name, once more without it and so from then on."""
        messages: Any = question.messages
        settings = self._settings
        while True:
            try:
                answer = self._client.chat.completions.create(
                    model=self.model, messages=messages, response_format=response_format, **settings
                )
            except openai.BadRequestError as error:
                if (others := _settings_in_place_of(settings, error.message)) == settings:
                    raise
                settings = others
            else:
                self._settings = settings
                return answer

    def _count_refusal(self, question: Question, message: str) -> None:
        with self._lock:
            self._refusals[question.system] += 1
            refused = self._refusals[question.system]
        if self.alike and refused >= DOWN_AFTER:
            raise EndpointError(
                f"{self.endpoint.url} refused {refused} requests in a row ({message}): see what {self.model} takes, "
                "and run again to go on"
            ) from None

    def _count_failure(self, message: str) -> None:
        with self._lock:
            self._failures += 1
        if self._failures >= DOWN_AFTER:
            raise EndpointError(
                f"{self.endpoint.url} did not answer {self._failures} requests in a row ({message}): see whether it is "
                "up, and run again to go on"
            ) from None

    def _wait_for_turn(self) -> None:
        if not self.endpoint.requests_per_minute:
            return
        with self._lock:
            now = time.monotonic()
            self._next_at = max(now, self._next_at) + 60 / self.endpoint.requests_per_minute
            wait = self._next_at - 60 / self.endpoint.requests_per_minute - now
        time.sleep(max(0.0, wait))

    def _pay(self, input_tokens: int, output_tokens: int) -> None:
        with self._lock:
            self.meter.add(input_tokens, output_tokens, self.endpoint)
            self.spent.add(input_tokens, output_tokens, self.endpoint)
            if self._paid is not None:
                self._paid.add(str(self.spent.asked), input_tokens=input_tokens, output_tokens=output_tokens)


def _settings_in_place_of(settings: dict[str, Any], refusal: str) -> dict[str, Any]:
    """What an endpoint takes that refuses the limit of tokens under its old name, or every temperature but its own."""
    if "max_tokens" in settings and "max_completion_tokens" in refusal:
        rest = {name: value for name, value in settings.items() if name != "max_tokens"}
        return rest | {"max_completion_tokens": settings["max_tokens"]}
    if "temperature" in settings and re.search(r"\btemperature\b", refusal):
        return {name: value for name, value in settings.items() if name != "temperature"}
    return settings


def _kept(path: Path) -> dict[str, Any]:
    """What was kept in a file; nothing where a machine that went down left it empty or half."""
    try:
        kept = json.loads(path.read_text())
        return kept if isinstance(kept["reply"], str) else {}
    except (ValueError, KeyError, TypeError):
        return {}


def _sendable(text: str) -> str:
    """A text with every half of a surrogate pair replaced: UTF-8 holds none."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _content_part(part: str | bytes) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": _sendable(part)}
    url = "data:image/png;base64," + base64.b64encode(part).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def _estimated_tokens(part: str | bytes) -> float:
    if isinstance(part, str):
        return len(part) * TOKENS_PER_CHAR
    with Image.open(io.BytesIO(part)) as picture:
        return picture.width * picture.height / PIXELS_PER_TOKEN


def _text(answer: Any) -> str:
    """The reply's text; none where its message has another form than the protocol's."""
    content = answer.choices[0].message.content
    return content if isinstance(content, str) else ""


def _is_cut_off(answer: Any) -> bool:
    """Whether the limit of tokens ended the reply."""
    return getattr(answer.choices[0], "finish_reason", "") == "length"


def _usage(answer: Any, name: str) -> int:
    num = getattr(getattr(answer, "usage", None), name, 0)
    return num if isinstance(num, int) and num > 0 else 0
