"""Any OpenAI-compatible server: a local vLLM, or a vendor's."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from urllib.parse import urlsplit

from web2code.config import Endpoint
from web2code.endpoint import Client, Question, Unanswered
from web2code.evaluation.engines.engine import Inbox, Reply, Request
from web2code.evaluation.screenshots import scaled_png

MAX_SIDE = 8192


class OpenAIEngine:
    """A model behind an endpoint, asked by as many requests at once as the endpoint's configuration allows.

    Args:
        cache: folder of this evaluation's replies by what was asked, so that nothing is paid for twice. Another
            evaluation needs another one: a server may have another model under the same name by then.
    """

    def __init__(self, endpoint: Endpoint, model: str, cache: Path) -> None:
        self.endpoint, self.model, self.cache = endpoint, model, cache
        self.clients: dict[int, Client] = {}

    def stream(self, inbox: Inbox) -> Iterator[list[Reply]]:
        """Replies as they come.

        Raises:
            EndpointError: the endpoint does not work, or has cost as much as it may.
        """
        running: set[Future[Reply]] = set()
        pool = ThreadPoolExecutor(self.endpoint.concurrency)
        try:
            while (bundle := inbox.take(wait=not running)) is not None or running:
                running |= {pool.submit(self._answer, self._client(one.max_new_tokens), one) for one in bundle or ()}
                done, running = wait(running, timeout=0.05, return_when=FIRST_COMPLETED)
                for future in done:
                    yield [future.result()]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # what hangs would be waited for, one after another

    def version(self) -> str:
        """The model and the server's name, and which of the usual settings the server does not take."""
        changed = sorted({name for client in list(self.clients.values()) for name in client.not_taken})
        without = f", without {' and '.join(changed)}" if changed else ""
        return f"{self.model} at {urlsplit(self.endpoint.url).netloc.rpartition('@')[2]}{without}"

    def _answer(self, client: Client, request: Request) -> Reply:
        try:
            pictures = tuple(scaled_png(image, MAX_SIDE) for image in request.images)
            return Reply(request.key, client.ask("", Question((*pictures, request.prompt)), str.strip))
        except (Unanswered, ValueError) as error:
            return Reply(request.key, error=str(error))

    def _client(self, max_tokens: int) -> Client:
        if max_tokens not in self.clients:
            self.clients[max_tokens] = Client("model", self.endpoint, self.model, 0.0, max_tokens, self.cache)
        return self.clients[max_tokens]
