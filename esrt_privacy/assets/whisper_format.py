"""Writes a Whisper model as a folder that `transformers` loads: weights, configuration, tokenizer.

`WhisperForConditionalGeneration`, `WhisperProcessor` and `AutoTokenizer` all read the result
without network. Weights keep the precision they came in; `config.json` says float32, so that
they are computed in float32 unless a caller asks otherwise.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esrt_privacy.assets.whisper_tensors import WhisperTensors
from esrt_privacy.errors import AssetError

if TYPE_CHECKING:
    from transformers import WhisperConfig

_MULTILINGUAL_FROM = 51_865  # vocabulary size of the first multilingual models; English has 51,864
_LANGUAGES_OF_THAT = 99  # languages in it; each further language adds a token


def write_whisper_folder(
    folder: Path, whisper: WhisperTensors, where: str, tokenizer_json: str | None = None
) -> None:
    """Fills the existing `folder` with a `transformers` Whisper model.

    `tokenizer_json` is the text of the model's own tokenizer file, if it came with one; without it the
    tokenizer is made from openai-whisper's vocabulary. `where` names the source in errors.
    Raises AssetError when tensors are missing, too many or of shapes that do not fit together.
    """
    from safetensors.torch import save_file

    config = _config(whisper, where)
    _check_shapes(whisper, config, where)
    tensors = {name: tensor.contiguous() for name, tensor in whisper.tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    _write_generation_config(folder, config)
    _write_feature_extractor(folder, config.num_mel_bins)
    _write_tokenizer(folder, config.vocab_size, tokenizer_json)
    (folder / "model.safetensors").chmod(0o644)  # safetensors writes for the owner alone


def _config(whisper: WhisperTensors, where: str) -> "WhisperConfig":
    """The configuration that the tensors' own shapes imply."""
    from transformers import WhisperConfig

    tensors = whisper.tensors
    try:
        vocabulary, hidden = tensors["model.decoder.embed_tokens.weight"].shape
        config = WhisperConfig(
            vocab_size=vocabulary,
            num_mel_bins=tensors["model.encoder.conv1.weight"].shape[1],
            d_model=hidden,
            encoder_layers=whisper.layers("encoder"),
            decoder_layers=whisper.layers("decoder"),
            encoder_attention_heads=whisper.encoder_heads,
            decoder_attention_heads=whisper.decoder_heads,
            encoder_ffn_dim=tensors["model.encoder.layers.0.fc1.weight"].shape[0],
            decoder_ffn_dim=tensors["model.decoder.layers.0.fc1.weight"].shape[0],
            max_source_positions=tensors["model.encoder.embed_positions.weight"].shape[0],
            max_target_positions=tensors["model.decoder.embed_positions.weight"].shape[0],
            architectures=["WhisperForConditionalGeneration"],
            begin_suppress_tokens=None,  # generation_config.json has the ones of this vocabulary
            dtype="float32",
            **_token_ids(vocabulary, where),
        )
    except (KeyError, ValueError, IndexError) as error:
        raise AssetError(f"{where} is no whole Whisper model ({error}): fetch it again") from error
    heads = (whisper.encoder_heads, whisper.decoder_heads)
    if any(count < 1 or hidden % count for count in heads):
        raise AssetError(f"{where} claims {heads} heads for width {hidden}: fetch it again")
    return config


def _openai_tokenizer(vocabulary: int, where: str) -> Any:
    """openai-whisper's tokenizer for a vocabulary size, the source of every special token's id."""
    from whisper.tokenizer import LANGUAGES, get_tokenizer

    multilingual = vocabulary >= _MULTILINGUAL_FROM
    languages = _LANGUAGES_OF_THAT + (vocabulary - _MULTILINGUAL_FROM if multilingual else 0)
    if vocabulary < _MULTILINGUAL_FROM - 1 or languages > len(LANGUAGES):
        raise AssetError(f"{where} has {vocabulary} tokens, as no Whisper has: give another file")
    return get_tokenizer(multilingual, num_languages=languages)


def _token_ids(vocabulary: int, where: str) -> dict[str, Any]:
    tokenizer = _openai_tokenizer(vocabulary, where)
    end = tokenizer.eot
    return {
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": tokenizer.sot,
    }


def _check_shapes(whisper: WhisperTensors, config: "WhisperConfig", where: str) -> None:
    """Compares with an empty model of that configuration, which costs no memory."""
    import torch
    from transformers import WhisperForConditionalGeneration

    with torch.device("meta"):
        model = WhisperForConditionalGeneration(config)
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    del wanted["proj_out.weight"]  # tied to the token embeddings
    given = {name: tensor.shape for name, tensor in whisper.tensors.items()}
    wrong = sorted(
        name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name)
    )
    if wrong:
        raise AssetError(
            f"{where} is no whole Whisper model ({len(wrong)} tensors missing or of another "
            f"shape, first {wrong[0]}): fetch it again"
        )


def _write_generation_config(folder: Path, config: "WhisperConfig") -> None:
    """What `generate` needs to build Whisper's prompt, as in the hub's models."""
    from transformers import GenerationConfig

    tokenizer = _openai_tokenizer(config.vocab_size, str(folder))
    special: dict[str, int] = tokenizer.special_tokens
    never_spoken = (
        *tokenizer.non_speech_tokens,
        tokenizer.transcribe,
        tokenizer.translate,
        tokenizer.sot,
        tokenizer.sot_prev,
        tokenizer.sot_lm,
        tokenizer.no_speech,
    )
    multilingual = config.vocab_size >= _MULTILINGUAL_FROM
    prompt: dict[str, Any] = {"is_multilingual": multilingual}
    if multilingual:
        languages = tokenizer.all_language_codes
        prompt |= {
            "lang_to_id": {f"<|{code}|>": special[f"<|{code}|>"] for code in languages},
            "task_to_id": {task: special[f"<|{task}|>"] for task in ("transcribe", "translate")},
        }
    GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
        max_length=config.max_target_positions,
        suppress_tokens=sorted(set(never_spoken)),
        begin_suppress_tokens=[tokenizer.encode(" ")[0], tokenizer.eot],
        no_timestamps_token_id=tokenizer.no_timestamps,
        prev_sot_token_id=tokenizer.sot_prev,
        max_initial_timestamp_index=50,  # 1 s, openai-whisper's bound
        return_timestamps=False,
        **prompt,
    ).save_pretrained(folder)


def _write_feature_extractor(folder: Path, mel_bins: int) -> None:
    from transformers import WhisperFeatureExtractor

    WhisperFeatureExtractor(feature_size=mel_bins).save_pretrained(folder)


def _write_tokenizer(folder: Path, vocabulary: int, tokenizer_json: str | None) -> None:
    from esrt_privacy.assets.bpe import tokenizer_from_tiktoken

    text = tokenizer_json
    if text is None:
        text = tokenizer_from_tiktoken(_openai_tokenizer(vocabulary, str(folder)).encoding)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    end = "<|endoftext|>"
    settings = {
        "tokenizer_class": "WhisperTokenizer",
        "processor_class": "WhisperProcessor",
        "bos_token": end,
        "eos_token": end,
        "pad_token": end,
        "unk_token": end,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "return_attention_mask": False,
        "model_max_length": 1024,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
