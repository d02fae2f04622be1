"""A checkpoint of the released model's shape, with code of its own: nothing runs unasked, and what runs is audited."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from esrt_privacy import cli
from esrt_privacy.audit import ReconstructionRequest, reconstruct
from esrt_privacy.captures import capture
from esrt_privacy.corpora import load_corpus
from esrt_privacy.errors import (
    AssetError,
    EsrtPrivacyError,
    LanguageError,
    ModelError,
    SystemUnavailable,
)
from esrt_privacy.esrt.answers import Answer
from esrt_privacy.esrt.encoder import log_mel
from esrt_privacy.systems.registry import build_system, list_systems
from esrt_privacy.systems.released import ReleasedCloud, ReleasedSystem
from esrt_privacy.systems.remote_checkpoint import Checkpoint, load_model, open_checkpoint
from esrt_privacy.systems.transparent import fit_basis

VECTORS, WIDTH, BINS, FRAMES = 8, 24, 128, 16
WORDS = ("one", "two", "three", "four")

CONFIGURATION = """
from transformers import PretrainedConfig


class TinyEsrtConfig(PretrainedConfig):
    model_type = "tiny-esrt"

    def __init__(self, bins=128, width=24, vectors=8, **kwargs):
        self.bins, self.width, self.vectors = bins, width, vectors
        super().__init__(**kwargs)
"""

# What a test replaces is marked: the released model's two methods, and its class's arguments.
MODELING = """
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from .configuration_tiny import TinyEsrtConfig

Path({marker!r}).write_text("ran")
WORDS = ("one", "two", "three", "four")


class WhisperEncoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.conv = nn.Conv1d(config.bins, config.width, 3, padding=1)

    def forward(self, mel):
        return torch.tanh(nn.functional.avg_pool1d(self.conv(mel), 3000 // 16)).mT


class TinyEsrt(PreTrainedModel):
    config_class = TinyEsrtConfig

    def __init__(self, config{arguments}):
        super().__init__(config)
        self.encoder = WhisperEncoder(config)
        self.queries = nn.Linear(config.width, config.width)
        self.llm = None if {encoder_only} else nn.Linear(config.width, len(WORDS))
        self.post_init()

    def _init_weights(self, module):
        pass

    def translate_encode(self, mel):
        frames = self.encoder(mel.to(self.dtype))
        vectors = self.queries(nn.functional.adaptive_avg_pool1d(frames.mT, self.config.vectors).mT)
        {encoded}

    def translate_batch_embeds(self, beam, embeds, prompts, max_new_tokens=200, use_vllm=False):
        assert embeds.dtype == self.dtype and len(embeds) == len(prompts)
        best = self.llm(embeds.mean(1)).argmax(-1).tolist()
        {translated}
"""

WHOLE = {
    "arguments": ", use_vllm=True, encoder_only=False",
    "encoder_only": "encoder_only",
    # A row depends on its batch, as padding may make it do: the system must not show it.
    "encoded": "return vectors + 0.01 * (len(mel) - 1)",
    "translated": 'return [f"{WORDS[n]} {beam}{p}{WORDS[-n]}<eos>" for n, p in zip(best, prompts)]',
}


def write_checkpoint(folder: Path, marker: Path, config: dict | None = None, **code: str) -> Path:
    """A random model of the released one's interface in `folder`, 8 x 24 on the wire; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    row = {
        "model_type": "tiny-esrt",
        "architectures": ["TinyEsrt"],
        "auto_map": {
            "AutoConfig": "configuration_tiny.TinyEsrtConfig",
            "AutoModel": "modeling_tiny.TinyEsrt",
        },
        **(config or {}),
    }
    (folder / "config.json").write_text(json.dumps(row))
    (folder / "configuration_tiny.py").write_text(CONFIGURATION)
    text = MODELING.replace("{marker!r}", repr(str(marker)))
    for name, value in {**WHOLE, **code}.items():
        text = text.replace(f"{{{name}}}", value)
    (folder / "modeling_tiny.py").write_text(text)
    draw = torch.Generator().manual_seed(0)
    shapes = {
        "encoder.conv.weight": (WIDTH, row.get("bins", BINS), 3),
        "encoder.conv.bias": (WIDTH,),
        "queries.weight": (WIDTH, WIDTH),
        "queries.bias": (WIDTH,),
        "llm.weight": (len(WORDS), WIDTH),
        "llm.bias": (len(WORDS),),
    }
    weights = {k: 0.2 * torch.randn(s, generator=draw) for k, s in shapes.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


Build = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """transformers copies remote code to a cache and imports it from there: one for each test."""
    cache = str(tmp_path / "modules")
    # The variable HF_MODULES_CACHE is read once, by whichever test imports transformers first.
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", cache)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [n for n in sys.modules if n.split(".")[0] == "transformers_modules"]:
        del sys.modules[name]


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that is there once the checkpoint's code has been imported."""
    return tmp_path / "ran"


@pytest.fixture
def build(tmp_path: Path, marker: Path) -> Build:
    """build(name, config, **code) -> the folder of a checkpoint, written at the first call."""

    def made(name: str = "tiny-4b", config: dict | None = None, **code: str) -> Path:
        folder = tmp_path / name
        return folder if folder.exists() else write_checkpoint(folder, marker, config, **code)

    return made


@pytest.fixture
def system(build: Build) -> ReleasedSystem:
    return build_system(str(build()), allow_remote_code=True)


@pytest.fixture
def waves() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal(n)).astype(np.float32) for n in (8_000, 24_000, 11_111)]


def direct(folder: Path, waves: list[np.ndarray]) -> torch.Tensor:
    """What the checkpoint gives without this package's system, one recording after the other."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(
        str(folder), trust_remote_code=True, encoder_only=True, dtype=torch.bfloat16
    ).eval()
    with torch.inference_mode():
        return torch.cat([model.translate_encode(log_mel([wave], BINS)) for wave in waves])


def one_line(error: pytest.ExceptionInfo[EsrtPrivacyError]) -> str:
    text = str(error.value)
    assert len(text.splitlines()) == 1 and text.isprintable()
    return text


# --- consent


def test_without_consent_one_line_names_the_flag_and_none_of_the_code_runs(build, marker, tmp_path):
    with pytest.raises(SystemUnavailable, match="--allow-remote-code") as error:
        build_system(str(build()))
    text = one_line(error)
    assert "runs code of its publisher" in text and "modeling_tiny.py" in text
    assert "revision sha256:" in text
    assert not marker.exists() and not (tmp_path / "modules").exists()


def test_finding_a_checkpoint_runs_none_of_its_code_and_loading_it_does(build, marker):
    checkpoint = open_checkpoint(str(build()), allow_remote_code=True)
    assert not marker.exists()
    ReleasedSystem.load(checkpoint)
    assert marker.exists()


def test_the_command_line_asks_for_consent_before_any_work(build, marker, tmp_path, tiny_speech):
    asked = ["reconstruct", "--system", str(build()), "--corpus", str(tiny_speech)]
    done = CliRunner().invoke(cli.app, [*asked, "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, SystemUnavailable)
    assert "--allow-remote-code" in str(done.exception)
    assert not marker.exists() and not (tmp_path / "out").exists()


def test_the_table_of_systems_tells_of_the_released_checkpoint():
    remarks = {row.config.name: row.remark for row in list_systems()}
    assert "yxdu/ESRT-4B with --allow-remote-code" in remarks["esrt-4b"]
    with pytest.raises(SystemUnavailable, match="or yxdu/ESRT-4B, as --system"):
        build_system("esrt-4b")


# --- taps


def test_taps_and_what_they_give(system, waves):
    assert system.name == "tiny-4b"
    assert list(system.taps) == ["mel", "encoder", "qformer"]
    assert [tap.name for tap in system.taps.values() if tap.is_wire] == ["qformer"]
    shapes = {name: tap.shape for name, tap in system.taps.items()}
    assert shapes == {"mel": (3000, BINS), "encoder": (FRAMES, WIDTH), "qformer": (VECTORS, WIDTH)}
    out = system.represent(waves, list(system.taps))
    for name, tap in system.taps.items():
        assert out[name].shape == (3, *tap.shape) and out[name].dtype == tap.dtype
    assert system.represent([], ["qformer"])["qformer"].shape == (0, VECTORS, WIDTH)
    with pytest.raises(SystemUnavailable, match=r"no tap 'encoder\.3'; it has mel, enc"):
        system.represent(waves, ["encoder.3"])


def test_the_wire_tensor_is_what_the_checkpoints_own_call_gives(build, system, waves):
    tensor = system.represent(waves, ["qformer"])["qformer"]
    assert torch.equal(tensor, direct(build(), waves))
    assert tensor.float().std() > 0.01


def test_an_utterance_does_not_depend_on_its_batch(system, waves):
    together = system.represent(waves, list(system.taps))
    for n, wave in enumerate(waves):
        alone = system.represent([wave], list(system.taps))
        for name in system.taps:
            assert torch.equal(alone[name][0], together[name][n])


def test_the_encoder_tap_is_the_models_own_encoder(system, waves):
    heard = system.represent(waves, ["encoder"])["encoder"]
    with torch.inference_mode():
        frames = system.model.encoder(log_mel(waves[:1], BINS).bfloat16())
    assert torch.equal(heard[:1], frames.half())


def test_a_model_without_a_whisper_encoder_has_no_encoder_tap(build, waves):
    folder = build()
    code = folder / "modeling_tiny.py"
    code.write_text(code.read_text().replace("WhisperEncoder", "Ears"))
    system = build_system(str(folder), allow_remote_code=True)
    assert list(system.taps) == ["mel", "qformer"]
    assert system.represent(waves, ["qformer"])["qformer"].shape == (3, VECTORS, WIDTH)


def test_the_configuration_says_how_many_mel_bins(build, waves):
    inner = {"bins": 80, "audio_config": {"num_mel_bins": 80}}
    system = build_system(str(build(config=inner)), allow_remote_code=True)
    assert system.taps["mel"].shape == (3000, 80)
    assert system.represent(waves, ["qformer"])["qformer"].shape == (3, VECTORS, WIDTH)


def test_a_class_that_knows_no_options_of_the_script_is_loaded_whole(build, waves):
    plain = build("plain", arguments="", encoder_only="False")
    system = build_system(str(plain), allow_remote_code=True)
    assert system.model.llm is not None
    assert system.represent(waves, ["qformer"])["qformer"].shape == (3, VECTORS, WIDTH)


def test_a_basis_adds_the_transparent_tap_and_nothing_else_changes(system, waves):
    mels = [log_mel([wave], BINS)[0] for wave in waves]
    basis = fit_basis(mels, VECTORS, WIDTH, np.random.default_rng(0))
    both = system.with_transparent(basis)
    assert list(both.taps) == ["mel", "transparent", "encoder", "qformer"]
    assert both.taps["qformer"] == system.taps["qformer"]
    assert both.represent(waves, ["transparent"])["transparent"].shape == (3, VECTORS, WIDTH)


# --- fingerprints


def test_a_copy_elsewhere_has_the_same_fingerprint(build, system, tmp_path):
    shutil.copytree(build(), tmp_path / "elsewhere")
    copy = build_system(str(tmp_path / "elsewhere"), allow_remote_code=True)
    assert {n: t.fingerprint for n, t in copy.taps.items()} == {
        n: t.fingerprint for n, t in system.taps.items()
    }


@pytest.mark.parametrize("changed", ["weights", "code", "imported code", "configuration"])
def test_the_fingerprint_changes_with_what_decides_the_tensor(build, system, changed):
    folder = build("other")
    if changed == "weights":
        weights = load_file(folder / "model.safetensors")
        weights["queries.bias"][0] += 0.5
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        names = {"code": "modeling_tiny.py", "imported code": "configuration_tiny.py"}
        path = folder / names.get(changed, "config.json")
        path.write_text(path.read_text() + "\n")
    other = build_system(str(folder), allow_remote_code=True)
    for tap in ("encoder", "qformer"):
        assert other.taps[tap].fingerprint != system.taps[tap].fingerprint
    assert other.taps["mel"] == system.taps["mel"]
    is_code = "code" in changed
    assert (other.checkpoint.revision != system.checkpoint.revision) == is_code


# --- captures and attacks


def test_captures_hold_what_the_checkpoints_own_call_gives(build, system, tiny_speech, tmp_path):
    corpus = load_corpus(tiny_speech)
    part = corpus.filter(lambda u: u.speaker in ("speaker0", "speaker1"))
    made = capture(system, ["qformer", "mel"], part, tmp_path / "captures", batch=3)
    waves = [u.waveform() for u in part]
    held = made["qformer"].batch(list(part))
    assert torch.equal(held, direct(build(), waves).float())
    made["qformer"].require(system)


def test_the_reconstruction_attack_runs_on_it(
    build, tiny_speech, tiny_judge, tmp_path, monkeypatch
):
    monkeypatch.setenv("ESRT_PRIVACY_CACHE", str(tmp_path / "cache"))
    request = ReconstructionRequest(
        system=str(build()),
        corpus=str(tiny_speech),
        train_corpus=str(tiny_speech),
        budget="1 steps",
        utterances=2,
        out=tmp_path / "out",
        allow_remote_code=True,
    )
    run = reconstruct(request, judge=tiny_judge).run
    assert run.system == "tiny-4b"
    assert {f.tap for f in run.findings} == {"qformer", "transparent", "encoder"}
    assert any("code of its publisher, revision sha256:" in note for note in run.corpus.notes)
    # No path of this machine gets into what is passed on.
    assert str(tmp_path) not in json.dumps(run.model_dump(mode="json")["findings"])


# --- the cloud


@pytest.fixture
def cloud(build: Build) -> ReleasedCloud:
    return ReleasedCloud.load(open_checkpoint(str(build()), allow_remote_code=True))


@pytest.fixture
def wire(system: ReleasedSystem, waves: list[np.ndarray]) -> torch.Tensor:
    return system.represent(waves, ["qformer"])["qformer"]


def test_answers_are_taken_apart_by_recording_and_target(cloud, wire):
    answers = cloud.translate(wire, "eng", ["deu", "French", "deu"], beam=5)
    assert [list(row) for row in answers] == [["deu", "fra"]] * 3
    with torch.inference_mode():
        best = cloud.model.llm(wire.mean(1)).argmax(-1).tolist()
    for row, n in zip(answers, best, strict=True):
        heard = Answer(f"{WORDS[n]} 5", WORDS[-n], language_ok=True, complete=True)
        assert row == {"deu": heard, "fra": heard}


def test_a_transcription_has_no_translation(build, wire):
    folder = build("asr", translated='return [f" {p[2:5]} text<end_of_turn>" for p in prompts]')
    cloud = ReleasedCloud.load(open_checkpoint(str(folder), allow_remote_code=True))
    assert cloud.transcribe(wire[:1], "English") == [Answer("eng text", "", True, True)]


def test_an_answer_in_other_languages_is_said_to_be_so(build, wire):
    folder = build("wrong", translated='return ["a<|eng|><|fra|>b", "nothing", "a<|eng|>b"]')
    cloud = ReleasedCloud.load(open_checkpoint(str(folder), allow_remote_code=True))
    found = [row["deu"] for row in cloud.translate(wire, "eng", ["deu"])]
    assert [a.language_ok for a in found] == [False] * 3
    assert [a.complete for a in found] == [True, False, False]
    assert found[0].translation == "b" and found[1].transcript == "nothing"


def test_nothing_asked_is_nothing_answered(cloud, wire):
    assert cloud.translate(wire, "eng", []) == [{}, {}, {}]
    assert cloud.translate(wire[:0], "eng", ["deu"]) == []
    assert cloud.transcribe(wire[:0], "eng") == []


def test_a_method_without_the_scripts_options_is_called_without_them(build, wire):
    folder = build("bare")
    code = folder / "modeling_tiny.py"
    code.write_text(code.read_text().replace(", max_new_tokens=200, use_vllm=False", ""))
    cloud = ReleasedCloud.load(open_checkpoint(str(folder), allow_remote_code=True))
    assert all(row["deu"].complete for row in cloud.translate(wire, "eng", ["deu"]))


def test_what_the_cloud_cannot_read_is_one_line(cloud, wire):
    for tensor, words in (
        (wire[0], "a wire tensor of shape (8, 24)"),
        (wire * float("nan"), "NaN or infinity"),
    ):
        with pytest.raises(ModelError) as error:
            cloud.translate(tensor, "eng", ["deu"])
        assert words in one_line(error)
    with pytest.raises(ModelError, match="at least 1"):
        cloud.translate(wire, "eng", ["deu"], beam=0)
    with pytest.raises(LanguageError, match="unknown language 'klingon'"):
        cloud.translate(wire, "eng", ["klingon"])


# --- what can be wrong


@pytest.mark.parametrize(
    ("translated", "words"),
    [
        ("raise KeyError('no such tag')", "own code failed in translate_batch_embeds in the cloud"),
        ("raise RuntimeError('CUDA out of memory. Tried')", "out of memory on 3 recordings"),
        ("return 'one text'", "gave no texts (str)"),
        ("return [1, 2, 3]", "gave no texts (list)"),
        ("return ['a']", "gave 1 texts for 3 recordings"),
    ],
)
def test_a_cloud_that_fails_is_one_line(build, wire, translated, words):
    folder = build("failing", translated=translated)
    cloud = ReleasedCloud.load(open_checkpoint(str(folder), allow_remote_code=True))
    with pytest.raises(ModelError) as error:
        cloud.translate(wire, "eng", ["deu"])
    assert words in one_line(error)


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        ("raise ValueError('first line\\nsecond line')", "(ValueError: first line); write to"),
        ("raise SystemExit('bye')", "own code failed in translate_encode on the edge"),
        ("raise MemoryError", "out of memory in translate_encode of failing"),
        ("return None", "own code failed in translate_encode on the edge"),
        ("return vectors[0]", "8 results for one recording, not one matrix"),
        ("return vectors.long()", "(8, 24) of torch.int64 for one recording"),
        ("return vectors[:, :0]", "(0, 24) of torch.bfloat16 for one recording"),
    ],
)
def test_an_edge_that_fails_is_one_line_when_it_is_built(build, encoded, words):
    with pytest.raises(ModelError) as error:
        build_system(str(build("failing", encoded=encoded)), allow_remote_code=True)
    assert words in one_line(error)


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        ("return vectors * float('nan')", "gave NaN or infinity at qformer"),
        (
            "return vectors if mel.std() < 0.001 else vectors[:, :5]",
            "shape (5, 24) at qformer, (8, 24) before",
        ),
    ],
)
def test_an_edge_that_gives_nonsense_for_a_recording_is_one_line(build, waves, encoded, words):
    system = build_system(str(build("odd", encoded=encoded)), allow_remote_code=True)
    with pytest.raises(ModelError) as error:
        system.represent(waves, ["qformer"])
    assert words in one_line(error) and "odd" in one_line(error)


@pytest.mark.parametrize("method", ["translate_encode", "translate_batch_embeds"])
def test_a_model_without_the_interface_is_one_line(build, method):
    folder = build("lacking")
    code = folder / "modeling_tiny.py"
    code.write_text(code.read_text().replace(f"def {method}", "def something"))
    checkpoint = open_checkpoint(str(folder), allow_remote_code=True)
    half = ReleasedSystem if method == "translate_encode" else ReleasedCloud
    with pytest.raises(SystemUnavailable, match=f"its model TinyEsrt has no {method}") as error:
        half.load(checkpoint)
    one_line(error)


def test_code_that_cannot_be_imported_is_one_line(build):
    folder = build("broken")
    code = folder / "modeling_tiny.py"
    code.write_text("import a_package_that_nobody_has\n" + code.read_text())
    with pytest.raises(SystemUnavailable, match="own code failed in being loaded") as error:
        build_system(str(folder), allow_remote_code=True)
    assert "a_package_that_nobody_has" in one_line(error) and "transformers" in one_line(error)


def _only_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-40])


def _a_weight_less(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["queries.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _a_shard_less(folder: Path) -> None:
    index = {"weight_map": {"queries.bias": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _no_module(folder: Path) -> None:
    (folder / "modeling_tiny.py").unlink()


def _configured(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (_only_a_pickle, AssetError, "no weights as safetensors in it; pickles"),
        (_cut, AssetError, "model.safetensors: cannot be read as weights"),
        (_a_weight_less, SystemUnavailable, "1 weights are not in its safetensors (queries.bias"),
        (_a_shard_less, AssetError, "model-00002-of-00002.safetensors: cannot be read"),
        (_no_module, AssetError, "modeling_tiny.py: missing, though config.json names it"),
        (_configured(num_mel_bins=10**9), SystemUnavailable, "num_mel_bins in config.json"),
        (_configured(auto_map={"AutoConfig": "a.B"}), SystemUnavailable, "no model class"),
        (_configured(auto_map=[]), SystemUnavailable, "no model class of its own"),
        (_configured(auto_map={"AutoModel": "../up.Up"}), SystemUnavailable, "no model class"),
        (
            _configured(auto_map={"AutoModel": "else/where--modeling.Model"}),
            SystemUnavailable,
            "its code lies in another repository (else/where--modeling.Model)",
        ),
    ],
)
def test_a_damaged_checkpoint_is_one_line(build, damage, kind, words):
    folder = build("damaged")
    damage(folder)
    with pytest.raises(kind) as error:
        build_system(str(folder), allow_remote_code=True)
    assert words in one_line(error)


# --- the hub


def cached_on_hub(cache: Path, folder: Path, name: str = "some-one/tiny-4b") -> str:
    """Lay a checkpoint into a hub cache as huggingface_hub does; its commit."""
    commit = "0123456789abcdef" * 2 + "01234567"
    place = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    return commit


def test_a_checkpoint_in_the_hubs_cache_is_pinned_to_its_commit(
    build, system, marker, tmp_path, monkeypatch
):
    marker.unlink()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    commit = cached_on_hub(tmp_path / "hub", build())
    for name in ("some-one/tiny-4b", f"some-one/tiny-4b@{commit}"):
        with pytest.raises(SystemUnavailable, match=f"revision {commit}") as error:
            build_system(name)
        assert "--allow-remote-code" in one_line(error)
    assert not marker.exists()
    found = build_system("some-one/tiny-4b", allow_remote_code=True)
    assert (found.name, found.checkpoint.revision) == ("some-one/tiny-4b", commit)
    assert found.taps == system.taps


def test_a_checkpoint_that_is_nowhere_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for allowed in (False, True):
        with pytest.raises(AssetError, match=r"yxdu/ESRT-4B: not on this machine") as error:
            build_system("yxdu/ESRT-4B", allow_remote_code=allowed)
        assert "--system" in one_line(error)


def test_a_download_that_stopped_half_way_is_one_line(build, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = build()
    (folder / "model.safetensors").unlink()
    cached_on_hub(tmp_path / "hub", folder)
    with pytest.raises(AssetError, match="some-one/tiny-4b: no weights as safetensors") as error:
        build_system("some-one/tiny-4b", allow_remote_code=True)
    one_line(error)


def test_python_in_a_folder_without_auto_map_is_never_run(build, marker):
    folder = build("adapter")
    path = folder / "config.json"
    row = json.loads(path.read_text())
    del row["auto_map"]
    path.write_text(json.dumps(row))
    with pytest.raises(SystemUnavailable, match="not a system configuration"):
        build_system(str(folder), allow_remote_code=True)
    assert not marker.exists()


def test_a_loaded_model_is_frozen_and_in_evaluation(build):
    checkpoint = open_checkpoint(str(build()), allow_remote_code=True)
    assert isinstance(checkpoint, Checkpoint)
    model = load_model(checkpoint)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_the_translate_command_runs_both_halves(build, tiny_speech, tmp_path):
    from esrt_privacy import cli

    asked = ["translate", str(tiny_speech), "--to", "deu,fra", "--model", str(build())]
    refused = CliRunner().invoke(cli.app, asked)
    assert refused.exit_code != 0
    assert "--allow-remote-code" in str(refused.exception)
    out = tmp_path / "answers.jsonl"
    done = CliRunner().invoke(cli.app, [*asked, "--allow-remote-code", "--out", str(out)])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert rows and all(set(row["answers"]) == {"deu", "fra"} for row in rows)
    assert all(answer["language_ok"] for row in rows for answer in row["answers"].values())
