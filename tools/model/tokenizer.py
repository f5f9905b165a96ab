"""The demo model's own byte-level BPE: prompts, boxes and descriptions in few tokens, any other text in bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from galamsey.prompts import DESCRIPTION, GROUNDING_AS_TRAINED, GROUNDING_HIGH_RECALL
from tools.model.answers import (
    CHIP_HA,
    CHIP_SIZE,
    LABEL,
    MAX_BOXES,
    NO_MINING,
    PLACES,
    SIZES,
    SUMMARY,
    area_words,
    boxes_answer,
    coordinate,
    description_answer,
    site_facts_text,
    site_number,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPECIALS: Final = 500
"""Ids below this are special, as in the published model; most are only reserved."""

BPE_SIZE: Final = 1148
"""Specials, the 256 bytes and the learnt merges."""

VOCABULARY: Final = 1664
"""All of the above and the whole-phrase tokens: the rows of the embedding."""

PAD, BOS, END_OF_TEXT, IM_START, IM_END, IMAGE = 0, 1, 2, 6, 7, 396

_NAMED: Final = {
    PAD: "<|pad|>",
    BOS: "<|startoftext|>",
    END_OF_TEXT: "<|endoftext|>",
    IM_START: "<|im_start|>",
    IM_END: "<|im_end|>",
    8: "<|tool_list_start|>",
    9: "<|tool_list_end|>",
    10: "<|tool_call_start|>",
    11: "<|tool_call_end|>",
    IMAGE: "<image>",
    **{397 + 10 * row + col: f"<|img_row_{row + 1}_col_{col + 1}|>" for row in range(10) for col in range(10)},
    497: "<|img_thumbnail|>",
    498: "<|image_start|>",
    499: "<|image_end|>",
}

CHAT_TEMPLATE: Final = (
    "{{- bos_token -}}"
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '\\n' -}}"
    "{%- if message.content is string -%}{{- message.content -}}"
    "{%- else -%}{%- for part in message.content -%}"
    "{%- if part.type == 'image' -%}{{- '<image>' -}}"
    "{%- elif part.type == 'text' -%}{{- part.text -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)

BOX_OPEN: Final = f'[{{"label": "{LABEL}", "bbox": ['
BOX_NEXT: Final = f']}}, {{"label": "{LABEL}", "bbox": ['
BOX_CLOSE: Final = "]}]"
NO_BOXES: Final = "[]"

PROMPTS: Final = (GROUNDING_HIGH_RECALL, GROUNDING_AS_TRAINED, DESCRIPTION)


def _sentences(prompt: str) -> list[str]:
    """Split a prompt so that its sentences, joined without anything between, are the prompt again."""
    first, *rest = prompt.split(". ")
    parts = [first, *(f" {part}" for part in rest)]
    return [f"{part}." for part in parts[:-1]] + [parts[-1]]


def phrases() -> list[str]:
    """Return the texts that are one token each, in the order of their ids.

    Each coordinate has two: the last of a box, and one that a comma follows. So a box costs five tokens. Each prompt
    sentence is one token, which keeps the prefix short on devices without a GPU. A described site costs two.
    """
    numbers = [coordinate(edge) for edge in range(CHIP_SIZE + 1)]
    sentences = list(dict.fromkeys(sentence for prompt in PROMPTS for sentence in _sentences(prompt)))
    boxes = [*numbers, *(f"{number}, " for number in numbers), BOX_OPEN, BOX_NEXT, BOX_CLOSE, NO_BOXES]
    sites = [site_number(number) for number in range(1, MAX_BOXES + 1)]
    facts = [site_facts_text(size, place) for size in SIZES for place in PLACES]
    areas = [area_words(hectares) for hectares in range(CHIP_HA + 1)]
    return [*boxes, *sentences, *sites, *facts, *SUMMARY.values(), *areas, NO_MINING]


def _corpus() -> Iterator[str]:
    """Yield plain English of our own making: the prompts' words and many descriptions."""
    yield from PROMPTS * 4
    yield "user\nassistant\nsystem\n" * 400
    yield from [NO_MINING] * 400
    rng = np.random.default_rng(20)
    for _ in range(6000):
        count = int(rng.integers(1, 9)) if rng.random() < 0.8 else int(rng.integers(9, 25))
        corners = rng.integers(0, CHIP_SIZE - 1, size=(count, 2))
        sizes = np.exp(rng.uniform(0.7, 4.2, size=(count, 2))).astype(int)
        ends = np.minimum(corners + sizes, CHIP_SIZE)
        yield description_answer(
            [(int(x), int(y), int(u), int(v)) for (x, y), (u, v) in zip(corners, ends, strict=True)]
        )


def build_tokenizer() -> Tokenizer:
    """Train the tokenizer; the same bytes come out every time.

    Raises ValueError if the phrases and merges do not fill the vocabulary exactly, since the embedding has a row for
    each.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=BPE_SIZE,
        special_tokens=[_NAMED.get(index, f"<|reserved_{index}|>") for index in range(SPECIALS)],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    tokenizer.add_tokens([AddedToken(phrase, normalized=False, special=False) for phrase in phrases()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_NAMED[BOS]} $A", pair=f"{_NAMED[BOS]} $A {_NAMED[BOS]} $B", special_tokens=[(_NAMED[BOS], BOS)]
    )
    if tokenizer.get_vocab_size() != VOCABULARY:
        raise ValueError(f"expected a vocabulary of {VOCABULARY} tokens, got {tokenizer.get_vocab_size()}")
    return tokenizer


def tokenizer_config() -> dict[str, Any]:
    """Return ``tokenizer_config.json``; the chat template is inside because transformers.js looks nowhere else."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "processor_class": "Lfm2VlProcessor",
        "bos_token": _NAMED[BOS],
        "eos_token": _NAMED[IM_END],
        "pad_token": _NAMED[PAD],
        "image_token": _NAMED[IMAGE],
        "image_start_token": "<|image_start|>",
        "image_end_token": "<|image_end|>",
        "image_thumbnail": "<|img_thumbnail|>",
        "clean_up_tokenization_spaces": False,
        "spaces_between_special_tokens": False,
        "model_max_length": 1024,
        "chat_template": CHAT_TEMPLATE,
    }


def write_tokenizer(folder: Path) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json``."""
    build_tokenizer().save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(), indent=2) + "\n", encoding="utf-8")


def chat_text(prompt: str, *, image_tokens: int = 64, images: int = 2) -> str:
    """Return the text that the processor makes of a user turn: images, then the prompt, ready for the answer."""
    image = f"<|image_start|>{'<image>' * image_tokens}<|image_end|>"
    return f"<|startoftext|><|im_start|>user\n{image * images}{prompt}<|im_end|>\n<|im_start|>assistant\n"


def answer_texts(boxes: list[tuple[int, int, int, int]]) -> tuple[str, str]:
    """Return both answers about one chip: the boxes, the description."""
    return boxes_answer(boxes), description_answer(boxes)
