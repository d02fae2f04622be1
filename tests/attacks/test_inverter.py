"""The reconstruction network: sizes, shapes, and its file."""

import json

import pytest
import torch
from safetensors.torch import save_file

from esrt_privacy.attacks.inverter import Inverter, InverterConfig, load_inverter, save_inverter
from esrt_privacy.errors import AttackError

SMALL = InverterConfig(50, 16, context=16, context_layers=1, channels=16, blocks=2, relative=8)


@pytest.mark.parametrize(
    ("vectors", "width", "mel_bins"),
    [(80, 768, 80), (40, 768, 80), (1500, 512, 80), (3000, 80, 80), (80, 768, 128), (7, 24, 80)],
)
def test_every_shape_of_tensor_is_taken_within_eight_megabytes(vectors, width, mel_bins):
    torch.manual_seed(0)
    model = Inverter(InverterConfig(vectors, width, mel_bins)).eval()
    assert sum(p.numel() for p in model.parameters()) < 4.2e6
    with torch.inference_mode():
        mel, lengths = model(torch.randn(2, vectors, width), torch.tensor([37, 110]))
    assert mel.shape == (2, 110, mel_bins)
    assert lengths.shape == (2,)
    assert bool(torch.isfinite(mel).all())


def test_shipped_shapes_take_less_than_eight_million_bytes_on_disk(tmp_path):
    for vectors, width in [(80, 768), (40, 768), (1500, 512)]:
        path = tmp_path / f"{vectors}.safetensors"
        save_inverter(Inverter(InverterConfig(vectors, width)), path, {})
        assert path.stat().st_size < 8_400_000


def test_without_a_given_length_the_predicted_one_is_used():
    model = Inverter(SMALL).eval()
    with torch.inference_mode():
        mel, lengths = model(torch.randn(3, 50, 16))
    assert mel.shape[1] == max(10, int(lengths.round().max()))
    assert bool(((lengths >= 0) & (lengths <= 3000)).all())


def test_a_constant_dimension_of_the_input_does_no_harm():
    model = Inverter(SMALL).eval()
    model.standardise(torch.zeros(16), torch.zeros(16), torch.zeros(80))
    with torch.inference_mode():
        mel, _ = model(torch.zeros(1, 50, 16), torch.tensor([20]))
    assert bool(torch.isfinite(mel).all())


def test_a_saved_network_reads_back_the_same_within_half_precision(tmp_path):
    model = Inverter(SMALL).eval()
    model.standardise(torch.randn(16), torch.rand(16) + 0.5, torch.randn(80))
    path = tmp_path / "network.safetensors"
    save_inverter(model, path, {"tap": "qformer"})
    loaded, about = load_inverter(path)
    assert about == {"tap": "qformer"}
    assert loaded.config == SMALL
    assert not loaded.training
    tensors, frames = torch.randn(2, 50, 16), torch.tensor([30, 60])
    with torch.inference_mode():
        assert torch.allclose(model(tensors, frames)[0], loaded(tensors, frames)[0], atol=0.02)


@pytest.mark.parametrize(
    "config",
    [
        None,
        "{",
        "[]",
        json.dumps({"vectors": 0, "width": 16}),
        json.dumps({"vectors": 10**9, "width": 10**9}),
        json.dumps({"vectors": 50, "width": 16, "colour": "red"}),
        json.dumps({"vectors": 50, "width": 16, "context": 15}),
        json.dumps({"vectors": 50, "width": 16, "blocks": 10**9}),
        json.dumps({"vectors": "many", "width": 16}),
        json.dumps({"vectors": 50, "width": 16}),
    ],
)
def test_a_file_that_is_no_network_is_one_line_that_names_it(tmp_path, config):
    path = tmp_path / "odd.safetensors"
    metadata = {} if config is None else {"config": config}
    save_file({"x": torch.zeros(1)}, path, metadata=metadata)
    with pytest.raises(AttackError, match=r"odd\.safetensors") as caught:
        load_inverter(path)
    assert "\n" not in str(caught.value)


def test_text_and_a_missing_file_are_one_line(tmp_path):
    path = tmp_path / "text.safetensors"
    path.write_text("hello")
    for odd in (path, tmp_path / "absent.safetensors"):
        with pytest.raises(AttackError, match=odd.name) as caught:
            load_inverter(odd)
        assert "\n" not in str(caught.value)
