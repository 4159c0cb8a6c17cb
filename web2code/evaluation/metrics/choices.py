"""Multiple choice: which option an answer names (ScienceQA, AI2D, MMBench, MMMU)."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence

from web2code.evaluation.metrics.composed import composed
from web2code.evaluation.metrics.exact import exact_match_lmms_eval

AROUND = " .,:;!?*()[]{}<>\"'`#"
AROUND_LETTER = AROUND + "$\\"
# Letters that are words of English: one that a word follows on its line names no option by itself.
WORDS = ("A", "I")
# A letter that names an option: no part of a word (`C++`, `e-mail`, `D.C.`), nor an article.
LETTER = r"(?![AIai] (?!(?:and|or|because|since|as)\b)\w)[A-Za-z]\b(?!\+|['’-]\w|\.\w\b)"
OPENING, CLOSING = r"[*(\[{$\\\"']{0,4}", r"[*)\]}$\\.\"']{0,4}"
# One letter more; after a comma alone it begins no clause.
ALSO = rf"{CLOSING}(?:,? (?:and|or) |, ?(?!\w (?!(?:and|or)\b)\w)| ?[/&] ?){OPENING}{LETTER}"
STATED = re.compile(
    rf"\b(?i:(?:answer|(?:correct|right|best) (?:option|choice))(?:\sis)?(?:\soption)?)\b[*:>]*\s?"
    rf"{OPENING}({LETTER}(?:{ALSO})*)"
)
# That an option is right, if it is not one of several.
CALLED_RIGHT = re.compile(
    rf"(?<!or )(?<!and )\b(?i:option|choice) {OPENING}([A-Za-z])\b{CLOSING} is "
    r"(?:(?:the )?(?:right|correct)\b(?!-| of| to)|the (?:best|answer)\b)"
)
LEADING = re.compile(rf"[*(\[]{{0,3}}([A-Z])(?:\*{{0,2}}[.):\]]|\*\*)(?!{ALSO})")
BRACKETED = re.compile(rf"\(([A-Z](?=\))(?:{ALSO})*)")
BOXED = re.compile(r"\\boxed ?\{((?:[^{}]|\{[^{}]*\})*)\}")
# What is no part of an answer's words: fonts of LaTeX, and tokens that end a turn or begin one.
SHELL = re.compile(r"\\(?:text|math)[a-z]*(?=\{)|</?s>|<\|\w+\|>")
# In lmms-eval's rule for MMBench, `A` names no option in a sentence of more words than this.
FEW_WORDS = 3
SCIENCEQA_LETTERS = ("A", "B", "C", "D", "E")
# Lone letters, then letters with what may stand before and after them.
LMMS_EVAL_FRAMES = (
    ("", ""), ("", "."), ("", ","), ("", ":"), ("", ")"), ("", ")."), ("(", ")"), ("(", ")."), (":", ""), (":", ","),
    (":", "."), (":", ")"), (":", ")."),
)  # fmt: skip


def lettered(options: Sequence[str]) -> dict[str, str]:
    """Options by their letters.

    Raises:
        ValueError: there are more options than letters.
    """
    if len(options) > len(string.ascii_uppercase):
        raise ValueError(f"a question has {len(options)} options, more than there are letters")
    return dict(zip(string.ascii_uppercase, options, strict=False))


def infer_choice(answer: str, options: Mapping[str, str]) -> str | None:
    """The letter of the option that an answer names, or None where it names none or several; never a guess.

    In this order: a letter alone; an option's text alone; what the last `\\boxed{...}` names; `answer is B` (the last
    one, which decides, also where it is `B or C`); a letter alone on the first or the last line (which decides, too);
    a letter that leads (`B. ...`); one option that is called right; one letter in brackets; one lone letter; one option
    whose words are in the answer. An article is no letter.
    """
    lines = [" ".join(line.split()) for line in SHELL.sub("", answer).splitlines() if line.strip()]
    text = " ".join(lines)
    if (alone := text.strip(AROUND_LETTER).upper()) in options:
        return alone
    plain = {letter: _plain(option) for letter, option in options.items() if _plain(option)}
    stated = [_letters(found) & options.keys() for found in STATED.findall("\n".join(lines))]
    last = next(filter(None, reversed(stated)), set())
    own = _on_own_line(lines, options)
    candidates = [{letter for letter, option in plain.items() if option == _plain(text)}, _boxed(text, options), last]
    if own and not last:
        candidates.append(own)
    elif not last:
        candidates += [
            _leading(lines) & options.keys(),
            _letters(" ".join(CALLED_RIGHT.findall(text))) & options.keys(),
            _letters(" ".join(BRACKETED.findall(text))) & options.keys(),
            _lone_letters(lines, options),
            _longest_contained(_plain(text), plain),
        ]
    return next((letter for found in candidates if len(found) == 1 for letter in found), None)


def matches_published_scienceqa(answer: str, truth: str) -> bool:
    """Whether LLaVA's script counts an answer as right (eval_science_qa.py): `B`, `B. it is`, `The answer is B`."""
    text = answer.replace("\n", ". ")
    if text.strip() in SCIENCEQA_LETTERS:
        return text.strip() == truth
    if text[:1] in SCIENCEQA_LETTERS and text[1:3] == ". ":
        return text[0] == truth
    found = re.search(r"The answer is ([A-E])\.", text) or re.search(r"The answer is ([A-E])", text)
    return found is not None and found[1] == truth


def matches_lmms_eval_scienceqa(answer: str, truth: str) -> bool:
    """Whether lmms-eval counts an answer as right in ScienceQA (scienceqa/utils.py): `B` or `b`, or `B.` and more."""
    answer = answer.strip()
    return answer.lower() == truth.lower() or (answer[:1].isupper() and answer[1:2] == "." and answer[0] == truth)


def matches_lmms_eval_ai2d(answer: str, truth: str) -> bool:
    """Whether lmms-eval counts an answer as right in AI2D: a letter and a full stop lead, or it is all of it."""
    found = re.match(r"\s*([A-Z])\.", answer)
    return exact_match_lmms_eval(found[1] if found else answer, truth)


def infer_lmms_eval_mmbench(answer: str, options: Mapping[str, str]) -> str | None:
    """The option that lmms-eval finds in MMBench without its judge (mmbench/mmbench_evals.py), or None."""
    words = answer.split()
    there = set(words)
    for before, after in LMMS_EVAL_FRAMES:
        found = [letter for letter in "ABCDE" if before + letter + after in there]
        if len(found) == 1 and not (before == after == "" and "A" in there and len(words) > FEW_WORDS):
            return found[0]
    lower = answer.lower()
    named = [letter for letter, option in options.items() if option.lower() in lower]
    return named[0] if len(named) == 1 else None


def infer_lmms_eval_mmmu(answer: str, options: Mapping[str, str], draw: Callable[[list[str]], str]) -> str:
    """The option that lmms-eval finds in MMMU (mmmu/utils.py): where it finds none, `draw` takes one at random."""
    for mark in ",.!?;:'":
        answer = answer.strip(mark)
    answer = f" {answer} "
    letters = list(options)
    for frame, place in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        if found := [letter for letter in letters if frame.format(letter) in answer]:
            return max(found, key=lambda letter: answer.rfind(place.format(letter)))
    if len(answer.split()) > 5:
        lower = answer.lower()
        if found := [letter for letter in letters if options[letter].lower() in lower]:
            return max(found, key=lambda letter: lower.rfind(options[letter].lower()))
    return draw(letters)


def _letters(found: str) -> set[str]:
    return {letter.upper() for letter in re.findall(r"\b[A-Za-z]\b", found)}


def _boxed(text: str, options: Mapping[str, str]) -> set[str]:
    boxes = BOXED.findall(text)
    letter = infer_choice(boxes[-1], options) if boxes else None
    return {letter} if letter else set()


def _on_own_line(lines: Sequence[str], options: Mapping[str, str]) -> set[str]:
    """Letters that are all of their lines, where the first line or the last is such a one."""
    alone = [line.strip(AROUND_LETTER).upper() for line in lines]
    return set(alone) & options.keys() if {*alone[:1], *alone[-1:]} & options.keys() else set()


def _leading(lines: Sequence[str]) -> set[str]:
    """Letters that lead lines, where one leads the first."""
    leading = [found[1] if (found := LEADING.match(line)) else "" for line in lines]
    return set(filter(None, leading)) if leading and leading[0] else set()


def _lone_letters(lines: Sequence[str], options: Mapping[str, str]) -> set[str]:
    """Letters that are words: one of `WORDS` that another word follows is none, but `A` is beside another letter."""
    found, words_of_english = set[str](), set[str]()
    for line in lines:
        *words, end = line.split()
        found.add(end.strip(AROUND_LETTER))
        for word in words:
            (words_of_english if word.lstrip(AROUND_LETTER) in WORDS else found).add(word.strip(AROUND_LETTER))
    found &= options.keys()
    return found | (words_of_english & {"A"} & options.keys()) if found else found


def _longest_contained(text: str, options: Mapping[str, str]) -> set[str]:
    """Letters of the options whose words are in a text, without those that are part of another one that is."""
    padded = {letter: f" {option} " for letter, option in options.items() if f" {option} " in f" {text} "}
    return {
        letter
        for letter, option in padded.items()
        if not any(option in other and option != other for other in padded.values())
    }


def _plain(text: str) -> str:
    return " ".join(word.strip(AROUND) for word in SHELL.sub("", composed(text)).casefold().split())
