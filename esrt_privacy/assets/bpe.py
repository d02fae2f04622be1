"""A `tokenizers` file from a tiktoken vocabulary, for Whisper models that come without one.

tiktoken keeps only the rank of each token; the pair that was merged into it is what byte-pair
encoding makes of the token when it may use lower ranks only.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken


def tokenizer_from_tiktoken(encoding: "tiktoken.Encoding") -> str:
    """The JSON text of a byte-level BPE tokenizer equal to `encoding`, special tokens included."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    ranks = {encoding.decode_single_token_bytes(token): token for token in _ordinary(encoding)}
    letters = _byte_letters()

    def spelled(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    vocabulary = {spelled(token): rank for token, rank in ranks.items()}
    pairs = (_merged_pair(token, ranks) for token in ranks if len(token) > 1)
    merges = [(spelled(left), spelled(right)) for left, right in pairs]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = sorted(encoding.special_tokens_set, key=encoding.encode_single_token)
    # Timestamps are ordinary in transformers, which drops special tokens from a transcript.
    tokenizer.add_tokens(
        [AddedToken(token, normalized=False, special="." not in token) for token in special]
    )
    return str(tokenizer.to_str())


def _ordinary(encoding: "tiktoken.Encoding") -> range:
    """Ids of the tokens that are not special: they come first, without a gap."""
    return range(encoding.n_vocab - len(encoding.special_tokens_set))


def _merged_pair(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        joined = [ranks.get(a + b, len(ranks)) for a, b in pairwise(parts)]
        best = min(range(len(joined)), key=joined.__getitem__)
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts[0], parts[1]


def _byte_letters() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte (openai/gpt-2, encoder.py, bytes_to_unicode)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {
        byte: chr(256 + place) for place, byte in enumerate(others)
    }
