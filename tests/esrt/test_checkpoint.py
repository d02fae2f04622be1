"""A model's folder: saved, loaded, pushed, and refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from esrt_privacy.errors import AssetError, EsrtPrivacyError, SystemUnavailable
from esrt_privacy.esrt.checkpoint import (
    LLM_ADAPTER_FILE,
    MODEL_FILE,
    PROJECTOR_FILE,
    checkpoint_folder,
)
from esrt_privacy.esrt.config import PRESETS, REFERENCE
from esrt_privacy.esrt.edge import Edge
from esrt_privacy.esrt.model import MODEL_PRESETS, EsrtModel, ModelConfig, model_preset
from tests import tiny_llm

SMT = ([[130, 131, 5, 6]], [[132, 133]])


@pytest.fixture
def saved(model, tmp_path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def outputs(model, wire, tone):
    """A wire tensor, a loss and answers."""
    with torch.inference_mode():
        loss = model.loss(wire[:1], *SMT)
    answers = model.cloud().translate(wire, "eng", ["deu", "fra"], most_tokens=8)
    return model.edge.encode([tone(1.0)]), loss, answers


def same(first, second):
    return all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(first, second, strict=True)
    )


def test_saved_and_loaded_gives_the_same_bits(model, saved, wire, tone):
    loaded = EsrtModel.from_pretrained(saved)
    assert loaded.config == model.config and not loaded.training
    assert same(outputs(loaded, wire, tone), outputs(model, wire, tone))


def test_loaded_weights_go_on_being_trained(saved, wire):
    loaded = EsrtModel.from_pretrained(saved).train()
    loaded.loss(wire[:1], *SMT).backward()
    trained = {n for n, p in loaded.named_parameters() if p.grad is not None}
    assert any("lora" in n for n in trained) and any("projector" in n for n in trained)


def test_saving_a_loaded_model_again_changes_no_byte(saved, tmp_path):
    EsrtModel.from_pretrained(saved).save_pretrained(tmp_path / "again")
    files = sorted(path.name for path in saved.iterdir())
    assert files == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in files:
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_folder_names_the_llm_and_does_not_copy_it(saved, llm_folder):
    files = {path.name for path in saved.iterdir()}
    assert files == {
        "config.json",
        "qformer.safetensors",
        "model.json",
        "projector.safetensors",
        "llm_adapter.safetensors",
    }
    row = json.loads((saved / MODEL_FILE).read_text())
    assert row == {"llm": str(llm_folder), "llm_width": 48, "lora_rank": 4, "lora_alpha": 8}


def test_edge_reads_the_folder_without_an_llm(model, saved, tone):
    for name in (MODEL_FILE, PROJECTOR_FILE, LLM_ADAPTER_FILE):
        (saved / name).unlink()
    edge = Edge.from_adapter(saved, Path(model.config.edge.encoder.name))
    assert torch.equal(edge.encode([tone(1.0)]), model.edge.encode([tone(1.0)]))


def test_cloud_reads_the_folder_without_an_edge(model, saved, wire):
    loaded = EsrtModel.from_pretrained(saved, with_edge=False)
    assert loaded.edge is None
    assert torch.equal(loaded.loss(wire[:1], *SMT), model.loss(wire[:1], *SMT))
    with pytest.raises(SystemUnavailable, match="without its edge half cannot be saved"):
        loaded.save_pretrained(saved)


def test_half_precision_takes_half_the_room_and_changes_little(model, tmp_path, wire, tone):
    model.save_pretrained(tmp_path, half=True)
    for name in ("qformer.safetensors", PROJECTOR_FILE, LLM_ADAPTER_FILE):
        assert {t.dtype for t in load_file(tmp_path / name).values()} == {torch.float16}
    loaded = EsrtModel.from_pretrained(tmp_path)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    found, expected = outputs(loaded, wire, tone), outputs(model, wire, tone)
    torch.testing.assert_close(found[:2], expected[:2], atol=0.02, rtol=0.02)


def test_llm_is_merged_and_copied_where_asked_for(model, model_config, tmp_path, wire, tone):
    elsewhere = tmp_path / "llm"
    shutil.copytree(model_config.llm, elsewhere)
    model.save_pretrained(tmp_path / "model")  # its adapter must not be added again
    expected = outputs(model, wire, tone)
    model.save_pretrained(tmp_path / "model", with_llm=True)
    assert same(outputs(model, wire, tone), expected)  # saving changes nothing
    moved = (tmp_path / "model").rename(tmp_path / "moved")
    assert not (moved / LLM_ADAPTER_FILE).exists()
    loaded = EsrtModel.from_pretrained(moved)
    torch.testing.assert_close(outputs(loaded, wire, tone)[:2], expected[:2])
    loaded.save_pretrained(tmp_path / "third")
    again = EsrtModel.from_pretrained(tmp_path / "third")
    assert same(outputs(again, wire, tone), outputs(loaded, wire, tone))


def test_a_merged_model_gives_the_same_and_is_not_saved(saved, tmp_path, wire, tone):
    loaded = EsrtModel.from_pretrained(saved)
    expected = outputs(loaded, wire, tone)
    assert loaded.merge() is loaded
    assert not any("lora" in name for name, _ in loaded.named_parameters())
    torch.testing.assert_close(outputs(loaded, wire, tone)[:2], expected[:2])
    with pytest.raises(SystemUnavailable, match="merged in cannot be saved: load it anew"):
        loaded.save_pretrained(tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_checkpoint_is_loaded_as_a_preset_with_its_query_set(model, model_config, saved, wire):
    lite = replace(model_config, edge=replace(model_config.edge, name="tiny-lite", queries=4))
    loaded = EsrtModel.from_pretrained(saved, preset=lite)
    assert loaded.config == lite and loaded.edge.config == lite.edge
    with torch.inference_mode():
        assert torch.equal(loaded.loss(wire[:1, :4], *SMT), model.loss(wire[:1, :4], *SMT))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"llm_width": 2560}, "LLM width 48, not 2560"),
        ({"edge": REFERENCE}, "encoder width 32, not 512"),
        ({"edge": REFERENCE}, "wire width 24, not 768, no set of 80 queries"),
    ],
)
def test_checkpoint_of_another_preset_is_one_line(model_config, saved, change, reason):
    with pytest.raises(SystemUnavailable, match="a checkpoint of tiny, not of") as error:
        EsrtModel.from_pretrained(saved, preset=replace(model_config, **change))
    assert reason in str(error.value) and "\n" not in str(error.value)


def test_llm_of_another_width_is_one_line(saved, tmp_path):
    other = tiny_llm.write_llm(tmp_path / "other", width=32)
    row = json.loads((saved / MODEL_FILE).read_text())
    (saved / MODEL_FILE).write_text(json.dumps({**row, "llm": str(other)}))
    with pytest.raises(SystemUnavailable, match="an LLM of width 32; tiny needs 48"):
        EsrtModel.from_pretrained(saved)


@pytest.mark.parametrize("name", [PROJECTOR_FILE, LLM_ADAPTER_FILE])
@pytest.mark.parametrize("damage", [lambda b: b[:-7], lambda b: b"", None])
def test_damaged_or_missing_weights_name_their_file(saved, name, damage):
    path = saved / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(AssetError, match=f"{name}: cannot be read") as error:
        EsrtModel.from_pretrained(saved)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [PROJECTOR_FILE, LLM_ADAPTER_FILE])
def test_weights_of_something_else_are_one_short_line(saved, name):
    save_file({"foreign": torch.zeros(3)}, saved / name)
    with pytest.raises(SystemUnavailable, match=f"{name}: not a") as error:
        EsrtModel.from_pretrained(saved)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_adapter_of_another_rank_is_one_line(saved):
    row = json.loads((saved / MODEL_FILE).read_text())
    (saved / MODEL_FILE).write_text(json.dumps({**row, "lora_rank": 2}))
    with pytest.raises(SystemUnavailable, match="not an adapter of this LLM") as error:
        EsrtModel.from_pretrained(saved)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[1]",
        "{}",
        '{"llm": 3, "llm_width": 48}',
        '{"llm": "x", "llm_width": "48"}',
        '{"llm": "x", "llm_width": 0}',
        '{"llm": "x", "llm_width": 48, "lora_rank": 1e9}',
        '{"llm": "x", "llm_width": 48, "surprise": 1}',
        "[" * 100_000,
    ],
)
def test_malformed_model_configuration_is_one_line(saved, content):
    (saved / MODEL_FILE).write_text(content)
    with pytest.raises(EsrtPrivacyError, match=r"model\.json") as error:
        EsrtModel.from_pretrained(saved)
    assert "\n" not in str(error.value)


def test_adapter_of_the_edge_alone_says_so(tiny_system):
    with pytest.raises(AssetError, match="an adapter of the edge half only"):
        EsrtModel.from_pretrained(tiny_system)


def test_configuration_survives_json(model_config):
    text = model_config.to_json()
    assert ModelConfig.from_json(text, model_config.edge) == model_config


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_an_llm(name):
    config = model_preset(name)
    width = {"esrt-4b": 2560, "reference": 640, "reference-lite": 640}.get(name, 3840)
    assert config.edge == PRESETS[name] and config.llm_width == width
    assert (config.lora_rank, config.lora_alpha) == (16, 32)


def test_unknown_preset_names_the_known():
    with pytest.raises(SystemUnavailable, match="reference-lite"):
        model_preset("esrt-70b")
    assert MODEL_PRESETS.keys() == PRESETS.keys()


def test_a_fresh_model_has_a_random_qformer_and_no_effect_of_adapters(model_config, wire):
    fresh = EsrtModel.create(model_config)
    loss = fresh.loss(wire[:1], *SMT)
    with fresh.llm.disable_adapter():
        torch.testing.assert_close(fresh.loss(wire[:1], *SMT), loss)


class TestHub:
    @pytest.mark.parametrize("name", ["owner/name", "no-such-folder", "./no/such", "a/b/c"])
    def test_what_is_nowhere_is_one_line(self, name):
        with pytest.raises(AssetError, match="no such folder") as error:
            EsrtModel.from_pretrained(name)
        assert "\n" not in str(error.value)

    def test_pushing_offline_is_one_line(self, model):
        with pytest.raises(AssetError, match="owner/name: cannot be pushed") as error:
            model.push_to_hub("owner/name")
        assert "\n" not in str(error.value)

    def test_pushed_folder_is_loaded_from_the_hubs_cache(
        self, model, wire, tone, tmp_path, monkeypatch
    ):
        """The hub itself is not here: its two calls write where its cache would be."""
        from huggingface_hub import HfApi, constants

        repository = tmp_path / "models--owner--name"
        commit = "0" * 40
        seen = {}

        def create_repo(self, name, *, private, exist_ok):
            seen.update(name=name, private=private)
            return f"https://hub.example/{name}"

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            shutil.copytree(folder_path, repository / "snapshots" / commit)
            (repository / "refs").mkdir()
            (repository / "refs" / "main").write_text(commit)

        monkeypatch.setattr(HfApi, "create_repo", create_repo)
        monkeypatch.setattr(HfApi, "upload_folder", upload_folder)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        assert model.push_to_hub("owner/name") == "https://hub.example/owner/name"
        assert seen == {"name": "owner/name", "private": True}
        assert checkpoint_folder("owner/name") == repository / "snapshots" / commit
        loaded = EsrtModel.from_pretrained("owner/name")
        assert same(outputs(loaded, wire, tone), outputs(model, wire, tone))
