"""Finding a language model: the user's folder, the weight packages, the hub's cache."""

from pathlib import Path

import pytest
import torch

from esrt_privacy.assets import ASSETS, llm_folder
from esrt_privacy.assets.packages import is_fetched
from esrt_privacy.errors import AssetError
from tests import tiny_llm

GEMMA = "gemma-3-270m"


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    """An empty cache, no hub."""
    monkeypatch.setenv("ESRT_PRIVACY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("ESRT_PRIVACY_WEIGHTS", raising=False)


def test_a_folder_is_taken_as_it_is(no_weights, tmp_path):
    folder = tiny_llm.write_llm(tmp_path / "llm")
    assert llm_folder(folder) == llm_folder(str(folder)) == folder.resolve()


def test_a_name_is_looked_for_in_the_users_folders_first(no_weights, tmp_path, monkeypatch):
    folder = tiny_llm.write_llm(tmp_path / "mine" / GEMMA)
    assert llm_folder(GEMMA, tmp_path / "mine") == folder.resolve()
    monkeypatch.setenv("ESRT_PRIVACY_WEIGHTS", str(tmp_path / "mine"))
    assert llm_folder(GEMMA) == llm_folder(f"google/{GEMMA}") == folder.resolve()


def test_a_model_in_the_hubs_cache_needs_no_network(no_weights, tmp_path):
    repository = tmp_path / "hub" / "models--owner--llm"
    snapshot = repository / "snapshots" / ("0" * 40)
    tiny_llm.write_llm(snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    assert llm_folder("owner/llm").resolve() == snapshot.resolve()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (GEMMA, f"assets fetch {GEMMA}"),
        (f"google/{GEMMA}", f"assets fetch {GEMMA}"),
        ("owner/llm", "owner/llm are not on this machine"),
        ("no-such-model", "no-such-model are not on this machine"),
        ("whisper-base", "whisper-base is no language model"),
    ],
)
def test_what_is_nowhere_is_one_line_with_the_command(no_weights, name, reason):
    with pytest.raises(AssetError, match=reason) as error:
        llm_folder(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_no_language_model(no_weights, tmp_path, missing):
    folder = tiny_llm.write_llm(tmp_path / "llm")
    (folder / missing).unlink()
    with pytest.raises(AssetError, match="holds no language model"):
        llm_folder(Path(folder))


@pytest.mark.weights
@pytest.mark.slow
def test_gemma_of_the_weight_packages_is_dequantised_once_and_speaks():
    if not all(is_fetched(package) for package in ASSETS[GEMMA].packages):
        pytest.skip(f"weights of {GEMMA} are not fetched: esrt-privacy assets fetch")
    from esrt_privacy.esrt.language_tags import FLEURS_LANGUAGES, take_over
    from esrt_privacy.esrt.llm import load_llm

    folder = llm_folder(GEMMA)
    assert llm_folder(GEMMA) == folder
    llm, tokenizer = load_llm(GEMMA, None, torch.float32)
    assert (llm.config.hidden_size, len(tokenizer)) == (640, 262_144)
    ids = tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.inference_mode():
        best = llm(ids).logits[0, -1].topk(20).indices
    assert "▁Paris" in tokenizer.convert_ids_to_tokens(best)
    before = tokenizer.get_vocab()
    assert [before[f"<unused{n}>"] for n in (0, 98, 99)] == [6, 104, 256_001]
    tags = take_over(tokenizer)
    assert tags.all_ids == (*range(6, 105), 256_001, 256_002, 256_003)
    assert tags.id(FLEURS_LANGUAGES[-1]) == 256_003
    text = "hello<|eng|><|deu|>hallo"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
