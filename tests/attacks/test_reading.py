"""Reading tensors with the cloud half that they are meant for: a tiny model, trained to hear its recordings."""

from dataclasses import fields, replace

import pytest
import torch

from esrt_privacy.attacks import reading
from esrt_privacy.attacks.drafts import judged
from esrt_privacy.attacks.inputs import Inputs
from esrt_privacy.captures import Capture
from esrt_privacy.captures.capture import CapturedUtterance
from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.errors import AttackError
from esrt_privacy.esrt.training.curriculum import STAGES
from tests.attacks.planted import PlantedStore
from tests.esrt.conftest import llm_folder, model_config
from tests.esrt.training.conftest import frames, fresh, parallel, trained, utterances

__all__ = ["frames", "fresh", "llm_folder", "model_config", "parallel", "trained", "utterances"]


def captured(rows, tensors, tap="qformer"):
    """A capture of the rows with these tensors (utterances, vectors, width)."""
    known = [{f.name: getattr(u, f.name) for f in fields(Utterance)} for u in rows]
    corpus = Corpus("rows", tuple(CapturedUtterance(**k, tensor_key=k["id"]) for k in known))
    held = {u.id: tensor for u, tensor in zip(corpus, tensors, strict=True)}
    return Capture(corpus, PlantedStore(tap, held, tuple(tensors.shape[1:])))


def given(capture, model="", **labels):
    """Inputs on one capture, whose utterances get other labels."""
    rows = tuple(replace(u, **labels) for u in capture.corpus)
    corpus = replace(capture.corpus, utterances=rows)
    held = Capture(corpus, capture.store)
    return Inputs("tiny", {capture.tap: held}, corpus, None, 0, model=str(model))


@pytest.fixture
def noise(utterances):
    return captured(utterances, torch.zeros(len(utterances), 8, 24))


def found(inputs):
    answers = {("qformer", 0): reading.measure(inputs, "qformer", 0)}
    (finding,) = judged(reading.drafts(inputs, answers))
    return finding, answers["qformer", 0]


def test_what_the_model_hears_is_read_off_its_tensors(trained, utterances, frames):
    # At this rate the weights of any of 16 seeds are read at 0 to 13%, so no processor's sums decide the test.
    options = {"steps": (600,), "batch": 8, "dropout": 0.0, "learning_rate": 3e-3, "warm_up": 5}
    model, folder = trained(stages=STAGES[:1], **options)
    with torch.no_grad():
        wire = model.edge.qformer(torch.stack(list(frames(utterances))).float(), 8).bfloat16()
    finding, answer = found(given(captured(utterances, wire), folder))
    assert finding.estimate.value < 0.6 * finding.floors["another utterance"].value
    assert (finding.attacker, finding.metric, finding.utterances) == ("white-box", "WER", 11)
    assert finding.verdict == "leaks" and finding.control is None
    assert set(answer.rows["ids"]) == {u.id for u in utterances}
    # Tensors that say nothing are read as nothing.
    silent, _ = found(given(captured(utterances, torch.zeros_like(wire)), folder))
    assert silent.verdict == "inconclusive"
    assert silent.estimate.value > finding.estimate.value


def test_languages_without_blanks_are_left_out(noise, trained):
    _, folder = trained(stages=STAGES[:1])
    inputs = given(noise, folder)
    rows = tuple(replace(u, language="jpn") if n < 3 else u for n, u in enumerate(inputs.test))
    corpus = replace(inputs.test, utterances=rows)
    answer = reading.measure(replace(inputs, test=corpus), "qformer", 0)
    assert len(answer.rows["ids"]) == len(rows) - 3
    assert "left out 3 utterances of languages without blanks between words" in answer.notes


def test_a_transcript_of_another_recording_says_something_else():
    texts = ["one", "one", "two", "three"]
    assert reading._of_others(["a", "b", "c", "d"], texts) == ["c", "c", "d", "a"]
    assert reading._of_others(["a", "b"], ["one", "one"]) == ["", ""]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("three four" + " tres" * 90, "three four tres"),
        ("six" + " <bos>" * 30 + " tres" * 60, "six <bos> tres"),
        ("go" + " to the left" * 5 + " now", "go to the left now"),
        ("eight eight eight eight", "eight eight eight eight"),
        ("ten tens tens tens tens tens", "ten tens"),
        ("ten ten ten ten tenth", "ten ten ten ten tenth"),
        ("", ""),
    ],
)
def test_a_transcript_that_runs_in_a_loop_is_cut(said, read):
    assert reading.LOOP.sub(r"\g<said>", said) == read


def test_what_cannot_be_read_is_one_line(noise, tiny_system, utterances):
    with pytest.raises(AttackError, match=r"no cloud half to read with: .*cloud half"):
        reading.measure(given(noise, tiny_system), "qformer", 0)
    mel = captured(utterances, torch.zeros(len(utterances), 8, 24), "mel")
    with pytest.raises(AttackError, match="reads what leaves the device, not mel"):
        reading.measure(given(mel, tiny_system), "mel", 0)


def test_a_tensor_of_another_shape_is_one_line(utterances, trained):
    _, folder = trained(stages=STAGES[:1])
    wide = captured(utterances, torch.zeros(len(utterances), 8, 25))
    with pytest.raises(AttackError, match="the cloud half cannot read qformer"):
        reading.measure(given(wide, folder), "qformer", 0)


def test_another_cloud_half_is_another_answer(tmp_path):
    (tmp_path / "projector.safetensors").write_bytes(b"one")
    inputs = Inputs("tiny", {}, Corpus("none", ()), None, 0, model=str(tmp_path))
    before = reading.assets(inputs)
    (tmp_path / "projector.safetensors").write_bytes(b"other")
    assert reading.assets(inputs) != before
    assert reading.assets(replace(inputs, model="owner/name@1")) == "owner/name@1"
