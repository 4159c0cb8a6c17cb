import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web2code.evaluation.metrics.anls import anls, anls_lmms_eval, levenshtein
from web2code.evaluation.metrics.choices import (
    infer_choice,
    infer_lmms_eval_mmbench,
    lettered,
    matches_lmms_eval_scienceqa,
    matches_published_scienceqa,
)
from web2code.evaluation.metrics.composed import composed
from web2code.evaluation.metrics.containment import contains, contains_formula, contains_words, long_truths
from web2code.evaluation.metrics.exact import exact_match, exact_match_lmms_eval, exact_match_of_values
from web2code.evaluation.metrics.mathvista import equal, extract, matches_lmms_eval
from web2code.evaluation.metrics.mme import pair_points
from web2code.evaluation.metrics.open_answers import open_match, open_match_lmms_eval
from web2code.evaluation.metrics.relaxed import relaxed_match, relaxed_match_lmms_eval
from web2code.evaluation.metrics.vqa import (
    CONTRACTIONS,
    normalise,
    vqa_accuracy,
    vqa_accuracy_lmms_eval,
    vqa_accuracy_lmms_eval_vqav2,
)
from web2code.evaluation.metrics.yes_no import matches_published_wub, parse_answer, parse_lmms_eval_mme

few = st.text("abcAB 1.", max_size=12)
OPTIONS = lettered(["red car", "blue car", "car", "an old house"])


@pytest.mark.parametrize(
    ("text", "parsed", "mme"),
    [
        ("NONE", "unparsed", "no"), ("nothing", "unparsed", "no"), ("Yesterday", "unparsed", "yes"),
        ("y", "yes", "yes"), ("N.", "no", "no"), ("I would say yes", "yes", "other"), ("", "unparsed", "other"),
    ],
)  # fmt: skip
def test_yes_and_no_are_words_and_not_letters(text, parsed, mme):
    assert (parse_answer(text), parse_lmms_eval_mme(text)) == (parsed, mme)


def test_the_published_script_of_wub_takes_none_for_a_no():
    assert matches_published_wub("None of them", "No")
    assert matches_published_wub("YES</s>", "Yes")
    assert not matches_published_wub("I say no", "No")


def test_a_pair_of_mme_earns_more_than_its_parts():
    assert [pair_points(right) for right in ([0, 0], [1, 0], [1, 1])] == [0, 50, 200]


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("The two cats' house.", "2 cats' house"), ("1,000 men", "1000 men"), ("no-smoking", "no smoking"),
        ("dont", "don't"), ("none", "0"), ("yes!\nno", "yes no"), ("3.5", "3.5"),
    ],
)  # fmt: skip
def test_answers_are_normalised_as_by_evalai(text, normalised):
    assert normalise(text) == normalised


def test_each_apostrophe_may_be_missing():
    assert CONTRACTIONS["couldnt've"] == CONTRACTIONS["couldn'tve"] == "couldn't've"
    assert CONTRACTIONS["somebody'd"] == "somebodyd"
    assert len(CONTRACTIONS) > 110


@pytest.mark.parametrize(("matches", "accuracy"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)])
def test_vqa_accuracy_leaves_each_annotator_out(matches, accuracy):
    assert vqa_accuracy("Red.", ["red"] * matches + [f"other {n}" for n in range(10 - matches)]) == accuracy


def test_annotators_who_agree_on_a_number_are_right_but_for_lmms_eval():
    assert vqa_accuracy("two", ["two"] * 10) == 1
    assert vqa_accuracy_lmms_eval_vqav2("two", ["two"] * 10) == 0
    assert vqa_accuracy_lmms_eval_vqav2("two", ["two"] * 9 + ["3"]) == 1


def test_exact_match():
    assert exact_match(" On  the left. ", "on the left")
    assert not exact_match_lmms_eval(" on the left", "on the left")
    assert not exact_match("left", "on the left")


@pytest.mark.parametrize(
    ("answer", "truth", "same"),
    [
        ("1050", "10.50", False), ("RM 10.50.", "rm 10.50", True), ("$9.00", "9.00", True), ("10,50", "1050", False),
        ("1,050.00", "1050.00", True), ("25/12/2018", "25122018", False), ("no. 5", "No 5", True), ("A-1", "a1", True),
        ("1-2", "12", False), (" TAN  WOON, YANN ", "tan woon yann", True),
    ],
)  # fmt: skip
def test_of_a_value_the_signs_between_digits_count(answer, truth, same):
    assert exact_match_of_values(answer, truth) == exact_match_of_values(truth, answer) == same


ACCENTED = "Café Zoë"


def test_a_letter_and_its_accent_are_one_character():
    apart = unicodedata.normalize("NFD", ACCENTED)
    assert apart != ACCENTED == composed(apart)
    for one, other in ((ACCENTED, apart), (apart, ACCENTED)):
        assert contains_words(f"It is {one}.", [other])
        assert exact_match(one, other)
        assert exact_match_of_values(one, other)
        assert relaxed_match(one, other)
        assert open_match(one, [other])
        assert equal(one, other, "text", 0)
        assert anls(one, [other]) == vqa_accuracy(one, [other] * 10) == 1
        assert infer_choice(one, lettered(["tea", other])) == "B"
    assert not contains(apart, [ACCENTED])
    assert vqa_accuracy_lmms_eval(apart, [ACCENTED] * 10) == 0


def test_other_characters_stay_other_ones():
    assert not exact_match("m²", "m2")
    assert composed("e" + "\u0301" * 31) == "e" + "\u0301" * 31


def by_the_book(first, second):
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        row, above = [i], row
        for j, b in enumerate(second, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
    return row[-1]


@settings(deadline=None)
@given(few, few)
def test_the_edit_distance(first, second):
    assert levenshtein(first, second) == by_the_book(first, second)


@settings(deadline=None)
@given(st.text(max_size=40), st.lists(st.text(max_size=40), min_size=1, max_size=3))
def test_anls_is_a_share_and_one_for_a_true_answer(answer, truths):
    assert anls(answer, truths) == 0 or 0.5 < anls(answer, truths) <= 1
    assert anls(truths[0].upper(), [truths[0].upper(), "x"]) == 1
    assert anls(f"{answer}  ", truths) == anls(answer, truths)


def test_spaces_change_what_lmms_eval_calls_anls_and_half_is_enough_there():
    assert anls_lmms_eval("ab" + " " * 50, ["cd"]) == 1 - 2 / 52
    assert anls_lmms_eval("ab", ["ac"]) == 0.5
    assert anls("ab", ["ac"]) == 0


@pytest.mark.parametrize(
    ("answer", "truth", "ours", "theirs"),
    [
        ("1000", "1,000", True, False), ("1,049", "1000", True, False), ("105.1", "100", False, False),
        ("$5", "5", True, False), ("Yes.", "yes", True, False), ("70", "70%", True, False), ("0.7", "70%", True, True),
        ("0.0", "0", True, False), ("0.01", "0", False, False), ("1_0", "10", False, True), ("nan", "5", False, False),
        ("10.", "10", True, True), ("-5", "5", False, False), ("Germany", "germany", True, True),
        ("1 2", "12", False, False), ("1 000", "1000", True, False), ("1 00", "100", False, False),
        ("€ 12", "12", True, False), ("12 %", "12%", True, True), ("-$5", "-5", True, False), ("5", "−5", False, False),
        ("−5", "-5", True, False), ("1$2", "12", False, False), ("$ 1 234 567.5 ", "1,234,567.5", True, False),
    ],
)  # fmt: skip
def test_numbers_are_relaxed(answer, truth, ours, theirs):
    assert (relaxed_match(answer, truth), relaxed_match_lmms_eval(answer, truth)) == (ours, theirs)


def test_containment_of_letters_and_of_words():
    assert contains("nothing", ["no"])
    assert not contains_words("nothing", ["no"])
    assert contains_words("It is two dollars: $5.00.", ["2 dollars"])
    assert contains("ＡＢＣ１", ["abc1"])
    assert contains_formula("x ^ 2", ["x^2"])
    assert not contains_formula("X^2", ["x^2"])
    assert not contains("anything", [""])
    assert not contains_words("anything", ["", "the"])
    assert long_truths(["abc", "abcd"]) == ["abcd"]


@settings(deadline=None)
@given(st.one_of(st.text(), st.text("aAtheT #-.,:* \n'5")).filter(str.strip))
def test_every_answer_contains_itself(text):
    assert contains_words(text, [text])


@pytest.mark.parametrize("truth", ["A", "#", "-", "The", "an", "?", "* *"])
def test_a_truth_of_which_normalising_leaves_nothing_is_all_of_a_right_answer(truth):
    assert contains_words(f" {truth.lower()}\n", [truth])
    assert not contains_words(f"It is {truth}", [truth])


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"), ("b", "B"), ("(b)", "B"), ("**C**", "C"), ("B. because", "B"), ("(D) it is", "D"),
        ("The answer is B.", "B"), ("First I thought: answer A. No, the answer is **C**.", "C"), ("Answer: (D)", "D"),
        ("a red car", "A"), ("red car", "A"), ("it is an old house, I think", "D"), ("the car", "C"),
        ("A dog stands in front of it", None), ("B or C", None), ("neither", None), ("", None), ("E", None),
        ("I think that it must be B", "B"), ("a red car and a blue car", None), ("scar", None),
    ],
)  # fmt: skip
def test_an_option_is_named_or_none_is(answer, letter):
    assert infer_choice(answer, OPTIONS) == letter


ANIMALS = lettered(["a dog", "a cat", "a bird"])


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("Answer: A cat", "B"), ("The answer is A cat.", "B"), ("The answer is 'A cat'.", "B"), ("A cat", "B"),
        ("Answer: A horse", None), ("the answer is a horse", None), ("A horse stands in B", None),
        ("Answer: A", "A"), ("Answer: A (it barks)", "A"), ("The answer is A because it barks", "A"),
        ("Answer: A\nDogs bark.", "A"), ("A\nDogs bark.", "A"), ("I think that it must be A", "A"),
    ],
)  # fmt: skip
def test_an_article_is_no_option(answer, letter):
    assert infer_choice(answer, ANIMALS) == letter


@pytest.mark.parametrize(
    "answer",
    [
        "Both A and B", "The correct answers are A and B", "Either A or C could be right", "The answer is A or B.",
        "Answer: A, B", "The answer is (B) or C", "(A) and (B)", "both (B) and C", "**A** or **B**", "A) or B)", "A/B",
        "the answer is a, b or c", "A. a dog\nB. a cat\nC. a bird",
    ],
)  # fmt: skip
def test_several_options_are_none(answer):
    assert infer_choice(answer, ANIMALS) is None
    assert infer_choice(answer, lettered(["choice A", "choice B", "choice C"])) is None


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        (r"\boxed{B}", "B"), (r"A or B? So $\boxed{\text{B}}$.", "B"), (r"\boxed{A}, no, \boxed{\textbf{(C)}}", "C"),
        (r"Answer: A. In short: \boxed{a cat}", "B"), (r"\boxed{7}", None), (r"\boxed{", None),
        ("Answer: b", "B"), ("the answer is (c)", "C"), ("**Answer:** b", "B"), ("Answer:\n\nb", "B"),
        ("<answer>B</answer>", "B"), ("The answer is b because it purrs", "B"), ("The answer is B, I think", "B"),
        ("The answer is B, A is wrong.", "B"), ("Answer: c-section", None), ("Answer: C++", None), ("answers", None),
    ],
)  # fmt: skip
def test_answers_as_reasoning_models_write_them_are_read(answer, letter):
    assert infer_choice(answer, ANIMALS) == letter


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B\n\nExplanation: A is wrong because.", "B"), ("(B)\n\n(A) is wrong", "B"), ("B.\n\nOption A barks.", "B"),
        ("Let me see. A is wrong, C too.\n\nB", "B"), ("### Answer\n**B**\n", "B"),
        ("B\n\nA dog is not.\n\n**B**", "B"), ("Correct option: B (A is wrong)", "B"), ("The answer is $B$", "B"),
        ("The correct option is A or B", None), ("Option B is the answer, A and C are not.", "B"),
        ("Therefore, option B is right, whereas option A is not.", "B"), ("Option A is right of the cat", None),
        ("Neither option A nor option B is right", None), ("Option B is right. Option A is correct.", None),
        (r"The correct answer is $\mathbf{B}$.", "B"), (r"The answer is \(\text{B}\).", "B"),
        (r"The answer is $\mathbf{B}$ or $\mathbf{C}$.", None), ("B</s>", "B"), ("<|assistant|>B<|im_end|>", "B"),
        ("B or C", None), ("Not A. B.", None), ("A\n\nB", None), ("A\nB\nC", None), ("Which?\nA\nB\nC", None),
    ],
)  # fmt: skip
def test_a_letter_on_a_line_of_its_own_or_called_right_is_the_answer(answer, letter):
    assert infer_choice(answer, ANIMALS) == letter


@settings(deadline=None)
@given(st.text(), st.lists(st.text(max_size=8), max_size=6))
def test_an_inferred_choice_is_one_of_the_options(answer, options):
    assert infer_choice(answer, lettered(options)) in {None, *lettered(options)}


@settings(deadline=None)
@given(st.sampled_from("ABCD"), st.sampled_from(["{}", "({})", "{}.", "Answer: {}", "The answer is {}", "**{}**"]))
def test_a_letter_in_any_usual_frame_is_found(letter, frame):
    assert infer_choice(frame.format(letter), OPTIONS) == letter


@pytest.mark.parametrize(
    ("answer", "llava", "lmms_eval"),
    [
        ("B", True, True), ("b", False, True), ("B. it", True, True), ("B.", False, True), ("B\nit", True, False),
        ("So. The answer is B", True, False), ("(B)", False, False), ("A", False, False),
    ],
)  # fmt: skip
def test_published_rules_of_scienceqa(answer, llava, lmms_eval):
    assert matches_published_scienceqa(answer, "B") == llava
    assert matches_lmms_eval_scienceqa(answer, "B") == lmms_eval


def test_more_options_than_letters_are_refused():
    with pytest.raises(ValueError, match="27 options"):
        lettered(["x"] * 27)


def test_lmms_eval_finds_options_of_mmbench_by_frames_and_by_text():
    assert infer_lmms_eval_mmbench("(B).", OPTIONS) == "B"
    assert infer_lmms_eval_mmbench("A man is in the old house", OPTIONS) is None
    assert infer_lmms_eval_mmbench("in an old house", OPTIONS) == "D"


def test_an_open_answer_is_a_number_or_words():
    assert open_match("So the result is 1,200.", ["1200"])
    assert open_match("Thus x = 3.141", ["3.14"])
    assert not open_match("3.2", ["3.14"])
    assert open_match_lmms_eval("the answer is category", ["cat"])
    assert not open_match("the answer is category", ["cat"])
    assert open_match("It is a cat. Nothing else.", ["cat"])
    assert open_match("two thirds", ["1/2", "two thirds"])


@pytest.mark.parametrize(
    ("answer", "truth", "kind", "precision", "right"),
    [
        ("I count 3, then 14.", "14", "integer", 0, True), ("14.2", "14", "integer", 0, False),
        ("It is $1,450.", "1450", "integer", 0, True), ("0.62", "0.6", "float", 1, True),
        ("from 3 to -5", "-5", "integer", 0, True), ("3-5", "5", "integer", 0, True),
        ("between [2007, 2008]", "[2007, 2008]", "list", 0, True), ("[2007]", "[2007, 2008]", "list", 0, False),
        ("[" * 5000 + "]" * 5000, "[1]", "list", 0, False), ("none", "5", "integer", 0, False),
    ],
)  # fmt: skip
def test_mathvista_reads_what_the_question_asks_for(answer, truth, kind, precision, right):
    found = extract(answer, (), kind)
    assert (found is not None and equal(found, truth, kind, precision)) == right


def test_mathvista_never_guesses_a_choice_but_lmms_eval_does():
    choices = ("3/11", "8/11", "6/11")
    assert extract("The answer is (B)", choices, "text") == "8/11"
    assert extract("it is 6/11", choices, "text") == "6/11"
    assert extract("seven", choices, "text") is None
    assert matches_lmms_eval("8/1", "8/11", choices, "text", 0)
    assert matches_lmms_eval("3.9", "3", (), "integer", 0)
