"""Decoding: one prefix for all languages, greedy and with beams."""

import pytest
import torch
from transformers import GenerationConfig

from esrt_privacy.errors import EsrtPrivacyError, ModelError
from esrt_privacy.esrt.cloud import Cloud, parse_answer
from tests import tiny_llm
from tests.esrt.test_model import Hungry

TARGETS = ("deu", "fra", "spa")
TOKENS = 24


@pytest.fixture
def cloud(model):
    return model.cloud()


def sequence(model, row, *tokens):
    """The LLM's input of one recording, computed from its start."""
    embed = model.llm.get_input_embeddings()
    ids = torch.tensor([model.tags.id(token) for token in tokens])
    return torch.cat([embed(torch.tensor([2])), model.projector(row), embed(ids)])[None]


@torch.inference_mode()
def generated(model, row, *tokens, beam=1):
    """What `generate` answers to the whole sequence; the text, and whether it ended."""
    inputs = sequence(model, row, *tokens)
    options = GenerationConfig(
        max_new_tokens=TOKENS,
        num_beams=beam,
        do_sample=False,
        top_k=50,
        top_p=1.0,
        eos_token_id=1,
        pad_token_id=0,
    )
    mask = torch.ones(inputs.shape[:2], dtype=torch.long)
    llm = model.llm.get_base_model()
    ids = llm.generate(inputs_embeds=inputs, attention_mask=mask, generation_config=options)[0]
    ids = ids.tolist()
    kept = ids[: ids.index(1)] if 1 in ids else ids
    return model.tokenizer.decode(kept), 1 in ids


@torch.inference_mode()
def score(model, row, text, ended, *tokens):
    """Mean log-likelihood of an answer's tokens, what beam search maximises."""
    start = sequence(model, row, *tokens)
    ids = model.tokenizer.encode(text, add_special_tokens=False) + [1] * ended
    answer = model.llm.get_input_embeddings()(torch.tensor([ids]))
    found = model.llm(inputs_embeds=torch.cat([start, answer], 1)).logits[
        0, start.shape[1] - 1 : -1
    ]
    return float(found.log_softmax(-1).gather(1, torch.tensor(ids)[:, None]).mean())


def test_greedy_from_the_shared_prefix_is_greedy_from_the_whole_sequence(model, cloud, wire):
    answers = cloud.translate(wire, "eng", TARGETS, most_tokens=TOKENS)
    texts = set()
    for row, by_target in zip(wire, answers, strict=True):
        assert list(by_target) == list(TARGETS)
        for target, answer in by_target.items():
            text, ended = generated(model, row, "eng", target)
            texts.add(text)
            assert answer == parse_answer(text, "eng", target, ended)
    assert len(texts) > 5


@pytest.mark.parametrize("beam", [2, 5])
def test_beams_from_the_shared_prefix_are_those_of_the_whole_sequence(model, cloud, wire, beam):
    answers = cloud.translate(wire[:2], "eng", TARGETS, beam, TOKENS)
    for row, by_target in zip(wire, answers, strict=False):
        for target, answer in by_target.items():
            expected = generated(model, row, "eng", target, beam=beam)
            assert answer == parse_answer(expected[0], "eng", target, expected[1])


def test_beam_5_is_at_least_as_likely_as_greedy(model, cloud, wire):
    tags = [model.tags.id(target) for target in TARGETS]
    source = [model.tags.id("eng")]
    gains = []
    greedy, beam = (cloud._continuations(wire, source, tags, width, TOKENS) for width in (1, 5))
    for n, (one, five) in enumerate(zip(greedy, beam, strict=True)):
        row, target = wire[n // 3], TARGETS[n % 3]
        gain = score(model, row, *five, "eng", target) - score(model, row, *one, "eng", target)
        gains.append(gain)
    assert min(gains) > -1e-5 and max(gains) > 0.01


@pytest.mark.parametrize("beam", [1, 3])
def test_several_recordings_are_translated_as_one_by_one(cloud, wire, beam):
    together = cloud.translate(wire, "eng", TARGETS, beam, TOKENS)
    alone = [cloud.translate(row[None], "eng", TARGETS, beam, TOKENS)[0] for row in wire]
    assert together == alone
    assert together[0] != together[1]


def test_a_language_is_answered_alike_alone_and_among_others(cloud, wire):
    together = cloud.translate(wire, "eng", TARGETS, most_tokens=TOKENS)
    for target in TARGETS:
        alone = cloud.translate(wire, "eng", [target], most_tokens=TOKENS)
        assert [row[target] for row in alone] == [row[target] for row in together]


def test_transcription_follows_the_source_tag(model, cloud, wire):
    answers = cloud.transcribe(wire, "eng", most_tokens=TOKENS)
    assert len(answers) == 3
    for row, answer in zip(wire, answers, strict=True):
        text, ended = generated(model, row, "eng")
        assert answer == parse_answer(text, "eng", None, ended)
        assert answer.translation == ""


def test_prefix_is_computed_once_for_all_languages(model, cloud, wire):
    lengths = []
    layer = model.llm.get_base_model().model.layers[0]
    layer.register_forward_pre_hook(lambda _, args: lengths.append(tuple(args[0].shape[:2])))
    cloud.translate(wire[:2], "eng", TARGETS, most_tokens=4)
    assert lengths == [(2, 1 + 8 + 1), *[(2 * 3, 1)] * 4]


def test_either_query_set_is_read(model, cloud, wire):
    (answers,) = cloud.translate(wire[:1, :4], "eng", ["deu"], most_tokens=TOKENS)
    text, ended = generated(model, wire[0, :4], "eng", "deu")
    assert answers["deu"] == parse_answer(text, "eng", "deu", ended)


def test_answers_are_cut_after_the_number_of_tokens(cloud, wire):
    (answers,) = cloud.translate(wire[:1], "eng", ["deu"], most_tokens=1)
    assert not answers["deu"].complete


def test_nothing_asked_is_nothing_answered(cloud, wire):
    assert cloud.translate(wire[:0], "eng", TARGETS) == []
    assert cloud.translate(wire[:2], "eng", []) == [{}, {}]
    assert cloud.transcribe(wire[:0], "eng") == []


def test_a_language_asked_for_twice_is_answered_once(cloud, wire):
    (answers,) = cloud.translate(wire[:1], "eng", ["deu", "deu"], most_tokens=2)
    assert list(answers) == ["deu"]


def test_adapters_merged_in_give_the_same_answers(model, cloud, wire):
    from esrt_privacy.esrt.llm import merged

    expected = cloud.translate(wire, "eng", TARGETS, most_tokens=TOKENS)
    plain = Cloud(model.projector, merged(model.llm), model.tokenizer, model.tags)
    assert plain.translate(wire, "eng", TARGETS, most_tokens=TOKENS) == expected


@pytest.mark.parametrize(("source", "targets"), [("xyz", ["deu"]), ("eng", ["deu", "xyz"])])
def test_unknown_language_is_one_line(cloud, wire, source, targets):
    with pytest.raises(EsrtPrivacyError, match="xyz") as error:
        cloud.translate(wire, source, targets)
    assert "\n" not in str(error.value)
    with pytest.raises(EsrtPrivacyError, match="xyz"):
        cloud.transcribe(wire, "xyz")


def test_more_tokens_than_the_context_is_one_line(cloud, wire):
    most = tiny_llm.CONTEXT - 1 - 8 - 2
    cloud.translate(wire[:1], "eng", ["deu"], most_tokens=most)
    with pytest.raises(ModelError, match=f"ask for at most {most} tokens") as error:
        cloud.translate(wire[:1], "eng", ["deu"], most_tokens=most + 1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(8, 24), (1, 8, 25), (1, 1, 8, 24)])
def test_tensor_of_another_shape_is_one_line(cloud, shape):
    with pytest.raises(ModelError, match=r"this cloud reads \(recordings, queries, 24\)"):
        cloud.translate(torch.zeros(shape), "eng", ["deu"])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_tensor_with_nan_is_one_line(cloud, wire, value):
    wire[1, 2, 3] = value
    with pytest.raises(ModelError, match="NaN or infinity"):
        cloud.translate(wire, "eng", ["deu"])


@pytest.mark.parametrize("numbers", [{"beam": 0}, {"most_tokens": 0}])
def test_numbers_below_one_are_one_line(cloud, wire, numbers):
    with pytest.raises(ModelError, match="must be at least 1"):
        cloud.translate(wire, "eng", ["deu"], **numbers)


def test_out_of_memory_says_what_to_change(model, wire):
    cloud = Cloud(Hungry(), model.llm, model.tokenizer, model.tags)
    with pytest.raises(
        ModelError, match="3 recordings into 2 languages with beam 5: give fewer"
    ) as error:
        cloud.translate(wire, "eng", ["deu", "fra"], beam=5)
    assert "\n" not in str(error.value)
