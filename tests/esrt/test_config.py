import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.errors import SystemUnavailable
from esrt_privacy.esrt.config import PRESETS, SystemConfig, preset
from esrt_privacy.esrt.encoder import Encoder
from esrt_privacy.esrt.qformer import QFormer

WIRE = {  # queries, hidden, bytes: 80·768·2 and 40·768·2
    "esrt-4b": (80, 768, 122_880),
    "esrt-12b": (80, 768, 122_880),
    "esrt-12b-lite": (40, 768, 61_440),
    "reference": (80, 768, 122_880),
    "reference-lite": (40, 768, 61_440),
}
LARGE_V3 = {"esrt-4b", "esrt-12b", "esrt-12b-lite"}


@pytest.mark.parametrize("name", PRESETS)
def test_preset_sends_the_shape_and_bytes_of_the_paper(name):
    config = preset(name)
    mel_bins, width = (128, 1280) if name in LARGE_V3 else (80, 512)
    assert (config.encoder.mel_bins, config.encoder.width) == (mel_bins, width)
    assert (*config.wire_shape, config.wire_bytes) == WIRE[name]
    with torch.device("meta"):
        encoder, qformer = Encoder(config.encoder), QFormer(config.qformer, config.encoder)
        frames = encoder(torch.empty(2, mel_bins, 3000))
        assert frames.shape == (2, 1500, width)
        assert qformer(frames, config.queries).shape == (2, *config.wire_shape)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_has_the_parameters_that_its_sizes_give(name):
    config = preset(name)
    e, q = config.encoder, config.qformer
    with torch.device("meta"):
        encoder, qformer = Encoder(e), QFormer(q, e)
    # Whisper's attention has no bias on its keys; weights and biases counted by hand.
    layer = 4 * e.width**2 + 3 * e.width + 2 * e.width * e.feed_forward + e.feed_forward + e.width
    convolutions = 3 * e.mel_bins * e.width + 3 * e.width**2 + 2 * e.width
    whisper = convolutions + 1500 * e.width + e.layers * (layer + 4 * e.width) + 2 * e.width
    assert sum(p.numel() for p in encoder.parameters()) == whisper

    h, f = q.hidden, q.feed_forward
    self_attention = 4 * (h * h + h) + 2 * h
    cross_attention = 2 * (h * h + h) + 2 * (e.width * h + h) + 2 * h
    feed_forward = 2 * h * f + f + h + 2 * h
    crossed = len(range(0, q.layers, q.cross_attention_frequency))
    body = q.layers * (self_attention + feed_forward) + crossed * cross_attention
    queries = sum(q.query_sets) * h
    assert sum(p.numel() for p in qformer.parameters()) == body + queries + 2 * h


def test_reference_adapter_fits_in_36_megabytes_of_half_precision():
    with torch.device("meta"):
        qformer = QFormer(preset("reference").qformer, preset("reference").encoder)
    assert 2 * sum(p.numel() for p in qformer.parameters()) <= 36e6


def test_unknown_preset_names_those_that_exist():
    with pytest.raises(SystemUnavailable, match="esrt-12b-lite"):
        preset("esrt-5b")


@pytest.mark.parametrize("name", PRESETS)
def test_configuration_survives_json(name):
    assert SystemConfig.from_json(preset(name).to_json()) == preset(name)


def test_a_query_set_that_does_not_exist_is_refused(tiny):
    with pytest.raises(SystemUnavailable, match=r"no set of 80 queries \(has 8, 4\)"):
        SystemConfig("x", tiny.encoder, tiny.qformer, queries=80)


def changed(config: SystemConfig, part: str, name: str, value: object) -> str:
    row = json.loads(config.to_json())
    (row[part] if part else row)[name] = value
    return json.dumps(row)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("encoder", "width", "512"),
        ("encoder", "width", -512),
        ("encoder", "width", 0),
        ("encoder", "width", 10**12),
        ("encoder", "heads", 7),
        ("encoder", "layers", 60_000),
        ("encoder", "layers", True),
        ("encoder", "surprise", 1),
        ("encoder", "name", 3),
        ("qformer", "query_sets", "80"),
        ("qformer", "query_sets", []),
        ("qformer", "query_sets", 80),
        ("qformer", "hidden", 1.5),
        ("qformer", "cross_attention_frequency", 0),
        ("qformer", "query_deviation", "wide"),
        ("", "queries", 7),
        ("", "name", None),
        ("", "encoder", "whisper"),
        ("", "qformer", None),
    ],
)
def test_malformed_configuration_is_one_line(tiny, part, name, value):
    with pytest.raises(SystemUnavailable) as error:
        SystemConfig.from_json(changed(tiny, part, name, value), "folder/config.json")
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", "{}", "[" * 100_000, '{"encoder":{}}']
)
def test_text_that_is_no_configuration_names_its_file(text):
    with pytest.raises(SystemUnavailable, match=r"^folder/config\.json: not a system conf"):
        SystemConfig.from_json(text, "folder/config.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(
    st.fixed_dictionaries(
        {"name": JSON, "encoder": JSON, "qformer": JSON | st.just({"query_sets": [80]})}
    )
)
def test_any_json_is_a_configuration_or_refused(row):
    try:
        SystemConfig.from_json(json.dumps(row))
    except SystemUnavailable as error:
        assert "\n" not in str(error)
