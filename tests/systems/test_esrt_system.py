import numpy as np
import pytest
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from esrt_privacy.errors import AssetError, SystemUnavailable
from esrt_privacy.esrt.config import PRESETS, EncoderConfig, QFormerConfig, SystemConfig
from esrt_privacy.esrt.edge import Edge, save_adapter
from esrt_privacy.esrt.encoder import Encoder, log_mel
from esrt_privacy.esrt.qformer import QFormer
from esrt_privacy.systems.esrt_system import EsrtSystem
from esrt_privacy.systems.registry import build_system, list_systems
from esrt_privacy.systems.transparent import fit_basis

TINY = SystemConfig(
    "tiny",
    EncoderConfig("tiny-whisper", mel_bins=80, width=32, layers=2, heads=2, feed_forward=64),
    QFormerConfig(
        layers=1, hidden=32, heads=2, feed_forward=64, cross_attention_frequency=1, query_sets=(8,)
    ),
    queries=8,
)


@pytest.fixture(scope="module")
def waves() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal(n)).astype(np.float32) for n in (8_000, 24_000)]


@pytest.fixture(scope="module")
def system(waves) -> EsrtSystem:
    torch.manual_seed(0)
    edge = Edge(TINY, Encoder(TINY.encoder), QFormer(TINY.qformer, TINY.encoder))
    mels = list(log_mel(waves, 80))
    return EsrtSystem(edge, fit_basis(mels, 8, 16, np.random.default_rng(0)))


def test_taps_stand_in_order_from_the_microphone(system):
    names = ["mel", "transparent", "encoder.0", "encoder.1", "encoder", "qformer"]
    assert list(system.taps) == names
    assert [tap.name for tap in system.taps.values() if tap.is_wire] == ["qformer"]
    assert len({tap.fingerprint for tap in system.taps.values()}) == len(names)


def test_every_tap_gives_the_shape_and_dtype_that_it_declares(system, waves):
    out = system.represent(waves, list(system.taps))
    assert list(out) == list(system.taps)
    for name, tap in system.taps.items():
        assert out[name].shape == (2, *tap.shape) and out[name].dtype == tap.dtype


def test_a_tap_gives_the_same_alone_as_beside_the_others(system, waves):
    together = system.represent(waves, list(system.taps))
    for name in system.taps:
        alone = system.represent(waves, [name])
        assert list(alone) == [name]
        torch.testing.assert_close(alone[name], together[name])


def test_wire_tap_is_what_the_edge_sends(system, waves):
    tensor = system.represent(waves, ["qformer"])["qformer"]
    assert torch.equal(tensor, system.edge.encode(waves))


def test_mel_tap_is_whispers_log_mel_frame_by_frame(system, waves):
    mel = system.represent(waves, ["mel"])["mel"]
    assert torch.equal(mel, log_mel(waves, 80).transpose(1, 2).half())


def test_without_a_basis_there_is_no_transparent_tap(system, waves):
    bare = EsrtSystem(system.edge)
    assert "transparent" not in bare.taps
    with pytest.raises(SystemUnavailable, match="tiny has no tap 'transparent'; it has mel, enc"):
        bare.represent(waves, ["transparent"])


def test_every_preset_is_listed_and_only_the_reference_is_ready():
    rows = {row.config.name: row.available for row in list_systems()}
    assert set(rows) == set(PRESETS)
    assert {name for name, ready in rows.items() if ready} == {"reference", "reference-lite"}


def test_sizes_without_weights_cannot_be_built():
    with pytest.raises(SystemUnavailable, match="the authors' weights are not part"):
        build_system("esrt-4b")


def test_unknown_name_is_one_line_with_the_known_ones():
    with pytest.raises(SystemUnavailable, match=r"unknown system 'nothing'.*esrt-12b-lite"):
        build_system("nothing")


def test_folder_without_an_adapter_is_one_line(tmp_path):
    with pytest.raises(AssetError, match="no adapter here"):
        build_system(str(tmp_path))


def test_users_adapter_folder_becomes_a_system(system, tmp_path, waves):
    encoder = TINY.encoder
    sizes = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32}
    tokens = {"vocab_size": 9, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    whisper = WhisperModel(
        WhisperConfig(
            num_mel_bins=encoder.mel_bins,
            d_model=encoder.width,
            encoder_layers=encoder.layers,
            encoder_attention_heads=encoder.heads,
            encoder_ffn_dim=encoder.feed_forward,
            decoder_start_token_id=1,
            **sizes,
            **tokens,
        )
    )
    whisper.encoder.load_state_dict(system.edge.encoder.model.state_dict())
    whisper.save_pretrained(tmp_path / "tiny-whisper")
    WhisperFeatureExtractor(feature_size=80).save_pretrained(tmp_path / "tiny-whisper")
    save_adapter(tmp_path / "adapter", TINY, system.edge.qformer)
    built = build_system(str(tmp_path / "adapter"), tmp_path)
    assert built.name == "tiny"
    ours, theirs = (s.represent(waves, ["qformer"])["qformer"] for s in (system, built))
    torch.testing.assert_close(theirs, ours, atol=0.03, rtol=0.03)
