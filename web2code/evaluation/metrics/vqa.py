"""VQA accuracy: agreement with ten annotators after the EvalAI normalisation (VQAv2, TextVQA)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import mean

from web2code.evaluation.metrics.composed import composed

# What is written without one of its apostrophes is set right. The one that is set wrong is in the published table too.
WITH_APOSTROPHES = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
CONTRACTIONS = {
    word[:place] + word[place + 1 :]: word
    for word in WITH_APOSTROPHES.split()
    for place, character in enumerate(word)
    if character == "'"
} | {"somebody'd": "somebodyd"}
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {word: str(number) for number, word in enumerate(DIGITS)} | {"none": "0"}
ARTICLES = {"a", "an", "the"}
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
COMMA_IN_NUMBER = re.compile(r"(?<=\d),+(?=\d)")
PERIOD = re.compile(r"\.(?!\d)")
# The published script passes a flag where `re.sub` takes the largest number of replacements.
MAX_PERIODS = int(re.UNICODE)


def vqa_accuracy(answer: str, truths: Sequence[str]) -> float:
    """Mean over annotators of min(1, others who gave this answer / 3), after normalising all of them."""
    return vqa_accuracy_lmms_eval(composed(answer), [composed(truth) for truth in truths])


def vqa_accuracy_lmms_eval(answer: str, truths: Sequence[str]) -> float:
    """The same as lmms-eval has it for TextVQA (textvqa/utils.py, _task_utils/vqa_eval_metric.py)."""
    return _agreement(normalise(answer), [normalise(truth) for truth in truths])


def vqa_accuracy_lmms_eval_vqav2(answer: str, truths: Sequence[str]) -> float:
    """The same as lmms-eval has it for VQAv2 (vqav2/utils.py).

    Annotators who all agree are not normalised, though the answer is: ten times `two` makes `two` wrong.
    """
    found = normalise(answer)
    truths = [truth.replace("\n", " ").replace("\t", " ").strip() for truth in truths]
    if len(set(truths)) > 1:
        truths = [_plain_words(_without_punctuation(truth)) for truth in truths]
        found = _plain_words(_without_punctuation(found))
    return _agreement(found, truths)


def normalise(text: str) -> str:
    """Lower case without punctuation and articles, numbers as digits, contractions with their apostrophes."""
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return _plain_words(_without_punctuation(text.replace("\n", " ").replace("\t", " ").strip()))


def _agreement(found: str, truths: Sequence[str]) -> float:
    matches = sum(truth == found for truth in truths)
    return float(mean(min(1, (matches - (truth == found)) / 3) for truth in truths))


def _without_punctuation(text: str) -> str:
    """Punctuation that touches a space goes; other punctuation becomes one, unless a number has a comma."""
    has_comma = COMMA_IN_NUMBER.search(text) is not None
    cleaned = text
    for mark in PUNCTUATION:
        goes = has_comma or f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if goes else " ")
    return PERIOD.sub("", cleaned, count=MAX_PERIODS)


def _plain_words(text: str) -> str:
    words = (NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)
