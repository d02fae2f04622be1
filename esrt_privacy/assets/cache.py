"""Where downloaded and converted weights live, and how a folder gets there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from esrt_privacy.errors import AssetError

CACHE_VARIABLE = "ESRT_PRIVACY_CACHE"


def cache_folder() -> Path:
    """The folder for fetched and converted weights, created if missing.

    `ESRT_PRIVACY_CACHE` names it; without that variable it is the platform's user cache.
    Raises AssetError if it cannot be created.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        folder = Path(named).expanduser()
    else:
        import platformdirs

        folder = Path(platformdirs.user_cache_dir("esrt-privacy", appauthor=False))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AssetError(
            f"{folder} cannot hold weights ({error.strerror}): "
            f"set {CACHE_VARIABLE} to a folder that can be written"
        ) from error
    return folder.resolve()


@contextmanager
def built_whole(target: Path) -> Iterator[Path]:
    """Yields an empty folder beside `target` that becomes `target` when the block ends well.

    A killed or failed build leaves no half-filled `target`. If another process got there first,
    its result stays and ours is dropped: both were made from the same checked source.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield building
        building.chmod(0o755)
        try:
            building.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    except OSError as error:
        raise AssetError(
            f"{target} cannot be written: {error.strerror or error}; free space there or set "
            f"{CACHE_VARIABLE} to another folder"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
