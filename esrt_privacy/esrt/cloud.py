"""The cloud half: wire tensors in, transcripts and translations out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from esrt_privacy.errors import ModelError
from esrt_privacy.esrt.answers import Answer, parse_answer
from esrt_privacy.esrt.language_tags import require_language
from esrt_privacy.esrt.memory import within_memory
from esrt_privacy.esrt.projector import Projector
from esrt_privacy.esrt.streaming import Listener, TextStream
from esrt_privacy.esrt.vocabulary import base_model, context_of, embedded, special_id

if TYPE_CHECKING:
    from esrt_privacy.esrt.language_tags import Tags

__all__ = ["Answer", "AnsweringCloud", "Cloud", "parse_answer"]


class AnsweringCloud(ABC):
    """Which tokens an LLM is given for which languages, and what its text means; not how the text comes about."""

    def __init__(self, projector: Projector, tags: Tags, context: int | None) -> None:
        """`context`: positions that the LLM reads at most, where it is known."""
        self.projector = projector.eval()
        self.tags = tags
        self._context = context

    def translate(
        self,
        wire: Tensor,
        source: str,
        targets: Sequence[str],
        beam: int = 1,
        most_tokens: int = 128,
        on_text: Listener | None = None,
    ) -> list[dict[str, Answer]]:
        """Wire tensors (batch, queries, hidden) of one spoken language -> answers by target language.

        Greedy, or beam search of width `beam`; an answer is cut after `most_tokens`. A greedy answer's text is told to
        `on_text` as it is decoded: the recording's place, the target's place and the next piece, tags included.
        Raises LanguageError for an unknown language, ModelError for a tensor of another shape, more
        tokens than the LLM's context, and when memory runs out.
        """
        source = require_language(source)
        languages = list(dict.fromkeys(map(require_language, targets)))
        if not languages or not len(wire):
            return [{} for _ in wire]
        # The source tag belongs to the prefix, the target tag is the first token of each answer's own.
        tags = [self.tags.id(language) for language in languages]
        shared = [self.tags.id(source)]
        texts = self._continuations(wire, shared, tags, beam, most_tokens, on_text)
        answers = [
            parse_answer(text, source, languages[n % len(languages)], ended)
            for n, (text, ended) in enumerate(texts)
        ]
        count = len(languages)
        return [
            dict(zip(languages, answers[n : n + count], strict=True))
            for n in range(0, len(answers), count)
        ]

    def transcribe(
        self,
        wire: Tensor,
        source: str,
        beam: int = 1,
        most_tokens: int = 128,
        on_text: Listener | None = None,
    ) -> list[Answer]:
        """Wire tensors (batch, queries, hidden) -> answers with a transcript only. As `translate`."""
        source = require_language(source)
        if not len(wire):
            return []
        first = [self.tags.id(source)]
        texts = self._continuations(wire, [], first, beam, most_tokens, on_text)
        return [parse_answer(text, source, None, ended) for text, ended in texts]

    @abstractmethod
    def _continuations(
        self,
        wire: Tensor,
        shared: list[int],
        each: list[int],
        beam: int,
        most_tokens: int,
        on_text: Listener | None = None,
    ) -> list[tuple[str, bool]]:
        """What follows <bos>, wire, `shared` and one of `each`, and whether it came to its end.

        Ordered by recording, then by token of `each`.
        """

    def _require_fit(self, wire: Tensor, tokens: int, beam: int, most_tokens: int) -> None:
        width = self.projector.width
        fits = wire.ndim == 3 and wire.shape[-1] == width
        require_request(wire, fits, f"(recordings, queries, {width})", beam, most_tokens)
        context = self._context
        room = None if context is None else context - wire.shape[1] - tokens
        if room is not None and most_tokens > room:
            raise ModelError(
                f"{wire.shape[1]} audio vectors and {most_tokens} new tokens are longer than the"
                f" {context} positions that the LLM reads: ask for at most {max(room, 0)} tokens"
            )


class Cloud(AnsweringCloud):
    """Projector and LLM. A recording's prefix is computed once for all languages that it goes into.

    The models are switched to evaluation. An LLM with its adapters merged in decodes faster.
    """

    def __init__(self, projector: Projector, llm: Any, tokenizer: Any, tags: Tags) -> None:
        super().__init__(projector, tags, context_of(llm))
        self.llm = llm.eval()
        self.tokenizer = tokenizer
        self._bos = special_id(tokenizer, "bos")
        self._eos = special_id(tokenizer, "eos")

    @torch.inference_mode()
    def _continuations(
        self,
        wire: Tensor,
        shared: list[int],
        each: list[int],
        beam: int,
        most_tokens: int,
        on_text: Listener | None = None,
    ) -> list[tuple[str, bool]]:
        self._require_fit(wire, 2 + len(shared), beam, most_tokens)
        doing = f"on {len(wire)} recordings into {len(each)} languages with beam {beam}"
        remedy = "give fewer recordings or languages at a time, or a smaller beam"
        with within_memory(doing, remedy):
            cache = self._prefix(wire, shared)
            cache.batch_repeat_interleave(len(each) * beam)
            first = torch.tensor(each * len(wire), device=base_model(self.llm).device)
            stream = None
            if on_text is not None and beam == 1:  # a beam's text may still change
                stream = TextStream(self._text, len(each), on_text)
            return self._decoded(cache, first[:, None], beam, most_tokens, stream)

    def _prefix(self, wire: Tensor, shared: list[int]) -> Any:
        """The key-value cache of <bos>, the projected tensor and the tokens in `shared`."""
        llm = base_model(self.llm)
        ids = torch.tensor([[self._bos, *shared]] * len(wire), device=llm.device)
        tokens = embedded(self.llm, ids)
        vectors = self.projector(wire.to(llm.device)).to(tokens.dtype)
        inputs = torch.cat([tokens[:, :1], vectors, tokens[:, 1:]], 1)
        return llm.get_decoder()(inputs_embeds=inputs, use_cache=True).cache

    def _decoded(
        self, cache: Any, first: Tensor, beam: int, most_tokens: int, stream: TextStream | None
    ) -> list[tuple[str, bool]]:
        """Go on from a cache with `first` (rows, 1); the cache holds every row `beam` times."""
        from transformers import GenerationConfig

        llm = base_model(self.llm)
        # Every option that an LLM's own generation_config.json might set otherwise.
        options = GenerationConfig(
            max_new_tokens=most_tokens,
            num_beams=beam,
            do_sample=False,
            temperature=1.0,
            top_k=50,
            top_p=1.0,
            repetition_penalty=1.0,
            length_penalty=1.0,
            early_stopping=False,
            bos_token_id=self._bos,
            eos_token_id=self._eos,
            pad_token_id=self._eos,
        )
        # Only the tokens that the cache does not hold; the mask tells `generate` of the others.
        seen = torch.ones(len(first), cache.get_seq_length() + 1, dtype=torch.long)
        output = llm.generate(
            first,
            attention_mask=seen.to(llm.device),
            cache=cache,
            generation_config=options,
            streamer=stream,
        )
        return [self._text(row) for row in output[:, 1:].tolist()]

    def _text(self, ids: list[int]) -> tuple[str, bool]:
        """The text before <eos>, and whether there was one."""
        ended = self._eos in ids
        kept = ids[: ids.index(self._eos)] if ended else ids
        return self.tokenizer.decode(kept, skip_special_tokens=False), ended


def require_request(wire: Tensor, fits: bool, shape: str, beam: int, most_tokens: int) -> None:
    """Raise ModelError for a wire tensor that does not fit `shape` or is not finite, and for numbers below 1."""
    if not fits:
        raise ModelError(f"a wire tensor of shape {tuple(wire.shape)}: this cloud reads {shape}")
    if not torch.isfinite(wire).all():
        raise ModelError("a wire tensor with NaN or infinity in it: send it again")
    if beam < 1 or most_tokens < 1:
        raise ModelError("beam and the number of new tokens must be at least 1")
