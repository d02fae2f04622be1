"""Training within a budget: it learns, repeats itself exactly, and goes on where it was killed."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.attacks import inverter_training
from esrt_privacy.attacks.inverter import Inverter, InverterConfig
from esrt_privacy.attacks.inverter_training import (
    Budget,
    TrainingOptions,
    development_loss,
    frames_of,
    train_inverter,
)
from esrt_privacy.captures import Capture, capture
from esrt_privacy.corpora import load_corpus
from esrt_privacy.errors import AttackError
from esrt_privacy.esrt.encoder import log_mel
from esrt_privacy.systems.base import Tap
from tests.tiny import RATE, speech_like, write_speech

VECTORS, WIDTH = 100, 48


class Glass:
    """A system that hides nothing: patches of 30 mel frames on random directions."""

    name = "glass"
    taps = {  # noqa: RUF012
        "mel": Tap("mel", (3000, 80), torch.float16, "mel"),
        "patch": Tap("patch", (VECTORS, WIDTH), torch.float32, "patch", is_wire=True),
    }

    def represent(
        self, waves: Sequence[np.ndarray], taps: Sequence[str]
    ) -> dict[str, torch.Tensor]:
        mel = log_mel(waves, 80).transpose(1, 2)
        directions = torch.randn(2400, WIDTH, generator=torch.Generator().manual_seed(0)) / 49
        patches = mel.reshape(len(waves), VECTORS, 2400) @ directions
        out = {"mel": mel.half(), "patch": patches}
        return {name: out[name] for name in taps}


@pytest.fixture(scope="module")
def glass(tmp_path_factory) -> dict[str, Capture]:
    folder = write_speech(
        tmp_path_factory.mktemp("glass") / "speech", speakers=4, each=5, longest=1.5
    )
    root = tmp_path_factory.mktemp("captures")
    return capture(Glass(), ["patch", "mel"], load_corpus(folder), root)


def small_model(seed: int = 0) -> Inverter:
    torch.manual_seed(seed)
    sizes = {"context": 32, "context_layers": 1, "channels": 32, "blocks": 2, "relative": 16}
    return Inverter(InverterConfig(VECTORS, WIDTH, **sizes))


def options(steps: int, seed: int = 0) -> TrainingOptions:
    return TrainingOptions(Budget(steps=steps), batch=4, seed=seed)


def same_weights(a: Inverter, b: Inverter) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return all(torch.equal(first[key], second[key]) for key in first)


def test_training_learns_a_transparent_task(glass):
    development = list(glass["mel"].corpus)[::7]
    model = small_model()
    before = development_loss(copy.deepcopy(model), glass["patch"], glass["mel"], development)
    trained, curve = train_inverter(
        glass["patch"], glass["mel"], development, options(150), start_from=model
    )
    after = development_loss(trained, glass["patch"], glass["mel"], development)
    assert after < 0.5 * before
    assert [point.steps for point in curve] == [100, 150]
    assert curve[-1].loss == pytest.approx(after, abs=1e-6)
    assert not trained.training
    with torch.inference_mode():
        _, lengths = trained(glass["patch"].batch(development))
    assert all(
        abs(float(length) - frames_of(u)) < 0.6 * frames_of(u)
        for length, u in zip(lengths, development, strict=True)
    )


def test_a_network_of_its_own_is_standardised_on_the_training_utterances(glass):
    tensors, mels = glass["patch"], glass["mel"]
    model, curve = train_inverter(tensors, mels, [], options(1))
    everything = tensors.batch(list(tensors.corpus)).flatten(0, 1)
    assert torch.allclose(model.input_mean, everything.mean(dim=0), atol=1e-3)
    assert torch.allclose(model.input_scale, everything.std(dim=0), rtol=0.01, atol=1e-3)
    assert np.isnan(curve[-1].loss)  # nothing to watch


def test_the_same_seed_and_steps_give_the_same_weights_and_another_seed_does_not(glass):
    def trained(seed: int) -> Inverter:
        start = small_model()
        return train_inverter(
            glass["patch"], glass["mel"], [], options(12, seed), start_from=start
        )[0]

    first = trained(1)
    torch.manual_seed(99)
    assert same_weights(first, trained(1))
    assert not same_weights(first, trained(2))


def test_a_killed_training_goes_on_to_exactly_the_same_weights(glass, tmp_path):
    development = list(glass["mel"].corpus)[::9]
    pair = (glass["patch"], glass["mel"], development)
    whole, curve = train_inverter(*pair, options(140), start_from=small_model())

    def kill(share: float, point: object) -> None:
        if share > 0.8:
            raise KeyboardInterrupt

    path = tmp_path / "training" / "qformer.pt"
    with pytest.raises(KeyboardInterrupt):
        train_inverter(*pair, options(140), path, kill, start_from=small_model())
    assert path.exists()
    resumed, curve_again = train_inverter(*pair, options(140), path, start_from=small_model(5))
    assert same_weights(whole, resumed)
    assert [p.loss for p in curve] == [p.loss for p in curve_again]
    # A finished one is only read.
    again, _ = train_inverter(*pair, options(140), path, start_from=small_model(6))
    assert same_weights(whole, again)


def test_a_damaged_checkpoint_is_one_line_that_names_it(glass, tmp_path):
    path = tmp_path / "broken.pt"
    path.write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(AttackError, match=r"broken\.pt.*delete it") as caught:
        train_inverter(glass["patch"], glass["mel"], [], options(5), path)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_is_not_run(glass, tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    path = tmp_path / "bomb.pt"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(AttackError):
        train_inverter(glass["patch"], glass["mel"], [], options(5), path)
    assert not (tmp_path / "ran").exists()


def test_a_bound_on_time_ends_the_training(glass):
    bound = TrainingOptions(Budget(seconds=0.3), batch=4)
    seen: list[float] = []
    _, curve = train_inverter(
        glass["patch"],
        glass["mel"],
        [],
        bound,
        progress=lambda share, _: seen.append(share),
        start_from=small_model(),
    )
    assert curve[-1].steps >= 1
    assert seen[-1] == 1.0


def test_too_few_utterances_are_refused(glass):
    few = {
        name: replace(c, corpus=replace(c.corpus, utterances=c.corpus.utterances[:3]))
        for name, c in glass.items()
    }
    with pytest.raises(AttackError, match="at least 4"):
        train_inverter(few["patch"], few["mel"], [], options(5))


def test_a_training_that_goes_astray_stops_with_one_line(glass):
    model = small_model()
    with torch.no_grad():
        model.leave.bias.fill_(float("inf"))
    with pytest.raises(AttackError, match="astray"):
        train_inverter(glass["patch"], glass["mel"], [], options(5), start_from=model)


def test_what_lies_beyond_an_utterance_does_not_change_the_loss():
    torch.manual_seed(0)
    lengths = torch.tensor([20, 35])
    target = torch.randn(2, 35, 80)
    predicted = torch.randn(2, 35, 80)

    def loss(mel: torch.Tensor, truth: torch.Tensor) -> float:
        def model(tensors: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return mel, torch.tensor([20.0, 35.0])

        return float(inverter_training._loss(model, torch.zeros(2, 1, 1), truth, lengths))

    beyond, silence = predicted.clone(), target.clone()
    beyond[0, 20:] += 100
    silence[0, 20:] -= 7
    assert loss(predicted, target) == loss(beyond, target) == loss(predicted, silence)
    within = predicted.clone()
    within[0, 19] += 1
    assert loss(within, target) != loss(predicted, target)


def test_utterances_shorter_than_the_least_number_of_frames_are_trained_on(tmp_path):
    for n in range(5):
        soundfile.write(tmp_path / f"{n}.flac", speech_like(120, 700, 0.06, n), RATE)
    corpus = load_corpus(tmp_path)
    captures = capture(Glass(), ["patch", "mel"], corpus, tmp_path / "captures")
    assert max(frames_of(u) for u in corpus) < 10
    _, curve = train_inverter(
        captures["patch"],
        captures["mel"],
        [corpus.utterances[0]],
        options(2),
        start_from=small_model(),
    )
    assert np.isfinite(curve[-1].loss)


@given(amount=st.integers(1, 10**8), unit=st.sampled_from(["s", "m", "h"]), blank=st.booleans())
def test_a_budget_of_time_is_read(amount, unit, blank):
    budget = Budget.parse(f"{amount}{' ' * blank}{unit}")
    assert budget == Budget(seconds=amount * {"s": 1, "m": 60, "h": 3600}[unit])
    assert budget.share(10**12, 0.0) == 0.0


@given(steps=st.integers(1, 10**9 - 1), word=st.sampled_from(["", " steps", " step", "steps"]))
def test_a_budget_of_steps_is_read(steps, word):
    budget = Budget.parse(f"{steps}{word}")
    assert budget == Budget(steps=steps)
    assert Budget.parse(str(budget)) == budget


@given(st.text(max_size=30))
def test_any_text_is_a_budget_or_one_line(text):
    try:
        budget = Budget.parse(text)
    except AttackError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert (budget.steps or 0) >= 1 or (budget.seconds or 0) > 0


@pytest.mark.parametrize(
    "text", ["", "0", "0m", "-3m", "five", "0.5 steps", "1e9", "9" * 400, "3 d"]
)
def test_nonsense_is_no_budget(text):
    with pytest.raises(AttackError, match="write 5m"):
        Budget.parse(text)
