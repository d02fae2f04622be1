"""The whole ESRT model: edge half, projector and LLM, with the loss that trains it and its files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from esrt_privacy.errors import ModelError, SystemUnavailable, shown
from esrt_privacy.esrt.checkpoint import (
    LLM_ADAPTER_FILE,
    OWN_LLM,
    checkpoint_folder,
    load_projector,
    push_folder,
    read_model_config,
    read_tensors,
    write_cloud_half,
    write_llm,
)
from esrt_privacy.esrt.config import SystemConfig
from esrt_privacy.esrt.edge import Edge, load_qformer, save_adapter
from esrt_privacy.esrt.encoder import Encoder
from esrt_privacy.esrt.memory import within_memory
from esrt_privacy.esrt.model_config import MODEL_PRESETS, ModelConfig, model_preset
from esrt_privacy.esrt.projector import Projector
from esrt_privacy.esrt.qformer import QFormer
from esrt_privacy.esrt.vocabulary import base_model, context_of, embedded, logits, special_id

if TYPE_CHECKING:
    from esrt_privacy.esrt.cloud import Cloud
    from esrt_privacy.esrt.language_tags import Tags

__all__ = ["MODEL_PRESETS", "EsrtModel", "ModelConfig", "model_preset"]


class EsrtModel(nn.Module):
    """Edge half (None where only the cloud was loaded), projector and an LLM with adapters."""

    def __init__(
        self,
        config: ModelConfig,
        edge: Edge | None,
        projector: Projector,
        llm: Any,
        tokenizer: Any,
        tags: Tags,
    ) -> None:
        super().__init__()
        self.config = config
        self.edge = edge
        self.projector = projector
        self.llm = llm
        self.tokenizer = tokenizer
        self.tags = tags
        self._bos = special_id(tokenizer, "bos")
        self._eos = special_id(tokenizer, "eos")

    @classmethod
    def create(
        cls,
        config: ModelConfig,
        adapter: Path | None = None,
        weights: Path | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> EsrtModel:
        """A model to be trained: the LLM as published, a Q-Former from `adapter` or a random one.

        `weights` is a folder to look for the Whisper encoder and the LLM in, `dtype` the LLM's.
        """
        edge = _edge(config.edge, adapter, weights)
        projector = Projector(config.edge.qformer.hidden, config.llm_width)
        return cls(config, edge, projector, *_llm(config, weights, dtype))

    @classmethod
    def from_pretrained(
        cls,
        folder_or_hub: str | Path,
        preset: ModelConfig | None = None,
        weights: Path | None = None,
        dtype: torch.dtype = torch.float32,
        with_edge: bool = True,
    ) -> EsrtModel:
        """Load what `save_pretrained` wrote, from a folder or from the hub (`owner/name`).

        `preset` is the model that the caller expects, whose query set and name it then has. The
        cloud needs no Whisper encoder: `with_edge=False`. `weights` and `dtype` as in `create`.
        Raises AssetError for missing or damaged files, SystemUnavailable for those that do not fit.
        """
        folder = checkpoint_folder(folder_or_hub)
        config = read_model_config(folder)
        if preset is not None:
            config = config.as_preset(preset, folder)
        has_own = config.llm == OWN_LLM
        if has_own:
            config = replace(config, llm=str((folder / OWN_LLM).resolve()))
        edge = _edge(config.edge, folder, weights) if with_edge else None
        projector = load_projector(folder, config)
        model = cls(config, edge, projector, *_llm(config, weights, dtype))
        if not has_own:
            _load_adapter(model.llm, folder / LLM_ADAPTER_FILE)
        return model.eval()

    def save_pretrained(
        self, folder: str | Path, half: bool = False, with_llm: bool = False
    ) -> None:
        """Write the model into a folder that `from_pretrained`, and `Edge.from_adapter`, read.

        The LLM is named, not copied; `with_llm` writes it too, adapters merged in. Weights keep
        their precision and so their outputs, unless `half` asks for float16 (to be shipped).
        """
        if self.edge is None:
            raise SystemUnavailable(
                "a model that was loaded without its edge half cannot be saved: load it with the edge"
            )
        if not hasattr(self.llm, "merge_and_unload"):
            raise SystemUnavailable(
                "a model whose adapters were merged in cannot be saved: load it anew"
            )
        from esrt_privacy.esrt.llm import adapter_state, merged

        folder = Path(folder)
        dtype = torch.float16 if half else torch.float32
        save_adapter(folder, self.config.edge, self.edge.qformer, dtype)
        if with_llm:
            write_llm(folder, merged(self.llm), self.tokenizer)
            own = replace(self.config, llm=OWN_LLM)
            write_cloud_half(folder, own, self.projector, None, half)
        else:
            state = adapter_state(self.llm)
            write_cloud_half(folder, self.config, self.projector, state, half)

    def push_to_hub(
        self, name: str, private: bool = True, half: bool = False, with_llm: bool = False
    ) -> str:
        """Upload to the hub as `owner/name`, private unless told otherwise; the address.

        Raises AssetError where the hub cannot be reached or refuses.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, half, with_llm)
            return push_folder(Path(folder), name, private)

    def encode(self, waves: Sequence[np.ndarray]) -> Tensor:
        """Waveforms (samples,) at 16 kHz -> the wire tensor (batch, queries, hidden), on the edge.

        Raises SystemUnavailable for a model that was loaded without its edge half.
        """
        if self.edge is None:
            raise SystemUnavailable(
                "a model that was loaded without its edge half cannot encode recordings"
            )
        return self.edge.encode(waves)

    def merge(self) -> EsrtModel:
        """Put LoRA and the tags' rows into the LLM's own weights, to decode faster; the model itself.

        With adapters, every decoded token takes a copy of the whole embedding (see `vocabulary`). A merged model can be
        neither trained further nor saved.
        """
        self.llm = self.llm.merge_and_unload()
        return self

    def cloud(self) -> Cloud:
        """The cloud half, sharing this model's weights, switched to evaluation."""
        from esrt_privacy.esrt.cloud import Cloud

        return Cloud(self.projector, self.llm, self.tokenizer, self.tags)

    def forward(
        self,
        wire: Tensor | None,
        prompts: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        vocabulary: Tensor | None = None,
    ) -> Tensor:
        """`loss`, where a wrapper for several processes looks for it."""
        return self.loss(wire, prompts, targets, vocabulary)

    def loss(
        self,
        wire: Tensor | None,
        prompts: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        vocabulary: Tensor | None = None,
    ) -> Tensor:
        """Mean cross entropy of the target tokens and the <eos> after each, over all rows.

        A row is <bos>, its vectors in `wire` (batch, queries, hidden; None: text only), prompt,
        target, <eos>. `vocabulary` (sorted token ids) restricts the softmax to the tokens in use.
        Raises ModelError for a row beyond the LLM's context and when memory runs out, ValueError
        for a target token outside the vocabulary.
        """
        counts = {len(prompts), len(targets)} | ({len(wire)} if wire is not None else set())
        if len(counts) != 1 or not prompts:
            raise ValueError("as many prompts as targets and wire tensors are needed, at least one")
        rows = [[*p, *t, self._eos] for p, t in zip(prompts, targets, strict=True)]
        longest = max(map(len, rows))
        start = 1 if wire is None else 1 + wire.shape[1]
        self._require_context(start, rows)
        remedy = "use a smaller batch (with more accumulation), shorter texts or a smaller LLM"
        doing = f"at a batch of {len(rows)} rows of {start + longest} positions"
        with within_memory(doing, remedy):
            ids, real, wanted = _padded(rows, prompts, self._eos, base_model(self.llm).device)
            inputs = [embedded(self.llm, torch.full_like(ids[:, :1], self._bos))]
            if wire is not None:
                inputs.append(self.projector(wire.to(ids.device)).to(inputs[0].dtype))
            inputs.append(embedded(self.llm, ids))
            present = torch.cat([real.new_ones(len(rows), start), real], 1)
            hidden = (
                base_model(self.llm)
                .get_decoder()(
                    inputs_embeds=torch.cat(inputs, 1),
                    attention_mask=present.long(),
                    use_cache=False,
                )
                .last_hidden_state
            )
            # What stands before a token predicts it.
            predicting = hidden[:, start - 1 : -1][wanted]
            labels = ids[wanted]
            if vocabulary is not None:
                vocabulary = vocabulary.to(ids.device)
                labels = _places(labels, vocabulary)
            found = logits(self.llm, predicting, vocabulary)
            return nn.functional.cross_entropy(found.float(), labels)

    def _require_context(self, start: int, rows: Sequence[Sequence[int]]) -> None:
        context = context_of(self.llm)
        for number, row in enumerate(rows):
            if context is not None and start + len(row) > context:
                raise ModelError(
                    f"row {number}: a text of {len(row)} tokens after {start} positions is longer"
                    f" than the {context} positions that the LLM reads: shorten it or leave it out"
                )


def _padded(
    rows: Sequence[Sequence[int]], prompts: Sequence[Sequence[int]], filler: int, device: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, which of them are real, and which are to be predicted, each (batch, longest)."""
    ids = torch.full((len(rows), max(map(len, rows))), filler)
    real = torch.zeros(ids.shape, dtype=torch.bool)
    wanted = torch.zeros(ids.shape, dtype=torch.bool)
    for n, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
        ids[n, : len(row)] = torch.tensor(row)
        real[n, : len(row)] = True
        wanted[n, len(prompt) : len(row)] = True
    return ids.to(device), real.to(device), wanted.to(device)


def _places(labels: Tensor, vocabulary: Tensor) -> Tensor:
    """Where the labels stand in the sorted vocabulary."""
    places = torch.searchsorted(vocabulary, labels).clamp(max=len(vocabulary) - 1)
    missing = labels[vocabulary[places] != labels]
    if len(missing):
        raise ValueError(f"target token {int(missing[0])} is not in the (sorted) vocabulary")
    return places


def _edge(config: SystemConfig, adapter: Path | None, weights: Path | None) -> Edge:
    from esrt_privacy.assets import whisper_folder

    encoder = Encoder.from_folder(whisper_folder(config.encoder.name, weights), config.encoder)
    if adapter is None:
        return Edge(config, encoder, QFormer(config.qformer, config.encoder))
    return Edge(config, encoder, load_qformer(adapter, config))


def _llm(config: ModelConfig, weights: Path | None, dtype: torch.dtype) -> tuple[Any, Any, Tags]:
    """The LLM with fresh adapters, its tokenizer with the tags in it, and the tags."""
    from esrt_privacy.esrt.language_tags import take_over
    from esrt_privacy.esrt.llm import load_llm, with_adapters

    llm, tokenizer = load_llm(config.llm, weights, dtype)
    width = llm.config.get_text_config().hidden_size
    if width != config.llm_width:
        raise SystemUnavailable(
            f"{shown(config.llm)}: an LLM of width {width}; {config.edge.name} needs {config.llm_width}"
        )
    tags = take_over(tokenizer)
    return with_adapters(llm, tags, config.lora_rank, config.lora_alpha), tokenizer, tags


def _load_adapter(llm: Any, path: Path) -> None:
    from esrt_privacy.esrt.llm import load_adapter_state

    state = read_tensors(path)
    try:
        load_adapter_state(llm, state)
    except (RuntimeError, KeyError, ValueError) as error:
        reason = shown(str(error).splitlines()[-1].strip() if str(error) else error)
        raise SystemUnavailable(f"{path}: not an adapter of this LLM: {reason}") from error
