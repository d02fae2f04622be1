import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from esrt_privacy.errors import AssetError, EsrtPrivacyError, SystemUnavailable
from esrt_privacy.esrt.config import SystemConfig
from esrt_privacy.esrt.edge import (
    ADAPTER_FILE,
    CONFIG_FILE,
    Edge,
    fingerprint,
    load_qformer,
    read_config,
    save_adapter,
)
from esrt_privacy.esrt.qformer import QFormer


@pytest.fixture
def adapter(tmp_path, tiny, qformer):
    save_adapter(tmp_path / "adapter", tiny, qformer)
    return tmp_path / "adapter"


def test_wire_tensor_is_bfloat16_of_the_systems_shape(edge, tiny, tone):
    wire = edge.encode([tone(1.0), tone(2.0, 1)])
    assert wire.dtype == torch.bfloat16 and wire.shape == (2, *tiny.wire_shape)
    assert wire[0].nbytes == tiny.wire_bytes
    assert torch.isfinite(wire).all()


def test_an_utterance_gives_the_same_tensor_alone_and_in_a_batch(edge, tone):
    waves = [tone(seconds, seed) for seed, seconds in enumerate((0.5, 3.0, 30.0))]
    together = edge.encode(waves)
    for row, wave in zip(together, waves, strict=True):
        # Half a unit of bfloat16's 8 bits may fall the other way.
        torch.testing.assert_close(row, edge.encode([wave])[0], atol=0.02, rtol=0.01)
    assert (together[0].float() - together[1].float()).abs().max() > 0.2


def test_silence_up_to_30_seconds_changes_nothing(edge, tone):
    wave = tone(2.0)
    padded = torch.nn.functional.pad(torch.from_numpy(wave), (0, 28 * 16_000)).numpy()
    assert torch.equal(edge.encode([wave]), edge.encode([padded]))


def test_what_follows_30_seconds_is_not_heard(edge, tone):
    wave = tone(31.0)
    assert torch.equal(edge.encode([wave]), edge.encode([wave[: 30 * 16_000]]))


def test_adapter_survives_saving_in_half_precision(adapter, tiny, qformer, frames):
    loaded = load_qformer(adapter, read_config(adapter))
    assert read_config(adapter) == tiny
    for name, weight in qformer.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight.half().float())
    assert {t.device.type for t in (*loaded.parameters(), *loaded.buffers())} == {"cpu"}
    with torch.inference_mode():
        torch.testing.assert_close(loaded(frames, 8), qformer(frames, 8), atol=0.02, rtol=0.02)


def test_saving_a_loaded_adapter_again_changes_no_byte(adapter, tmp_path):
    config = read_config(adapter)
    save_adapter(tmp_path / "again", config, load_qformer(adapter, config))
    for name in (CONFIG_FILE, ADAPTER_FILE):
        assert (adapter / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_edge_from_an_adapter_folder_sends_either_query_set(adapter, whisper_folder, tone):
    edge = Edge.from_adapter(adapter, whisper_folder)
    lite = Edge.from_adapter(adapter, whisper_folder, queries=4, name="tiny-lite")
    assert edge.encode([tone(1.0)]).shape == (1, 8, 32)
    assert lite.encode([tone(1.0)]).shape == (1, 4, 32)
    assert lite.config.name == "tiny-lite" and edge.config.name == "tiny"
    assert edge.encoder_fingerprint == lite.encoder_fingerprint
    assert edge.wire_fingerprint != lite.wire_fingerprint
    with pytest.raises(SystemUnavailable, match="no set of 5 queries"):
        Edge.from_adapter(adapter, whisper_folder, queries=5)


def test_a_device_need_not_hold_models_of_transformers_nor_a_compiler(adapter, whisper_folder):
    """They would be a quarter of a gigabyte beside the edge."""
    code = (
        "import sys, numpy as np\nfrom pathlib import Path\n"
        "from esrt_privacy.esrt.edge import Edge\n"
        f"edge = Edge.from_adapter(Path({str(adapter)!r}), Path({str(whisper_folder)!r}))\n"
        "assert edge.encode([np.zeros(16000, np.float32)]).shape == (1, 8, 32)\n"
        "heavy = ['torch._dynamo', 'torch._inductor', 'transformers.modeling_utils', 'sympy']\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_fingerprint_sees_one_changed_weight_and_nothing_else(qformer, tiny):
    first = fingerprint(qformer)
    assert fingerprint(qformer.half().float()) != first  # rounding is a change
    again = QFormer(tiny.qformer, tiny.encoder)
    again.load_state_dict(qformer.state_dict())
    second = fingerprint(qformer)
    assert fingerprint(again) == second
    with torch.no_grad():
        again.queries["8"][0, 0, 0] += 1
    assert fingerprint(again) != second


def test_empty_folder_is_no_adapter(tmp_path):
    with pytest.raises(AssetError, match=r"no adapter here \(config\.json is missing\)"):
        read_config(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00garbage", b"{", b"[1]"])
def test_malformed_adapter_configuration_is_one_line(adapter, content):
    (adapter / CONFIG_FILE).write_bytes(content)
    with pytest.raises(EsrtPrivacyError, match=r"config\.json") as error:
        read_config(adapter)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", [lambda b: b[:-7], lambda b: b"", lambda b: b"\xff" * 64])
def test_damaged_adapter_names_its_file(adapter, tiny, damage):
    path = adapter / ADAPTER_FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(AssetError, match=r"qformer\.safetensors: cannot be read") as error:
        load_qformer(adapter, tiny)
    assert "\n" not in str(error.value)


def test_adapter_file_that_is_missing_is_named(adapter, tiny):
    (adapter / ADAPTER_FILE).unlink()
    with pytest.raises(AssetError, match=r"qformer\.safetensors"):
        load_qformer(adapter, tiny)


def test_adapter_of_other_sizes_is_one_short_line(adapter, tiny):
    wide = SystemConfig("wide", replace(tiny.encoder, width=64), tiny.qformer, 8)
    with pytest.raises(SystemUnavailable, match="not an adapter of these sizes") as error:
        load_qformer(adapter, wide)
    assert "\n" not in str(error.value)


def test_weights_of_something_else_are_one_short_line(adapter, tiny):
    save_file({"foreign": torch.zeros(3)}, adapter / ADAPTER_FILE)
    with pytest.raises(SystemUnavailable, match="not an adapter of these sizes") as error:
        load_qformer(adapter, tiny)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_adapter_file_is_half_precision(adapter):
    assert {t.dtype for t in load_file(adapter / ADAPTER_FILE).values()} == {torch.float16}
