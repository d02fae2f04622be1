"""A cloud that hands decoding to an LLM in another process: projector and prompts here, the LLM behind HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from esrt_privacy.errors import AssetError, ModelError, SystemUnavailable
from esrt_privacy.esrt.checkpoint import (
    LLM_FOLDER,
    OWN_LLM,
    checkpoint_folder,
    load_projector,
    read_model_config,
)
from esrt_privacy.esrt.cloud import AnsweringCloud
from esrt_privacy.esrt.language_tags import take_over
from esrt_privacy.esrt.memory import within_memory
from esrt_privacy.esrt.model_config import ModelConfig
from esrt_privacy.esrt.projector import Projector
from esrt_privacy.esrt.token_rows import TokenRows, read_token_rows
from esrt_privacy.esrt.vocabulary import special_id
from esrt_privacy.wire.completions import Completions
from esrt_privacy.wire.tensors import WireShape

if TYPE_CHECKING:
    from esrt_privacy.esrt.language_tags import Tags
    from esrt_privacy.esrt.streaming import Listener


class HandedOverCloud(AnsweringCloud):
    """Answers as `esrt.cloud.Cloud` does, greedily; the LLM's text comes from `llm`.

    Each recording goes to it once for each language.
    """

    def __init__(
        self,
        projector: Projector,
        rows: TokenRows,
        tags: Tags,
        bos: int,
        eos: int,
        llm: Completions,
    ) -> None:
        """`rows` holds <bos> and every tag."""
        super().__init__(projector, tags, rows.context)
        self._rows = rows
        self._bos = bos
        self._eos = eos
        self._llm = llm

    def close(self) -> None:
        """End what the LLM is asked, which then fails."""
        self._llm.close()

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
        """As `Cloud`. Raises ModelError for a beam as well, WireError where the LLM does not answer."""
        if beam > 1:
            raise ModelError(
                "this cloud's LLM decodes elsewhere, where tensors are no prompt of a beam search: ask for beam 1"
            )
        self._require_fit(wire, 2 + len(shared), beam, most_tokens)
        doing = f"on prompts of {len(wire)} recordings into {len(each)} languages"
        with within_memory(doing, "give fewer recordings or languages at a time"):
            vectors = self.projector(wire).to(self._rows.vectors.dtype)
            start, *ends = (
                self._rows.of(ids) for ids in ([self._bos], *([*shared, t] for t in each))
            )
            prompts = [torch.cat([start, row, end]) for row in vectors for end in ends]

        def told(place: int, text: str) -> None:
            if on_text is not None:
                on_text(place // len(each), place % len(each), text)

        return self._llm.texts(prompts, self._eos, most_tokens, told)


def load_handed_over(
    name_or_folder: str | Path, preset: ModelConfig | None, llm: Completions
) -> tuple[HandedOverCloud, WireShape]:
    """A checkpoint's cloud half without its LLM, and the shape of the tensors that it reads.

    Of the LLM only the tokenizer and the rows of <bos> and the language tags are read. `preset` as in
    `EsrtModel.from_pretrained`. Raises AssetError, and SystemUnavailable for a checkpoint whose adapters are not merged
    into an LLM of its own, which is what the server must hold.
    """
    folder = checkpoint_folder(name_or_folder)
    config = read_model_config(folder)
    if preset is not None:
        config = config.as_preset(preset, folder)
    if config.llm != OWN_LLM:
        raise SystemUnavailable(
            f"{folder}: --llm-url needs the LLM with its adapters merged in; write it with"
            f" EsrtModel.from_pretrained('{folder}').save_pretrained('merged', with_llm=True), let vLLM"
            f" serve merged/{LLM_FOLDER}, and give --model merged"
        )
    place = (folder / OWN_LLM).resolve()
    config = replace(config, llm=str(place))
    tokenizer = _tokenizer(place)
    tags = take_over(tokenizer)
    bos, eos = (special_id(tokenizer, name) for name in ("bos", "eos"))
    rows = read_token_rows(place, [bos, *tags.all_ids])
    if rows.vectors.shape[1] != config.llm_width:
        raise SystemUnavailable(
            f"{place}: an LLM of width {rows.vectors.shape[1]}; {config.edge.name} needs {config.llm_width}"
        )
    cloud = HandedOverCloud(load_projector(folder, config), rows, tags, bos, eos, llm)
    return cloud, WireShape(*config.edge.wire_shape)


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    from esrt_privacy.assets import llm_folder

    try:
        return AutoTokenizer.from_pretrained(llm_folder(folder))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise AssetError(f"{folder}: its tokenizer cannot be read") from error
