"""The projector that begins with the tokens' embeddings."""

from __future__ import annotations

import torch
import words

from esrt_privacy.esrt.config import REFERENCE
from esrt_privacy.esrt.language_tags import take_over
from esrt_privacy.esrt.llm import load_llm, with_adapters
from esrt_privacy.esrt.model import EsrtModel
from esrt_privacy.esrt.model_config import ModelConfig
from esrt_privacy.esrt.projector import Projector
from esrt_privacy.esrt.vocabulary import embedded
from tests.tiny_llm import WIDTH, write_llm


def tiny_model(folder) -> EsrtModel:
    llm, tokenizer = load_llm(str(write_llm(folder)), None, torch.float32)
    tags = take_over(tokenizer)
    llm = with_adapters(llm, tags, 2, 4)
    config = ModelConfig(REFERENCE, str(folder), WIDTH, 2, 4)
    torch.manual_seed(1)
    return EsrtModel(config, None, Projector(16, WIDTH), llm, tokenizer, tags)


def test_tokens_lie_where_their_letters_are_spelled(tmp_path) -> None:
    model = tiny_model(tmp_path)
    found = words.token_places("one two, three!", "eng", model.tokenizer)
    # "one two three" has 13 letters and blanks; the comma and the exclamation mark spell nothing.
    spans = [(model.tokenizer.decode([token]).strip(), a, b) for token, a, b in found]
    assert [(word, round(13 * b)) for word, _, b in spans if word in {"one", "two", "three"}] == [
        ("one", 3),
        ("two", 7),
        ("three", 13),
    ]
    assert all(a < b for _, a, b in spans)


def test_the_projector_gives_the_mean_embedding_of_what_is_said(tmp_path) -> None:
    model = tiny_model(tmp_path)
    ids = model.tokenizer("one two three four five", add_special_tokens=False)["input_ids"]
    vectors = torch.randn(5, 16)
    tokens = [
        {ids[0]: 1.0},
        {ids[1]: 1.0},
        {ids[2]: 2.0},
        {ids[3]: 1.0},
        {ids[0]: 1.0, ids[1]: 3.0},
    ]
    assert words.put_into(model, vectors, tokens) > 0.99
    found = model.projector(vectors)
    with torch.no_grad():
        one, two = embedded(model.llm, torch.tensor(ids[:2]))
    wanted = 0.25 * one + 0.75 * two
    assert torch.cosine_similarity(found[0], one, dim=0) > 0.97
    assert torch.cosine_similarity(found[4], wanted, dim=0) > 0.97
