"""The LLM in the cloud: loaded, freed of a vision encoder, adapted, merged."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from esrt_privacy.errors import AssetError
from esrt_privacy.esrt.language_tags import take_over
from esrt_privacy.esrt.llm import (
    adapter_state,
    load_adapter_state,
    load_llm,
    merged,
    text_model,
    train_only,
    with_adapters,
)
from tests import tiny_llm


@pytest.fixture
def plain(llm_folder):
    return load_llm(str(llm_folder), None, torch.float32)


@pytest.fixture
def adapted(plain):
    llm, tokenizer = plain
    return with_adapters(llm, take_over(tokenizer), 4, 8)


@pytest.fixture
def multimodal(tmp_path):
    """A Gemma 3 that sees, random and tiny, in a folder with a tokenizer."""
    return tiny_llm.write_multimodal(tmp_path / "sees")


def logits(llm, ids=((2, 130, 131, 140),)):
    with torch.inference_mode():
        return llm(torch.tensor(ids)).logits


def changed(llm):
    """Give every adapter weight something to say."""
    torch.manual_seed(7)
    with torch.no_grad():
        for weight in adapter_state(llm).values():
            weight.add_(0.1 * torch.randn_like(weight))
    return llm


def test_vision_encoder_is_removed_and_the_text_logits_stay(multimodal):
    whole = AutoModelForCausalLM.from_pretrained(multimodal).eval()
    assert any("vision" in name for name, _ in whole.named_parameters())
    alone, _ = load_llm(str(multimodal), None, torch.float32)
    assert not any("vision" in name or "projector" in name for name, _ in alone.named_parameters())
    assert torch.equal(logits(alone), logits(whole))
    assert alone.config.get_text_config() is alone.config


def test_freed_language_model_generates_and_is_saved_as_a_text_model(multimodal, tmp_path):
    whole = AutoModelForCausalLM.from_pretrained(multimodal).eval()
    ids = torch.tensor([[2, 130, 131]])
    expected = whole.generate(ids, max_new_tokens=6, do_sample=False)
    alone = text_model(whole)
    assert torch.equal(alone.generate(ids, max_new_tokens=6, do_sample=False), expected)
    alone.save_pretrained(tmp_path / "text")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "text").eval()
    assert torch.equal(logits(again), logits(alone))


def test_a_text_model_is_left_as_it_is(plain):
    assert text_model(plain[0]) is plain[0]


def test_fresh_adapters_change_nothing(plain):
    llm, tokenizer = plain
    expected = logits(llm)
    torch.testing.assert_close(logits(with_adapters(llm, take_over(tokenizer), 4, 8)), expected)


def test_trained_tag_rows_are_those_of_the_input_and_of_the_tied_head(adapted):
    ids = take_over_ids(adapted)
    row = ids[3]
    before = logits(adapted, ((2, row, 130),))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "trainable_tokens_delta" in name:
                weight[3].add_(1.0)
    after = logits(adapted, ((2, row, 130),))
    assert (after[0, 0, row] - before[0, 0, row]).abs() > 1e-3  # the head alone: <bos> is as it was
    assert (after[0, 1] - before[0, 1]).abs().max() > 1e-3  # read as input
    untouched = [i for i in range(after.shape[-1]) if i != row]
    torch.testing.assert_close(after[0, 0, untouched], before[0, 0, untouched])


def take_over_ids(llm):
    (indices,) = {
        tuple(module.token_indices["default"])
        for module in llm.modules()
        if hasattr(module, "token_indices")
    }
    return indices


@pytest.mark.parametrize("lora", [True, False])
@pytest.mark.parametrize("tags", [True, False])
def test_only_what_is_asked_for_is_trained(adapted, lora, tags):
    train_only(adapted, lora, tags)
    trained = {n for n, p in adapted.named_parameters() if p.requires_grad}
    assert any(".lora_" in name for name in trained) == lora
    assert any("trainable_tokens" in name for name in trained) == tags
    assert all(".lora_" in name or "trainable_tokens" in name for name in trained)


def test_lora_is_on_every_linear_layer_of_the_decoder(adapted):
    layers = {n.split(".lora_A")[0] for n, _ in adapted.named_parameters() if ".lora_A" in n}
    kinds = {name.rsplit(".", 1)[-1] for name in layers}
    assert kinds == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert len(layers) == 7 * 2


def test_adapter_state_carries_all_that_is_trained(adapted, llm_folder):
    state = {name: weight.clone() for name, weight in adapter_state(changed(adapted)).items()}
    other, tokenizer = load_llm(str(llm_folder), None, torch.float32)
    fresh = with_adapters(other, take_over(tokenizer), 4, 8)
    load_adapter_state(fresh, state)
    assert torch.equal(logits(fresh), logits(adapted))


def test_merged_is_the_same_function_and_leaves_the_original_alone(adapted):
    expected = logits(changed(adapted))
    alone = merged(adapted)
    torch.testing.assert_close(logits(alone), expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(logits(adapted), expected)
    assert not any("lora" in name for name, _ in alone.named_parameters())


def test_state_of_another_rank_or_with_missing_weights_is_refused(adapted):
    state = dict(adapter_state(adapted))
    name = next(name for name in state if "lora_A" in name)
    with pytest.raises(ValueError, match="instead of"):
        load_adapter_state(adapted, state | {name: torch.zeros(2, 48)})
    del state[name]
    with pytest.raises(ValueError, match="1 weights are missing or unknown"):
        load_adapter_state(adapted, state)


def test_a_folder_without_a_model_is_one_line(tmp_path):
    with pytest.raises(AssetError, match="holds no language model") as error:
        load_llm(str(tmp_path), None, torch.float32)
    assert "\n" not in str(error.value)


def test_damaged_weights_are_one_line(llm_folder, tmp_path):
    for path in llm_folder.iterdir():
        data = path.read_bytes()
        (tmp_path / path.name).write_bytes(data[: len(data) // 2] if "safe" in path.name else data)
    with pytest.raises(AssetError, match="cannot be read as a language model") as error:
        load_llm(str(tmp_path), None, torch.float32)
    assert "\n" not in str(error.value)


def test_llm_that_is_nowhere_names_the_command():
    with pytest.raises(AssetError, match="no/such-model are not on this machine"):
        load_llm("no/such-model", None, torch.float32)
