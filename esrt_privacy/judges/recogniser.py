"""A Whisper that writes down what a recording says, and the normaliser that makes texts comparable.

Greedy decoding in float32 on the CPU, without openai-whisper's temperature fallback: the same
waveform gives the same text, which is what a measurement needs.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esrt_privacy.errors import AssetError, AudioError, EsrtPrivacyError
from esrt_privacy.judges.whisper_languages import whisper_language
from esrt_privacy.precision import fast_bfloat16
from esrt_privacy.quiet import without_loading_bars
from esrt_privacy.weights import fingerprint

if TYPE_CHECKING:
    import torch

SAMPLE_RATE = 16_000  # Hz
LONGEST = 30.0  # seconds, Whisper's window

# Tokens that a second of speech can need, with room to spare: English speech runs to 5, scripts
# that byte-pair encoding splits finely (Tamil, Burmese) to more than 20. The bound keeps a model
# that repeats itself on noise from running to the end of its context.
_TOKENS_PER_SECOND = {"en": 8}
_TOKENS_PER_SECOND_OTHERWISE = 28
_TOKENS_ALWAYS = 16
_PROMPT_TOKENS = 8  # at most: start, language, task, no timestamps


class Recogniser:
    """Whisper of a `transformers` folder (see `esrt_privacy.assets.whisper_folder`).

    Raises AssetError if the folder cannot be loaded.
    """

    def __init__(self, folder: Path, batch_size: int = 8) -> None:
        from transformers import AutoTokenizer, WhisperFeatureExtractor

        self.folder = folder
        self.batch_size = batch_size
        try:
            self._model = _load_model(folder)
            self._features = WhisperFeatureExtractor.from_pretrained(folder)
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
        except Exception as error:  # damaged files show as a dozen kinds of errors
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise AssetError(
                f"{folder} cannot be loaded as Whisper ({reason[:200]}): delete it if it is in "
                "the cache, or give another folder"
            ) from error

    @classmethod
    def load(
        cls, name: str | Path = "whisper-tiny.en", weights: Path | None = None
    ) -> "Recogniser":
        """Finds the weights as `whisper_folder` does; AssetError if they are nowhere."""
        from esrt_privacy.assets import whisper_folder

        return cls(whisper_folder(name, weights))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the network's weights."""
        return fingerprint(self._model)

    @property
    def is_multilingual(self) -> bool:
        return bool(self._model.generation_config.is_multilingual)

    def transcribe(
        self,
        waves: Sequence[np.ndarray],
        language: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> list[str]:
        """The text of each waveform, in order, without surrounding blanks.

        waves: float arrays (samples,) at 16 kHz, at most 30 s each; an empty one gives "".
        language: ISO 639-3 or Whisper's own code; None lets a multilingual model detect it.
        progress: called with the number of waveforms done so far.
        Raises AudioError for a waveform that is too long, of another shape or not finite, and
        EsrtPrivacyError for a language that this model does not know.
        """
        code = self._language(language)
        for place, wave in enumerate(waves):
            _check_wave(wave, place)
        texts = [""] * len(waves)
        # Similar lengths together, since the longest of a batch bounds the steps of all.
        spoken = sorted(
            (i for i, wave in enumerate(waves) if wave.size), key=lambda i: len(waves[i])
        )
        done = len(waves) - len(spoken)
        for start in range(0, len(spoken), self.batch_size):
            batch = spoken[start : start + self.batch_size]
            for place, text in zip(
                batch, self._transcribe_batch([waves[i] for i in batch], code), strict=True
            ):
                texts[place] = text
            done += len(batch)
            if progress is not None:
                progress(done)
        return texts

    @cached_property
    def _language_tokens(self) -> Mapping[str, int]:
        """The token of each language by Whisper's code, in the order of the tokens; none in an English model."""
        ids = getattr(self._model.generation_config, "lang_to_id", None) or {}
        return {token.strip("<|>"): ids[token] for token in sorted(ids, key=lambda t: int(ids[t]))}

    @property
    def languages(self) -> tuple[str, ...]:
        """Whisper's codes of the languages that `language_logs` tells apart, in its order; none in an English model."""
        return tuple(self._language_tokens)

    def language_logs(self, waves: Sequence[np.ndarray]) -> np.ndarray:
        """Log probabilities (waves, languages) of the language that each wave is spoken in; all as one batch.

        Computed in bfloat16 where that is faster. Waves and errors as `transcribe`; raises EsrtPrivacyError for an
        English model too.
        """
        import torch

        if not self.is_multilingual:
            raise EsrtPrivacyError(
                f"{self.folder.name} knows English only: use a multilingual Whisper"
            )
        for place, wave in enumerate(waves):
            _check_wave(wave, place)
        features = self._log_mel(waves)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bfloat16()):
            logits = self._language_logits(self._heard(features))
        logs: np.ndarray = logits.float().log_softmax(dim=-1).numpy()
        return logs

    def _language(self, language: str | None) -> str | None:
        if language is None:
            return None if self.is_multilingual else "en"
        code = whisper_language(language)
        known = code in self._language_tokens
        if code is None or not (known or (code == "en" and not self.is_multilingual)):
            raise EsrtPrivacyError(
                f"{self.folder.name} does not transcribe the language {language}: use a "
                "multilingual Whisper that knows it"
            )
        return code

    def _log_mel(self, waves: Sequence[np.ndarray]) -> "torch.Tensor":
        """(waves, mel bins, 3000): padded to 30 s with silence."""
        features: torch.Tensor = self._features(
            [wave.astype(np.float32) for wave in waves],
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
        ).input_features
        return features

    def _heard(self, features: "torch.Tensor") -> "torch.Tensor":
        """The encoder's output (waves, 1500, hidden)."""
        import torch

        with torch.inference_mode():
            heard: torch.Tensor = self._model.get_encoder()(features).last_hidden_state
        return heard

    def _language_logits(self, heard: "torch.Tensor") -> "torch.Tensor":
        """(recordings, languages), in the order of the languages' tokens."""
        import torch

        token = self._model.generation_config.decoder_start_token_id
        start = torch.full((len(heard), 1), token)
        with torch.inference_mode():
            logits: torch.Tensor = self._model(
                encoder_outputs=(heard,), decoder_input_ids=start, use_cache=False
            ).logits
        return logits[:, -1, list(self._language_tokens.values())]

    def _transcribe_batch(self, waves: list[np.ndarray], code: str | None) -> list[str]:
        import torch

        most = self._most_tokens(max(len(wave) for wave in waves), code)
        with torch.inference_mode():
            heard = self._heard(self._log_mel(waves))
            prompt = self._prompt(heard, code)
            tokens = greedy_tokens(self._model, heard, prompt, most)
        return [
            str(self._tokenizer.decode(row, skip_special_tokens=True)).strip() for row in tokens
        ]

    def _prompt(self, heard: "torch.Tensor", code: str | None) -> "torch.Tensor":
        """Start, language, task and "no timestamps" for each recording, (batch, prompt) int64."""
        import torch

        settings = self._model.generation_config
        start = torch.full((len(heard), 1), settings.decoder_start_token_id)
        no_timestamps = torch.full_like(start, settings.no_timestamps_token_id)
        if not self.is_multilingual:
            return torch.cat([start, no_timestamps], dim=1)
        if code is None:
            known = torch.tensor(list(self._language_tokens.values()))
            language = known[self._language_logits(heard).argmax(dim=-1, keepdim=True)]
        else:
            language = torch.full_like(start, self._language_tokens[code])
        task = torch.full_like(start, settings.task_to_id["transcribe"])
        return torch.cat([start, language, task, no_timestamps], dim=1)

    def _most_tokens(self, samples: int, code: str | None) -> int:
        rate = _TOKENS_PER_SECOND.get(code or "", _TOKENS_PER_SECOND_OTHERWISE)
        wanted = _TOKENS_ALWAYS + math.ceil(rate * samples / SAMPLE_RATE)
        return min(wanted, int(self._model.config.max_target_positions) - _PROMPT_TOKENS)


def greedy_tokens(
    model: Any, heard: "torch.Tensor", prompt: "torch.Tensor", most: int
) -> list[list[int]]:
    """The likeliest token after another, for each recording, until its end or `most` tokens.

    model: WhisperForConditionalGeneration. heard: the encoder's output (batch, 1500, hidden).
    prompt: (batch, prompt) token ids. Returns the tokens after the prompt, without the end token.
    Written out because `generate` hides the prompt and warns of every setting given to it; the
    texts are the same.
    """
    import torch

    settings = model.generation_config
    end = settings.eos_token_id
    never = torch.tensor(settings.suppress_tokens or [], dtype=torch.long)
    not_first = torch.tensor(settings.begin_suppress_tokens or [], dtype=torch.long)
    timestamps = settings.no_timestamps_token_id + 1
    found: list[torch.Tensor] = []
    ended = torch.zeros(len(heard), dtype=torch.bool)
    step, past = prompt, None
    while len(found) < most and not bool(ended.all()):
        output = model(encoder_outputs=(heard,), decoder_input_ids=step, cache=past, use_cache=True)
        past = output.cache
        logits = output.logits[:, -1]
        logits[:, never] = -torch.inf
        logits[:, timestamps:] = -torch.inf
        if not found:
            logits[:, not_first] = -torch.inf
        token = logits.argmax(dim=-1).masked_fill(ended, end)
        ended |= token == end
        found.append(token)
        step = token[:, None]
    columns = torch.stack(found, dim=1).tolist() if found else [[] for _ in range(len(heard))]
    return [[token for token in row if token != end] for row in columns]


def normalise(text: str, language: str | None) -> str:
    """A text as openai-whisper compares texts: case, punctuation and spelling made one.

    language: ISO 639-3 or Whisper's code. English ("eng", "en") has numbers, contractions and
    British spellings unified; every other language loses case, punctuation and symbols, and those
    written without blanks between words become single characters, so that WER is CER there.
    Source: Radford et al. 2022 (arXiv 2212.04356), appendix C, and its code.
    """
    code = whisper_language(language) if language is not None else None
    if code == "en":
        return str(_english_normaliser()(text)).strip()
    return str(_basic_normaliser(code in _WITHOUT_BLANKS)(text)).strip()


_WITHOUT_BLANKS = {"zh", "ja", "th", "lo", "my", "yue"}


@cache
def _english_normaliser() -> Callable[[str], str]:
    from whisper.normalizers import EnglishTextNormalizer

    return EnglishTextNormalizer()


@cache
def _basic_normaliser(split_letters: bool) -> Callable[[str], str]:
    from whisper.normalizers import BasicTextNormalizer

    return BasicTextNormalizer(split_letters=split_letters)


def _check_wave(wave: np.ndarray, place: int) -> None:
    if wave.ndim != 1:
        raise AudioError(f"waveform {place} has shape {wave.shape}: give one channel (samples,)")
    if len(wave) > LONGEST * SAMPLE_RATE:
        raise AudioError(
            f"waveform {place} lasts {len(wave) / SAMPLE_RATE:.1f} s: cut it to windows of 30 s"
        )
    if not np.isfinite(wave).all():
        raise AudioError(f"waveform {place} has samples that are no numbers: leave it out")


def _load_model(folder: Path) -> Any:
    import torch
    from transformers import WhisperForConditionalGeneration

    with without_loading_bars():
        model = WhisperForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
    return model.eval()
