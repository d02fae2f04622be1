"""Models from the network: the Hugging Face hub, or for Whisper openai-whisper's own download.

Only safetensors and JSON or text files are taken from the hub, never a pickle or code. Files that
an earlier run or another program left in the hub's own cache are found without network.
"""

import contextlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from esrt_privacy.assets.cache import cache_folder

_PATTERNS = ["*.json", "*.txt", "tokenizer.model", "model.safetensors", "model-*-of-*.safetensors"]
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PROBE = 3.0  # seconds; a network that cannot say hello by then counts as none


def hub_snapshot(repository: str, is_whole: Callable[[Path], bool]) -> Path | None:
    """A folder with a model of the hub, from its cache or downloaded; None if not to be had.

    `is_whole` looks whether a folder holds all that the model needs.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    # Errors of the network, of the hub and of a missing or private repository all mean "not here".
    failures = (OSError, ValueError, HfHubHTTPError, LocalEntryNotFoundError)
    with contextlib.suppress(*failures):
        cached = Path(
            snapshot_download(repository, allow_patterns=_PATTERNS, local_files_only=True)
        )
        if is_whole(cached):
            return cached
    if hub_is_forbidden() or not answers(constants.ENDPOINT):
        return None
    with contextlib.suppress(*failures):
        fetched = Path(snapshot_download(repository, allow_patterns=_PATTERNS))
        if is_whole(fetched):
            return fetched
    return None


def openai_checkpoint(name: str) -> Path | None:
    """openai-whisper's `.pt` file of a model, downloaded and checked by that package; or None."""
    import whisper

    url = whisper._MODELS.get(name)
    if url is None:
        return None
    folder = cache_folder() / "openai-whisper"
    expected = folder / url.rsplit("/", 1)[-1]
    if not expected.is_file() and (hub_is_forbidden() or not answers(url)):
        return None
    try:
        # The package checks the SHA-256 that its address carries, and downloads again if it differs.
        return Path(whisper._download(url, str(folder), in_memory=False))
    except (OSError, RuntimeError):
        return None


def is_transformers_folder(folder: Path) -> bool:
    """Whether a folder holds what `from_pretrained` needs of a Whisper model."""
    return _has_weights(folder) and (folder / "preprocessor_config.json").is_file()


def is_llm_folder(folder: Path) -> bool:
    """Whether a folder holds what `from_pretrained` needs of a causal LLM and its fast tokenizer."""
    return _has_weights(folder) and (folder / "tokenizer.json").is_file()


def _has_weights(folder: Path) -> bool:
    weights = any((folder / name).is_file() for name in _WEIGHTS)
    return weights and (folder / "config.json").is_file()


def hub_is_forbidden() -> bool:
    """Whether the user has said to stay offline (HF_HUB_OFFLINE)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def answers(url: str) -> bool:
    """Whether a server answers within seconds, through the user's proxy if one is set."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_PROBE):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
