from hashlib import sha256

import pytest

from galamsey.prompts import (
    AS_TRAINED,
    DESCRIPTION,
    GROUNDING_AS_TRAINED,
    GROUNDING_HIGH_RECALL,
    HIGH_RECALL,
    MAX_NEW_TOKENS,
    SENSITIVITIES,
)

PUBLISHED = [
    (GROUNDING_HIGH_RECALL, "21471916fbbbef11f02b1a4f45f60a3dad2c08c4804990b22cad33463025540b", 529),
    (GROUNDING_AS_TRAINED, "39c20df230b72cf092455c0c51bb2383f968142a22113fd047ef6b9716166f58", 339),
    (DESCRIPTION, "c6a572366c6494bc63a7b967c5c4c322bbfe8aa372c4b025c9f7503033336312", 483),
]
"""Each prompt with the SHA-256 and the length of the published text."""


@pytest.mark.parametrize(("prompt", "digest", "length"), PUBLISHED)
def test_a_prompt_matches_the_published_text_to_the_letter(prompt, digest, length):
    assert len(prompt) == length
    assert sha256(prompt.encode()).hexdigest() == digest


def test_the_prompts_differ_in_the_sentence_that_errs_toward_detection():
    assert "err toward detection" in GROUNDING_HIGH_RECALL
    assert "err toward detection" not in GROUNDING_AS_TRAINED
    assert GROUNDING_AS_TRAINED.endswith("If no pits are visible, return [].")


def test_sensitivities_can_be_told_apart_by_key_name_and_prompt():
    assert SENSITIVITIES == (HIGH_RECALL, AS_TRAINED)
    for field in ("key", "name", "prompt", "explanation"):
        assert len({getattr(sensitivity, field) for sensitivity in SENSITIVITIES}) == len(SENSITIVITIES)
    assert DESCRIPTION not in {sensitivity.prompt for sensitivity in SENSITIVITIES}


def test_answers_are_as_long_as_in_training():
    assert MAX_NEW_TOKENS == 256
