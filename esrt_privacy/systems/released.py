"""The released checkpoint, `yxdu/ESRT-4B`, or any with its interface: both halves through code of its own.

The interface is that of the authors' inference script: `translate_encode(mel)` on the edge, in a model loaded with
`encoder_only`, and `translate_batch_embeds(beam, embeds, prompts)` in the cloud, which gives texts. That code runs on
this machine with the user's rights, so nothing here loads it without a `Checkpoint`, which stands for consent.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from esrt_privacy.errors import ModelError, SystemUnavailable, shown
from esrt_privacy.esrt.answers import Answer, parse_answer
from esrt_privacy.esrt.cloud import require_request
from esrt_privacy.esrt.config import MEL_FRAMES
from esrt_privacy.esrt.encoder import log_mel
from esrt_privacy.esrt.language_tags import require_language, tag
from esrt_privacy.esrt.memory import within_memory
from esrt_privacy.systems.base import Tap, require_taps
from esrt_privacy.systems.esrt_system import mel_fingerprint
from esrt_privacy.systems.remote_checkpoint import DTYPE, Checkpoint, load_model, remote_code
from esrt_privacy.systems.transparent import TransparentBasis
from esrt_privacy.weights import fingerprint

ENCODE = "translate_encode"
TRANSLATE = "translate_batch_embeds"

# transformers' and openai-whisper's class, or a copy of it in the checkpoint's own code.
_ENCODERS = {"WhisperEncoder", "AudioEncoder"}
_ENDS = re.compile(r"(?:\s*(?:<eos>|</s>|<end_of_turn>|<pad>))+\s*$")
_ASK = "write to its publisher"


class ReleasedSystem:
    """Taps of a released edge half: `mel`, `transparent` (if given), `encoder` (if found), `qformer`.

    The one Whisper encoder among the model's parts is listened to; where there is none, or more
    than one, there is no tap `encoder`.
    """

    def __init__(
        self, checkpoint: Checkpoint, model: Any, transparent: TransparentBasis | None = None
    ) -> None:
        self.checkpoint = checkpoint
        self.model = model
        self.transparent = transparent
        _require_method(checkpoint, model, ENCODE)

    @classmethod
    def load(cls, checkpoint: Checkpoint) -> ReleasedSystem:
        """The edge half, through the checkpoint's own code. Raises SystemUnavailable."""
        return cls(checkpoint, load_model(checkpoint, encoder_only=True, use_vllm=False))

    def with_transparent(self, basis: TransparentBasis) -> ReleasedSystem:
        """The same system with the positive control as a tap."""
        system = ReleasedSystem(self.checkpoint, self.model, basis)
        # What the probe and the hashing of gigabytes have found does not change.
        for known in ("_shapes", "wire_fingerprint"):
            if known in self.__dict__:
                system.__dict__[known] = self.__dict__[known]
        return system

    @property
    def name(self) -> str:
        """The repository's name, or the folder's."""
        return self.checkpoint.name

    @property
    def wire_shape(self) -> tuple[int, int]:
        """(vectors, width) of the tensor that leaves the device, as the checkpoint gives it."""
        return self._shapes["qformer"]

    @cached_property
    def wire_fingerprint(self) -> str:
        """SHA-256 of all that decides the wire tensor: weights, code, configuration, front end, shape."""
        with remote_code(self.name, "giving its weights", _ASK, SystemUnavailable):
            weights = fingerprint(self.model)
        front = mel_fingerprint(self.checkpoint.mel_bins)
        parts = (weights, self.checkpoint.fingerprint, front, str(DTYPE), str(self.wire_shape))
        return hashlib.sha256("|".join(parts).encode()).hexdigest()

    @property
    def notes(self) -> tuple[str, ...]:
        """Whose code ran."""
        return (f"{self.name} ran code of its publisher, revision {self.checkpoint.revision}",)

    @cached_property
    def taps(self) -> dict[str, Tap]:
        """By name, in order from the microphone."""
        bins = self.checkpoint.mel_bins
        taps = [Tap("mel", (MEL_FRAMES, bins), torch.float16, mel_fingerprint(bins))]
        if self.transparent is not None:
            shape = (self.transparent.vectors, self.transparent.components.shape[0])
            taps.append(Tap("transparent", shape, torch.bfloat16, self.transparent.fingerprint))
        wire = self.wire_fingerprint
        if "encoder" in self._shapes:
            inner = hashlib.sha256(f"{wire}|encoder".encode()).hexdigest()
            taps.append(Tap("encoder", self._shapes["encoder"], torch.float16, inner))
        taps.append(Tap("qformer", self.wire_shape, torch.bfloat16, wire, is_wire=True))
        return {tap.name: tap for tap in taps}

    @torch.inference_mode()
    def represent(self, waves: Sequence[np.ndarray], taps: Sequence[str]) -> dict[str, Tensor]:
        """Waveforms (samples,) at 16 kHz -> for each tap (batch, vectors, width), its dtype.

        One recording at a time, as the released script does it: nobody knows whether the
        checkpoint's code keeps the rows of a batch apart. Raises ModelError for what it gives.
        """
        require_taps(self, taps)
        rows: dict[str, list[Tensor]] = {name: [] for name in taps}
        for wave in waves:
            given = self._represent(log_mel([wave], self.checkpoint.mel_bins), taps)
            for name in taps:
                rows[name].append(given[name])
        return {
            name: torch.stack(rows[name]).to(self.taps[name].dtype)
            if waves
            else torch.empty(0, *self.taps[name].shape, dtype=self.taps[name].dtype)
            for name in taps
        }

    def encode(self, waves: Sequence[np.ndarray]) -> Tensor:
        """Waveforms (samples,) at 16 kHz -> the wire tensor (batch, vectors, width)."""
        return self.represent(waves, ["qformer"])["qformer"]

    def _represent(self, mel: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        """(1, mel bins, 3000) -> for each tap (vectors, width)."""
        out = {"mel": mel[0].T}
        if "transparent" in taps and self.transparent is not None:
            out["transparent"] = self.transparent.project(mel)[0]
        if "encoder" in taps or "qformer" in taps:
            out |= self._encoded(mel)
        for name in ("encoder", "qformer"):
            if name in taps:
                self._require_fit(name, out.get(name))
        return out

    def _require_fit(self, name: str, tensor: Tensor | None) -> None:
        shape = None if tensor is None else tuple(tensor.shape)
        if tensor is None or shape != self._shapes[name]:
            raise ModelError(
                f"{self.name}: the checkpoint's own code gave a tensor of shape {shape} at {name},"
                f" {self._shapes[name]} before; {_ASK}"
            )
        if not torch.isfinite(tensor).all():
            raise ModelError(
                f"{self.name}: the checkpoint's own code gave NaN or infinity at {name}; {_ASK}"
            )

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, int]]:
        """(vectors, width) by tap: the checkpoint says it nowhere, so that a silence is encoded."""
        silence = log_mel([np.zeros(1, np.float32)], self.checkpoint.mel_bins)
        with torch.inference_mode():
            given = self._encoded(silence)
        return {name: (tensor.shape[0], tensor.shape[1]) for name, tensor in given.items()}

    def _encoded(self, mel: Tensor) -> dict[str, Tensor]:
        """(1, mel bins, 3000) -> `qformer` (vectors, width), and `encoder` where it could be heard."""
        remedy = "use a machine with more memory"
        with (
            _listening(self.model) as heard,
            remote_code(self.name, f"{ENCODE} on the edge", _ASK),
            within_memory(f"in {ENCODE} of {self.name}", remedy),
        ):
            result = getattr(self.model, ENCODE)(mel)
            # The script takes result[j]: one tensor, or a list of them.
            row = torch.as_tensor(result[0]).detach().cpu() if len(result) == 1 else None
        if row is None or row.ndim != 2 or not row.is_floating_point() or not row.numel():
            got = f"{len(result)} results" if row is None else f"{tuple(row.shape)} of {row.dtype}"
            raise ModelError(
                f"{self.name}: {ENCODE} of the checkpoint's own code gave {got} for one recording,"
                f" not one matrix (vectors, width); {_ASK}"
            )
        found = {"qformer": row.clone()}
        if len(heard) == 1 and heard[0].ndim == 3 and len(heard[0]) == 1:
            found["encoder"] = heard[0][0].detach().cpu().clone()
        return found


class ReleasedCloud:
    """The cloud half: wire tensors in, the same answers out as `esrt.cloud.Cloud` gives.

    `complete` says whether an answer has all its parts: the interface gives text alone, not whether
    it came to its end.
    """

    def __init__(self, checkpoint: Checkpoint, model: Any) -> None:
        self.checkpoint = checkpoint
        self.model = model
        _require_method(checkpoint, model, TRANSLATE)

    @classmethod
    def load(cls, checkpoint: Checkpoint, device: torch.device | str = "cpu") -> ReleasedCloud:
        """The whole model, through the checkpoint's own code. Raises SystemUnavailable."""
        model = load_model(checkpoint, use_vllm=False)
        remedy = "it may need another device"
        with remote_code(checkpoint.name, f"moving to {device}", remedy, SystemUnavailable):
            return cls(checkpoint, model.to(device))

    def translate(
        self,
        wire: Tensor,
        source: str,
        targets: Sequence[str],
        beam: int = 1,
        most_tokens: int = 200,
    ) -> list[dict[str, Answer]]:
        """Wire tensors (batch, vectors, width) of one spoken language -> answers by target language.

        Greedy, or beam search of width `beam`. The defaults are the released script's. Raises
        LanguageError for an unknown language, ModelError for a tensor that is none, and for
        whatever the checkpoint's code raises or gives.
        """
        source = require_language(source)
        languages = list(dict.fromkeys(map(require_language, targets)))
        answers: list[dict[str, Answer]] = [{} for _ in wire]
        for language in languages:
            prompt = tag(source) + tag(language)
            texts = self._texts(wire, prompt, beam, most_tokens)
            for answer, text in zip(answers, texts, strict=True):
                answer[language] = parse_answer(text, source, language)
        return answers

    def transcribe(
        self, wire: Tensor, source: str, beam: int = 1, most_tokens: int = 200
    ) -> list[Answer]:
        """Wire tensors (batch, vectors, width) -> answers with a transcript only. Raises as `translate`."""
        source = require_language(source)
        texts = self._texts(wire, tag(source), beam, most_tokens)
        return [parse_answer(text, source, None) for text in texts]

    @torch.inference_mode()
    def _texts(self, wire: Tensor, prompt: str, beam: int, most_tokens: int) -> list[str]:
        """What the checkpoint makes of each recording under one prompt, ends cut off."""
        shape = "(recordings, vectors, width)"
        require_request(wire, wire.ndim == 3, shape, beam, most_tokens)
        if not len(wire):
            return []
        name = self.checkpoint.name
        remedy = "give fewer recordings at a time, or a smaller beam"
        with (
            remote_code(name, f"{TRANSLATE} in the cloud", _ASK),
            within_memory(f"on {len(wire)} recordings with beam {beam}", remedy),
        ):
            method = getattr(self.model, TRANSLATE)
            options = _taken(method, {"max_new_tokens": most_tokens, "use_vllm": False})
            embeds = wire.to(getattr(self.model, "device", "cpu"), DTYPE)
            texts = method(beam, embeds, [prompt] * len(wire), **options)
        if not isinstance(texts, list | tuple) or not all(isinstance(t, str) for t in texts):
            raise ModelError(
                f"{name}: {TRANSLATE} of the checkpoint's own code gave no texts"
                f" ({type(texts).__name__}); {_ASK}"
            )
        if len(texts) != len(wire):
            raise ModelError(
                f"{name}: {TRANSLATE} of the checkpoint's own code gave {len(texts)} texts for"
                f" {len(wire)} recordings; {_ASK}"
            )
        return [_ENDS.sub("", text.strip().removeprefix("<bos>")) for text in texts]


def _require_method(checkpoint: Checkpoint, model: Any, method: str) -> None:
    if not callable(getattr(model, method, None)):
        raise SystemUnavailable(
            f"{checkpoint.name}: its model {shown(type(model).__name__, 60)} has no {method}, which"
            " ESRT's interface needs; give another checkpoint or revision"
        )


def _taken(method: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Of the script's options those that a method takes."""
    parameters = inspect.signature(method).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return options
    return {name: value for name, value in options.items() if name in parameters}


@contextmanager
def _listening(model: Any) -> Iterator[list[Tensor]]:
    """Inside the block: every output of the model's one Whisper encoder; empty if it has not one."""
    heard: list[Tensor] = []

    def keep(module: nn.Module, arguments: Any, output: Any) -> None:
        first = output if isinstance(output, Tensor) else output[0]
        if isinstance(first, Tensor):
            heard.append(first)

    parts = model.modules() if isinstance(model, nn.Module) else ()
    encoders = [m for m in parts if {c.__name__ for c in type(m).__mro__} & _ENCODERS]
    if len(encoders) != 1:
        yield heard
        return
    handle = encoders[0].register_forward_hook(keep)
    try:
        yield heard
    finally:
        handle.remove()
