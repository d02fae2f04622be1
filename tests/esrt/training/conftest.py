"""Recordings with texts and translations in the tiny LLM's three languages, and a run on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch

from esrt_privacy.corpora import Utterance, load_corpus
from tests import tiny, tiny_llm

WORDS = [line.split()[:10] for line in tiny_llm.TEXT.strip().splitlines()]
LANGUAGES = ("eng", "deu", "spa")


def write_parallel(folder: Path, counts: dict[str, int]) -> Path:
    """A manifest of short recordings, `counts` by language, each translated into the other two."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for spoken, count in counts.items():
        for n in range(count):
            audio = folder / f"{spoken}{n}.flac"
            place = LANGUAGES.index(spoken)
            wave = tiny.speech_like(100 + 30 * place, 500 + 60 * n, 0.4 + 0.05 * n, 50 * place + n)
            soundfile.write(audio, wave, tiny.RATE)
            length = 1 + n % 3
            said = {
                code: " ".join(WORDS[i][(n + k) % 10] for k in range(length))
                for i, code in enumerate(LANGUAGES)
            }
            rows.append(
                {
                    "id": f"{spoken}{n}",
                    "audio": audio.name,
                    "language": spoken,
                    "text": said.pop(spoken),
                    "translations": said,
                }
            )
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def parallel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six English recordings, three German, two Spanish."""
    folder = tmp_path_factory.mktemp("parallel")
    return write_parallel(folder, {"eng": 6, "deu": 3, "spa": 2})


@pytest.fixture(scope="session")
def utterances(parallel: Path) -> list[Utterance]:
    return list(load_corpus(parallel))


@pytest.fixture(scope="session")
def frames() -> Callable:
    """Frames that tell recordings apart: a direction of its own for each, and noise."""

    def one(fingerprint):
        generator = torch.Generator().manual_seed(int(fingerprint[:8], 16))
        direction = 2 * torch.randn(1, tiny.WIDTH, generator=generator)
        return (direction + torch.randn(1500, tiny.WIDTH, generator=generator)).half()

    return lambda wanted: [one(u.fingerprint) for u in wanted]


@pytest.fixture
def fresh(model_config, tiny_system) -> Callable:
    """fresh() -> the tiny model as it is before any training; the same one every time."""
    from esrt_privacy.esrt.model import EsrtModel

    def made():
        torch.manual_seed(7)
        return EsrtModel.create(model_config, tiny_system)

    return made


@pytest.fixture
def trained(fresh, utterances, frames, tmp_path) -> Callable:
    """trained(name, stages=..., **options) -> (model, folder) after a short run on the recordings."""
    from esrt_privacy.esrt.training.curriculum import STAGES
    from esrt_privacy.esrt.training.options import TrainingOptions
    from esrt_privacy.esrt.training.run import train_model
    from esrt_privacy.esrt.training.selection import selected

    def run(
        name="run",
        stages=STAGES,
        model=None,
        report=None,
        recordings=utterances,
        side=None,
        **options,
    ):
        # In bfloat16, which some processors have, sums depend on how they are divided.
        few = {"steps": (3,), "batch": 4, "warm_up": 2, "learning_rate": 3e-3, "bfloat16": False}
        options = few | options
        model = model or fresh()
        folder = tmp_path / name
        more = {} if report is None else {"report": report}
        train_model(
            model,
            selected(recordings, None, 0),
            frames,
            TrainingOptions(**options),
            folder,
            stages,
            side=side,
            **more,
        )
        return model, folder

    return run
