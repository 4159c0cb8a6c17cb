"""Engines without a model; by themselves, so that a process that runs one imports nothing heavy."""

import os
import time

from web2code.evaluation.engines.engine import Reply


class Echo:
    """Answers in capitals; one kind of request ends its process, as a crash in a model would."""

    def stream(self, inbox):
        while (bundle := inbox.take()) is not None:
            for request in bundle:
                if request.prompt == "poison":
                    os._exit(1)
                yield [Reply(request.key, request.prompt.upper())]

    def version(self):
        return "echo 1"


class Who:
    """Answers with the number of its process."""

    def stream(self, inbox):
        while (bundle := inbox.take()) is not None:
            for request in bundle:
                yield [Reply(request.key, str(os.getpid()))]

    def version(self):
        return "who 1"


class Pair(Who):
    """The first of two engines answers nothing before the other has answered all that the first does not hold."""

    def __init__(self, folder, rest):
        self.folder, self.rest = folder, rest
        self.first = not list(folder.glob("first"))
        (folder / "first").touch()

    def stream(self, inbox):
        for number, replies in enumerate(super().stream(inbox), 1):
            if not self.first and number == self.rest:
                (self.folder / "all").touch()
            until = time.monotonic() + 60
            while self.first and not (self.folder / "all").exists() and time.monotonic() < until:
                time.sleep(0.01)
            yield replies
