"""A checkpoint that brings code of its own: where it lies, the user's consent to that code, and loading it.

Up to the consent only JSON is read. After it everything comes from one folder, pinned by a commit of the hub or by the
SHA-256 of the code, so that what was consented to is what runs. Weights are read from safetensors alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from esrt_privacy.errors import AssetError, EsrtPrivacyError, ModelError, SystemUnavailable, shown
from esrt_privacy.esrt.memory import within_memory

CONSENT_FLAG = "--allow-remote-code"
CONFIG_FILE = "config.json"
INDEX_FILE = "model.safetensors.index.json"
PREPROCESSING_FILE = "preprocessor_config.json"
MOST_JSON_BYTES = 64 * 1024 * 1024
MEL_BINS = 128  # of Whisper-large-v3
MOST_MEL_BINS = 512
DTYPE = torch.bfloat16  # in which the released script loads edge and cloud

_MEL_KEYS = ("num_mel_bins", "n_mels", "mel_bins", "mel_size")
_HUB_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w.-]+))?")
_PATTERNS = ["*.json", "*.txt", "*.jinja", "*.py", "*.model", "*.safetensors"]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on this machine whose code the user has allowed to run."""

    name: str  # as reports call it
    folder: Path
    revision: str  # commit of the hub, or `sha256:` and the beginning of the code's
    mel_bins: int

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of its code and configuration; the weights are the loaded model's."""
        configuration = [CONFIG_FILE, PREPROCESSING_FILE]
        paths = [self.folder / name for name in configuration if (self.folder / name).is_file()]
        return _digest(self.folder, [*_code_files(self.folder), *paths])


def is_checkpoint_name(name_or_folder: str) -> bool:
    """Whether it is a folder with code of its own, or could be `owner/name` (`@revision`) on the hub."""
    folder = Path(name_or_folder).expanduser()
    if not folder.is_dir():
        return _HUB_NAME.fullmatch(name_or_folder) is not None
    try:
        return "auto_map" in _read_json(folder / CONFIG_FILE)
    except AssetError:
        return False


def open_checkpoint(name_or_folder: str, allow_remote_code: bool = False) -> Checkpoint:
    """Find a checkpoint, and once its code is allowed, bring it here. None of its code runs yet.

    `owner/name` is taken from the hub's cache or downloaded; `owner/name@revision` pins it. Raises
    SystemUnavailable without consent or for what is no such checkpoint, AssetError for what is
    missing or damaged.
    """
    folder = Path(name_or_folder).expanduser()
    if folder.is_dir():
        name = folder.resolve().name
        config = _read_json(folder / CONFIG_FILE)
        revision = f"sha256:{_digest(folder, _code_files(folder))[:16]}"
    else:
        name, revision, config = _find_on_hub(name_or_folder)
    where = shown(name_or_folder)
    module = _module_file(config, where)
    if not allow_remote_code:
        raise SystemUnavailable(
            f"{where}: this system runs code of its publisher ({shown(module, 60)}, revision"
            f" {revision}) on this machine; read that code, then allow it with {CONSENT_FLAG}"
        )
    if not folder.is_dir():
        folder = _download(name, revision)
    if not (folder / module).is_file():
        raise AssetError(f"{folder / module}: missing, though {CONFIG_FILE} names it; copy it anew")
    _require_weights(folder, where)
    return Checkpoint(name, folder, revision, _mel_bins(config, where))


def load_model(checkpoint: Checkpoint, **options: bool) -> Any:
    """The checkpoint's model through its own code, in evaluation, bfloat16.

    `options` are the released script's; a class that knows none of them is built without.
    Raises SystemUnavailable where that fails or weights are missing.
    """
    import transformers

    arguments: dict[str, Any] = {
        "trust_remote_code": True,
        "use_safetensors": True,
        "local_files_only": True,
        "output_loading_info": True,
        "dtype": DTYPE,
    }
    folder = str(checkpoint.folder)
    remedy = (
        f"its code may need other packages, or another transformers than {transformers.__version__}"
    )
    with (
        remote_code(checkpoint.name, "being loaded", remedy, SystemUnavailable),
        within_memory(f"loading {checkpoint.name}", "use a machine with more memory"),
    ):
        try:
            loaded = transformers.AutoModel.from_pretrained(folder, **arguments, **options)
        except TypeError as error:
            if "unexpected keyword argument" not in str(error):
                raise
            loaded = transformers.AutoModel.from_pretrained(folder, **arguments)
        # A class with a from_pretrained of its own may not say what it found.
        model, found = loaded if isinstance(loaded, tuple) else (loaded, {})
        model = model.eval().requires_grad_(False)
    missing = sorted(found.get("missing_keys", ()))
    if missing:
        raise SystemUnavailable(
            f"{checkpoint.name}: {len(missing)} weights are not in its safetensors"
            f" ({shown(missing[0], 80)} …), random ones would stand in; copy it anew"
        )
    return model


@contextmanager
def remote_code(
    name: str, doing: str, remedy: str, kind: type[EsrtPrivacyError] = ModelError
) -> Iterator[None]:
    """Turn whatever a checkpoint's own code raises into one line that says whose code it was."""
    try:
        yield
    except EsrtPrivacyError:
        raise
    except (Exception, SystemExit) as error:
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {shown(lines[0])}" if lines else type(error).__name__
        raise kind(
            f"{name}: the checkpoint's own code failed in {doing} ({reason}); {remedy}"
        ) from (error)


def _find_on_hub(text: str) -> tuple[str, str, dict[str, Any]]:
    """Name, commit and configuration, from the hub's cache or, of the hub, config.json alone."""
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    from esrt_privacy.assets.hub import answers, hub_is_forbidden

    found = _HUB_NAME.fullmatch(text)
    if found is None:
        raise SystemUnavailable(f"{shown(text)}: no such folder, and no name of the hub")
    name, revision = found[1], found[2]
    try:
        path = try_to_load_from_cache(name, CONFIG_FILE, revision=revision)
        if not isinstance(path, str):
            if hub_is_forbidden() or not answers(constants.ENDPOINT):
                raise AssetError(
                    f"{text}: not on this machine, and the hub cannot be reached; download it where"
                    " there is a network, and give its folder as --system"
                )
            path = hf_hub_download(name, CONFIG_FILE, revision=revision)
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise AssetError(
            f"{text}: not to be had from the hub ({type(error).__name__}); check the name, or give"
            " a folder as --system"
        ) from error
    return name, Path(path).parent.name, _read_json(Path(path))


def _download(name: str, commit: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(name, revision=commit, allow_patterns=_PATTERNS))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise AssetError(
            f"{name}: not whole on this machine, and not to be had from the hub"
            f" ({type(error).__name__}); run the same command with a network"
        ) from error


def _module_file(config: dict[str, Any], where: str) -> str:
    """The file of the model's class. All code must lie in the checkpoint: nothing else is pinned."""
    listed = config.get("auto_map")
    entries = listed if isinstance(listed, dict) else {}
    reference = entries.get("AutoModel")
    if not isinstance(reference, str) or not re.fullmatch(r"(.+--)?\w[\w/]*\.\w+", reference):
        raise SystemUnavailable(
            f"{where}: its {CONFIG_FILE} names no model class of its own (auto_map, AutoModel); an"
            " ESRT adapter of this package is given as a folder"
        )
    for value in map(str, entries.values()):
        if "--" in value:
            raise SystemUnavailable(
                f"{where}: its code lies in another repository ({shown(value, 80)}), which no"
                " revision pins; copy that code into a folder beside the weights and give it as --system"
            )
    return reference.rsplit(".", 1)[0] + ".py"


def _mel_bins(config: dict[str, Any], where: str) -> int:
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for key in _MEL_KEYS:
            value = part.get(key, MEL_BINS)
            if type(value) is not int or not 0 < value <= MOST_MEL_BINS:
                raise SystemUnavailable(
                    f"{where}: {key} in {CONFIG_FILE} must be a whole number from 1 to {MOST_MEL_BINS}"
                )
            if key in part:
                return value
    return MEL_BINS


def _require_weights(folder: Path, where: str) -> None:
    """Raise AssetError unless there are safetensors, whole ones."""
    from safetensors import SafetensorError, safe_open

    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise AssetError(
            f"{where}: no weights as safetensors in it; pickles (.bin, .pt) are not read, since they"
            " can hold code: convert the checkpoint"
        )
    index = folder / INDEX_FILE
    if index.is_file():
        named = _read_json(index).get("weight_map")
        wanted = set(map(str, named.values())) if isinstance(named, dict) else set()
        paths = sorted({*paths, *(folder / name for name in wanted)})
    for path in paths:
        try:
            with safe_open(path, framework="pt"):  # compares header and size
                pass
        except (OSError, SafetensorError) as error:
            reason = shown(error) if path.is_file() else "it is missing"
            raise AssetError(
                f"{path}: cannot be read as weights ({reason}); copy it anew"
            ) from error


def _code_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if path.is_file())


def _digest(folder: Path, paths: list[Path]) -> str:
    """SHA-256 over names and contents."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise AssetError(f"{path}: cannot be read ({error.strerror})") from error
        digest.update(f"{path.relative_to(folder).as_posix()}|{content}\n".encode())
    return digest.hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_JSON_BYTES:
            raise ValueError("too long")
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AssetError(
            f"{path}: cannot be read as JSON ({shown(error)}); copy it anew"
        ) from error
    if not isinstance(value, dict):
        raise AssetError(f"{path}: not a configuration; copy it anew")
    return value
