"""A Gemma 3 text model with a tokenizer of words, small enough to be drawn anew for each test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

WIDTH = 48
CONTEXT = 160
UNUSED = 110  # the languages need 102
TEXT = """
one two three four five six seven eight nine ten hello world
eins zwei drei vier fünf sechs sieben acht neun zehn hallo welt
uno dos tres cuatro cinco seis siete ocho nueve diez hola mundo
"""
SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>")


def write_llm(folder: Path, seed: int = 0, width: int = WIDTH) -> Path:
    """Random weights and a tokenizer in `folder`, as `transformers` keeps them; the folder."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    tokenizer = tokenizer_of_words()
    torch.manual_seed(seed)
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=32,
        layer_types=["sliding_attention", "full_attention"],
        max_position_embeddings=CONTEXT,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    llm = Gemma3ForCausalLM(config)
    # As drawn, weights of deviation 0.02 hardly tell one token from another, and the tied head repeats the last.
    with torch.no_grad():
        for name, weight in llm.named_parameters():
            if weight.ndim == 2:
                weight.mul_(3 if "embed" in name else 10)
        llm.model.norm.weight.fill_(5.0)
    # What a released checkpoint brings along, and must not be heeded.
    llm.generation_config.do_sample = True
    llm.generation_config.top_k = 64
    llm.generation_config.top_p = 0.95
    llm.generation_config.eos_token_id = [1, 3]
    llm.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_multimodal(folder: Path) -> Path:
    """A Gemma 3 with a vision encoder, random, and a tokenizer in `folder`; the folder."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    tokenizer = tokenizer_of_words()
    torch.manual_seed(0)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "sliding_window": 32,
        "layer_types": ["sliding_attention", "full_attention"],
        "max_position_embeddings": CONTEXT,
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    model = Gemma3ForConditionalGeneration(
        Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    )
    with torch.no_grad():
        for weight in model.model.language_model.parameters():
            if weight.ndim == 2:
                weight.mul_(5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tokenizer_of_words(unused: Sequence[str] | None = None):
    """A fast tokenizer that knows the words of TEXT and the tokens in `unused`, by default 110 of Gemma's."""
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    spare = [f"<unused{n}>" for n in range(UNUSED)] if unused is None else list(unused)
    tokens = [*SPECIAL, *spare, *TEXT.split()]
    words = Tokenizer(WordLevel({token: n for n, token in enumerate(tokens)}, "<unk>"))
    words.pre_tokenizer = Whitespace()
    words.add_special_tokens([AddedToken(t, special=True) for t in [*SPECIAL, *spare]])
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
    )
