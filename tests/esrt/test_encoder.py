from dataclasses import replace

import numpy as np
import pytest
import torch
import whisper as openai_whisper

from esrt_privacy.errors import AssetError, SystemUnavailable
from esrt_privacy.esrt.encoder import Encoder, log_mel


@pytest.fixture
def mel(tone):
    return log_mel([tone(1.0, 0), tone(2.0, 1)], 80)


@pytest.mark.parametrize("mel_bins", [80, 128])
def test_log_mel_is_that_of_openai_whisper(tone, mel_bins):
    waves = [tone(0.3, 0), tone(7.0, 1), tone(31.0, 2)]
    ours = log_mel(waves, mel_bins)
    assert ours.shape == (3, mel_bins, 3000) and ours.dtype == torch.float32
    for row, wave in zip(ours, waves, strict=True):
        padded = openai_whisper.pad_or_trim(torch.from_numpy(wave))
        theirs = openai_whisper.log_mel_spectrogram(padded, n_mels=mel_bins)
        torch.testing.assert_close(row, theirs, atol=1e-4, rtol=0)


def test_log_mel_leaves_the_waveform_as_it_was(tone):
    wave = tone(1.0)
    before = wave.copy()
    log_mel([wave], 80)
    np.testing.assert_array_equal(wave, before)


def test_encoder_read_from_a_folder_is_the_encoder_of_the_whole_whisper(
    tiny, whisper, whisper_folder, mel
):
    encoder = Encoder.from_folder(whisper_folder, tiny.encoder)
    with torch.inference_mode():
        wanted = whisper.encoder(mel).last_hidden_state
        torch.testing.assert_close(encoder(mel), wanted)
    assert not encoder.training
    assert all(not p.requires_grad and p.device.type == "cpu" for p in encoder.parameters())


def test_encoder_is_read_from_sharded_weights(tiny, whisper, tmp_path, mel):
    whisper.save_pretrained(tmp_path, max_shard_size="60KB")
    assert len(list(tmp_path.glob("model-0*-of-0*.safetensors"))) > 1
    encoder = Encoder.from_folder(tmp_path, tiny.encoder)
    with torch.inference_mode():
        torch.testing.assert_close(encoder(mel), whisper.encoder(mel).last_hidden_state)


def test_a_second_copy_in_another_precision_is_passed_over(tiny, whisper_folder):
    # As in openai/whisper-large-v3.
    (whisper_folder / "model.fp32-00001-of-00002.safetensors").write_bytes(b"not read")
    Encoder.from_folder(whisper_folder, tiny.encoder)


def test_half_precision_weights_are_computed_in_full(tiny, whisper, tmp_path):
    whisper.half().save_pretrained(tmp_path)
    encoder = Encoder.from_folder(tmp_path, tiny.encoder)
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "sizes", [{"width": 64}, {"mel_bins": 128}, {"layers": 3}, {"feed_forward": 32}, {"layers": 1}]
)
def test_a_whisper_of_other_sizes_is_one_line(tiny, whisper_folder, sizes):
    with pytest.raises(SystemUnavailable, match="not the Whisper encoder of this system") as error:
        Encoder.from_folder(whisper_folder, replace(tiny.encoder, **sizes))
    assert "\n" not in str(error.value) and str(whisper_folder) in str(error.value)


def test_another_number_of_heads_shows_although_the_weights_fit(tiny, whisper_folder):
    with pytest.raises(SystemUnavailable, match="2 heads, not 4"):
        Encoder.from_folder(whisper_folder, replace(tiny.encoder, heads=4))


def test_folder_without_weights_is_one_line(tiny, tmp_path):
    with pytest.raises(AssetError, match=r"model\.safetensors is missing"):
        Encoder.from_folder(tmp_path, tiny.encoder)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"x" * 99])
def test_damaged_weights_name_their_file(tiny, whisper_folder, damage):
    path = whisper_folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(AssetError, match=r"model\.safetensors: cannot be read") as error:
        Encoder.from_folder(whisper_folder, tiny.encoder)
    assert "\n" not in str(error.value)


def test_every_layer_is_that_of_transformers(tiny, whisper, whisper_folder, mel):
    encoder = Encoder.from_folder(whisper_folder, tiny.encoder)
    with torch.inference_mode():
        wanted = whisper.encoder(mel, output_hidden_states=True).hidden_states
        found = encoder.layers(mel)
    assert len(found) == len(wanted) == tiny.encoder.layers + 1
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 2998, 3002])
def test_another_number_of_mel_frames_is_refused(tiny, count):
    with pytest.raises(ValueError, match=f"3000 mel frames, not {count}"):
        Encoder(tiny.encoder)(torch.zeros(1, 80, count))


def test_a_drawn_encoder_has_the_positions_of_openai_whisper(tiny):
    theirs = openai_whisper.model.sinusoids(1500, 32)
    torch.testing.assert_close(Encoder(tiny.encoder).model.embed_positions.weight, theirs)


def test_layers_go_from_the_convolutions_to_the_encoders_output(tiny, edge, mel):
    with torch.inference_mode():
        layers = edge.encoder.layers(mel)
        assert len(layers) == tiny.encoder.layers + 1
        assert {layer.shape for layer in layers} == {torch.Size([2, 1500, 32])}
        torch.testing.assert_close(layers[-1], edge.encoder(mel))
        model = edge.encoder.model
        convolved = torch.nn.functional.gelu(
            model.conv2(torch.nn.functional.gelu(model.conv1(mel)))
        )
        expected = convolved.transpose(1, 2) + model.embed_positions.weight
        torch.testing.assert_close(layers[0], expected)
