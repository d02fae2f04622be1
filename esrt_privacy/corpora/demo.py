"""The synthetic demo corpus that ships with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from esrt_privacy.corpora import manifest
from esrt_privacy.corpora.utterance import Found
from esrt_privacy.errors import CorpusError


def load() -> Found:
    """Read the shipped manifest. Raises CorpusError when this installation lacks the recordings."""
    folder = resources.files("esrt_privacy") / "data" / "demo"
    # recordings are opened by path, so an installation inside a zip archive has none to offer
    if not isinstance(folder, Path) or not (folder / manifest.FILE_NAME).is_file():
        raise CorpusError(
            "demo: this installation has no demo corpus; reinstall esrt-privacy from its wheel, or "
            "give the path of your own recordings"
        )
    return manifest.load(folder / manifest.FILE_NAME)
