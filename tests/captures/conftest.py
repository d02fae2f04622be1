"""Recordings, a system that counts what it is asked, and edge caches written as `datasets` does."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from esrt_privacy.corpora import Corpus, load_corpus
from esrt_privacy.systems.base import Tap


@dataclass
class CountingSystem:
    """Two taps with values drawn from the audio; `encoded` lists how many utterances each call had."""

    name: str = "counting"
    salt: str = ""
    encoded: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    fail_at: int | None = None  # number of the call that is interrupted
    spoil: float | None = None  # written into every tensor

    @property
    def taps(self) -> dict[str, Tap]:
        prints = {
            name: hashlib.sha256(f"{name}{self.salt}".encode()).hexdigest() for name in ("mel", "q")
        }
        return {
            "mel": Tap("mel", (6, 3), torch.float16, prints["mel"]),
            "q": Tap("q", (4, 5), torch.bfloat16, prints["q"], is_wire=True),
        }

    def represent(
        self, waves: Sequence[np.ndarray], taps: Sequence[str]
    ) -> dict[str, torch.Tensor]:
        if self.fail_at == len(self.encoded):
            raise KeyboardInterrupt
        self.encoded.append((len(waves), tuple(taps)))
        out = {}
        for name in taps:
            tap = self.taps[name]
            rows = [np.resize(wave[:20], tap.shape) for wave in waves]
            out[name] = torch.from_numpy(np.stack(rows)).to(tap.dtype)
            if self.spoil is not None:
                out[name][:, 0, 0] = self.spoil
        return out

    @property
    def utterances(self) -> int:
        return sum(count for count, _ in self.encoded)


@pytest.fixture
def system() -> CountingSystem:
    return CountingSystem()


@pytest.fixture
def counting() -> type[CountingSystem]:
    return CountingSystem


def write_recording(path: Path, seed: int, seconds: float = 0.25) -> Path:
    wave = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * 16_000))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave.astype(np.float32), 16_000)
    return path


@pytest.fixture
def recording() -> Callable[..., Path]:
    return write_recording


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Ten recordings of two people."""
    for i in range(10):
        write_recording(tmp_path / "speech" / f"{'anna' if i % 2 else 'bert'}" / f"{i}.wav", i)
    return load_corpus(tmp_path / "speech")


def write_dataset(folder: Path, tables: list, **state: object) -> Path:
    """Arrow stream files and state.json, as `datasets` 5.2 saves them."""
    import pyarrow as pa

    folder.mkdir(parents=True)
    names = [f"data-{i:05d}-of-{len(tables):05d}.arrow" for i in range(len(tables))]
    for name, table in zip(names, tables, strict=True):
        with (
            pa.OSFile(str(folder / name), "wb") as sink,
            pa.ipc.new_stream(sink, table.schema) as w,
        ):
            w.write_table(table, max_chunksize=2)
    about = {"_data_files": [{"filename": name} for name in names], "_format_type": None, **state}
    (folder / "state.json").write_text(json.dumps(about))
    (folder / "dataset_info.json").write_text("{}")
    return folder


@pytest.fixture
def dataset() -> Callable[..., Path]:
    return write_dataset
