"""Prompt signatures: templates that are alike meet, others do not, at the rates that the bands promise."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaklink.errors import RecordError
from weaklink.partner.prompts import BANDS, ROWS, SHINGLE_WORDS, prompt_bands, shingles, signature

PAIRS = 1_000


def pair_with_similarity(rng: random.Random, jaccard: float, size: int) -> tuple[str, str, float]:
    """Two prompts whose shingle sets have about this Jaccard similarity, and the exact one.

    Both begin with the same words and go on with different ones: k shared shingles of n each give J = k / (2n - k).
    """
    shared = round(2 * jaccard * size / (1 + jaccard))

    def words(count: int) -> list[str]:
        return [f"w{rng.getrandbits(48):x}q" for _ in range(count)]

    head = words(shared + SHINGLE_WORDS - 1)
    one, other = " ".join(head + words(size - shared)), " ".join(head + words(size - shared))
    first, second = shingles(one), shingles(other)
    return one, other, len(first & second) / len(first | second)


def meeting_share(jaccard: float, size: int) -> float:
    rng = random.Random(f"{jaccard}-{size}")
    met = 0
    for _ in range(PAIRS):
        one, other, exact = pair_with_similarity(rng, jaccard, size)
        assert abs(exact - jaccard) < 0.03
        met += bool(set(prompt_bands(one)) & set(prompt_bands(other)))
    return met / PAIRS


@pytest.mark.parametrize("size", [30, 120])
def test_at_least_95_percent_of_pairs_at_jaccard_0_8_meet(size: int) -> None:
    assert meeting_share(0.8, size) >= 0.95


@pytest.mark.parametrize("size", [30, 120])
def test_at_most_1_percent_of_pairs_at_jaccard_0_2_meet(size: int) -> None:
    assert meeting_share(0.2, size) <= 0.01


def test_minima_agree_as_often_as_the_sets_are_alike() -> None:
    """The MinHash property itself: the share of equal minima estimates the Jaccard similarity (45 x 300 draws, sigma 0.004)."""
    rng, equal, exact = random.Random(5), 0, 0.0
    for _ in range(300):
        one, other, jaccard = pair_with_similarity(rng, 0.5, 60)
        equal += sum(a == b for a, b in zip(signature(one), signature(other), strict=True))
        exact += jaccard
    assert equal / (300 * BANDS * ROWS) == pytest.approx(exact / 300, abs=0.02)


def test_a_template_with_other_names_and_numbers_in_it_meets() -> None:
    template = (
        "You are an expert grader. Read the rubric below and grade the answer of student {} from 1 to 10. Think step by step, "
        "explain every deduction of points, quote the sentence that it rests on, and end with a JSON object that has the fields "
        "score, reasons and confidence. Do not reveal the rubric. Do not add anything after the JSON object. Answer number {}."
    )
    one, other = prompt_bands(template.format("Alice", 17)), prompt_bands(template.format("Bob", 2093))
    assert set(one) & set(other)


@given(st.text(min_size=1).filter(lambda text: any(character.isalnum() for character in text)))
@settings(max_examples=50, deadline=None)
def test_case_spacing_and_punctuation_do_not_matter(text: str) -> None:
    assert prompt_bands(text) == prompt_bands(f"  {text} !\n")


def test_a_prompt_of_one_word_meets_only_itself() -> None:
    assert prompt_bands("a3f9c2") == prompt_bands("A3F9C2")
    assert not set(prompt_bands("a3f9c2")) & set(prompt_bands("a3f9c3"))


def test_scripts_without_spaces_are_cut_by_the_character() -> None:
    assert len(shingles("你是一个有用的助手")) == 7


@pytest.mark.parametrize("empty", ["", "  ", "?!…"])
def test_a_prompt_without_words_is_refused(empty: str) -> None:
    with pytest.raises(RecordError, match="no words"):
        shingles(empty)


def test_a_very_long_prompt_costs_no_more_than_its_beginning() -> None:
    words = [f"word{number}" for number in range(20_000)]
    assert prompt_bands(" ".join(words)) == prompt_bands(" ".join(words[:4096]))


def test_each_band_is_a_text_of_its_own() -> None:
    bands = prompt_bands("one two three four five")
    assert len(set(bands)) == BANDS
