"""What a benchmark is: samples that a model is asked, and figures of what it answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from web2code.config import JudgeConfig
from web2code.evaluation.measure import Measure

if TYPE_CHECKING:
    from web2code.endpoint import Client

# no_answer: the engine gave none (an error that is named); unparsed: an answer that says nothing in the asked form;
# failed: an answer that could not be scored (its page did not render); unjudged: the model that judges gave no verdict.
# All four score 0 and stay in the denominator.
Outcome = Literal["scored", "unparsed", "failed", "no_answer", "unjudged"]
# How the reason begins of what failed because of an error in the code, and not because of its page.
SCORER_RAISED = "its scorer raised"


@dataclass(frozen=True)
class Sample:
    """One thing that a model is asked.

    Args:
        images: encoded pictures (`data.images.FORMATS`) in the order of the prompt; there may be none.
        prompt: the text of the question without image tokens; the engine applies the model's own template.
        facts: what scoring needs: right answers, choices, category, reference HTML.
    """

    id: str
    images: tuple[bytes, ...]
    prompt: str
    max_new_tokens: int
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What came of one answer. `values` are named numbers that figures are computed from; none where nothing came."""

    id: str
    outcome: Outcome
    values: dict[str, float] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Folders:
    """Where a scorer works.

    Args:
        pictures: where pictures of answers go, as `ID.png`.
        files: where the benchmark's files are.
        kept: what is found out about the files and stays true for the next model.
    """

    pictures: Path
    files: Path
    kept: Path


class PageScorer(Protocol):
    """Renders answers and scores them; it lives in a process of its own, and several threads call it at once."""

    def prepare(self, sample: Sample) -> None:
        """Do what scoring any answer to a sample needs; its answer is not there yet. What fails is told by `score`."""
        ...

    def score(self, sample: Sample, text: str) -> Verdict:
        """What an answer is worth."""
        ...

    def close(self) -> None:
        """End its browsers."""
        ...


@dataclass(frozen=True)
class Answered:
    """An answer for a model to judge.

    Args:
        picture: the rendered page, where the answer is one.
        failure: outcome and reason, where there is nothing to judge.
    """

    sample: Sample
    text: str
    picture: bytes = b""
    failure: tuple[Outcome, str] | None = None


# From the client of an endpoint and its settings, the verdict on an answer; several threads call it at once.
ModelJudge = Callable[["Client", JudgeConfig, Answered], Verdict]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, which has a judge, or a scorer where answers are pages, or a model for a judge.

    Args:
        load: the samples from the folder of its files, in a fixed order; ValueError says what to fetch where it is
            incomplete.
        judge: what an answer is worth; pure, so that it may run anywhere and again.
        measures: the figures, the main one first, from all samples and their verdicts in the same order.
        fetch: what to fetch and where to put it, as an instruction.
        scorer: starts what scores answers that are pages.
        model_judge: has a model judge answers.
        answers_of: the benchmark whose answers are scored or judged, where nothing is asked anew.
        published: how many samples the published splits have, where that is known.
        remark: what the title adds about the samples, where they do not allow all figures, or not all of them count.
    """

    name: str
    title: str
    load: Callable[[Path], Iterable[Sample]]
    judge: Callable[[Sample, str], Verdict] | None
    measures: Callable[[Sequence[Sample], Sequence[Verdict]], tuple[Measure, ...]]
    fetch: str
    scorer: Callable[[Folders], PageScorer] | None = None
    model_judge: ModelJudge | None = None
    answers_of: str = ""
    published: tuple[int, ...] = ()
    remark: Callable[[Sequence[Sample]], str] = lambda samples: ""
