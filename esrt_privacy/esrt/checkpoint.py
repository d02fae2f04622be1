"""A model's folder on disk or on the hub: which files it has, how they are read and written.

config.json, qformer.safetensors       the edge half, all that a device needs
model.json, projector.safetensors      the cloud half
llm_adapter.safetensors                LoRA and the language tags' rows of the LLM named in model.json
llm/                                   the LLM itself, adapters merged in, where it was asked for
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from esrt_privacy.errors import AssetError, SystemUnavailable, shown
from esrt_privacy.esrt.edge import ADAPTER_FILE, CONFIG_FILE, read_config
from esrt_privacy.esrt.model_config import ModelConfig
from esrt_privacy.esrt.projector import Projector

MODEL_FILE = "model.json"
PROJECTOR_FILE = "projector.safetensors"
LLM_ADAPTER_FILE = "llm_adapter.safetensors"
LLM_FOLDER = "llm"
OWN_LLM = f"./{LLM_FOLDER}"  # in model.json: the LLM lies in the checkpoint's own folder

_PATTERNS = [
    CONFIG_FILE,
    MODEL_FILE,
    ADAPTER_FILE,
    PROJECTOR_FILE,
    LLM_ADAPTER_FILE,
    f"{LLM_FOLDER}/*.json",
    f"{LLM_FOLDER}/*.safetensors",
    f"{LLM_FOLDER}/tokenizer.model",
    f"{LLM_FOLDER}/*.jinja",
]


def checkpoint_folder(folder_or_hub: str | Path) -> Path:
    """A local folder as it is; a name of the hub (`owner/name`) from its cache or downloaded.

    Raises AssetError where it is neither.
    """
    folder = Path(folder_or_hub).expanduser()
    if folder.is_dir():
        return folder
    name = str(folder_or_hub)
    if isinstance(folder_or_hub, Path) or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise AssetError(f"{shown(name)}: no such folder, and no name of the hub (owner/name)")
    return _from_hub(name)


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(name, allow_patterns=_PATTERNS))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise AssetError(
            f"{shown(name)}: no such folder, and not to be had from the hub"
            f" ({type(error).__name__}): check the name and the network, or download it first"
        ) from error


def push_folder(folder: Path, name: str, private: bool) -> str:
    """Upload a checkpoint folder to the hub as `owner/name`; its address. Raises AssetError."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        api = HfApi()
        address = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="ESRT model")
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise AssetError(
            f"{shown(name)}: cannot be pushed to the hub ({type(error).__name__}: "
            f"{shown(str(error).splitlines()[0] if str(error) else '')}): check the name, the"
            " network and `hf auth login`"
        ) from error
    return str(address)


def read_model_config(folder: Path) -> ModelConfig:
    """Both configuration files of a checkpoint folder. Raises AssetError or SystemUnavailable."""
    edge = read_config(folder)
    path = folder / MODEL_FILE
    if not path.is_file():
        raise AssetError(
            f"{folder}: an adapter of the edge half only ({MODEL_FILE} is missing); translation"
            " needs a folder with the cloud half too"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise AssetError(f"{path}: cannot be read ({shown(error)})") from error
    return ModelConfig.from_json(text, edge, path)


def load_projector(folder: Path, config: ModelConfig) -> Projector:
    """Read projector.safetensors. Raises AssetError or SystemUnavailable, naming the file."""
    with torch.device("meta"):
        projector = Projector(config.edge.qformer.hidden, config.llm_width)
    weights = {k: v.float() for k, v in read_tensors(folder / PROJECTOR_FILE).items()}
    try:
        projector.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        reason = shown(str(error).splitlines()[-1].strip())
        raise SystemUnavailable(
            f"{folder / PROJECTOR_FILE}: not a projector of these sizes: {reason}"
        ) from error
    return projector


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises AssetError naming the file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise AssetError(f"{path}: cannot be read as weights ({shown(error)})") from error


def write_cloud_half(
    folder: Path,
    config: ModelConfig,
    projector: Projector,
    adapter: Mapping[str, Tensor] | None,
    half: bool,
) -> None:
    """Write model.json, the projector and the LLM's adapter, in float16 if `half`, else as they are.

    An adapter of an earlier save is taken away where there is none to write: it would fit another LLM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_text(config.to_json() + "\n", encoding="utf-8")
    _write_tensors(folder / PROJECTOR_FILE, projector.state_dict(), half)
    if adapter is None:
        (folder / LLM_ADAPTER_FILE).unlink(missing_ok=True)
    else:
        _write_tensors(folder / LLM_ADAPTER_FILE, adapter, half)


def write_llm(folder: Path, llm: Any, tokenizer: Any) -> None:
    """Write a whole LLM with its tokenizer into the checkpoint's sub-folder, replacing what was there."""
    place = folder / LLM_FOLDER
    shutil.rmtree(place, ignore_errors=True)
    llm.save_pretrained(place)
    tokenizer.save_pretrained(place)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor], half: bool) -> None:
    from safetensors.torch import save_file

    # Cloned: tensors that share storage (a view, a tied row) cannot be saved together.
    kept = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in tensors.items()}
    save_file({k: v.half() for k, v in kept.items()} if half else kept, path)
