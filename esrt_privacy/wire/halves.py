"""Which of the two loaders a model's name asks for."""

from __future__ import annotations

from pathlib import Path


def is_released(name_or_folder: str, allow_remote_code: bool) -> bool:
    """As `load_translator` tells: a checkpoint with code of its own, and the user's consent to it."""
    from esrt_privacy.esrt.checkpoint import MODEL_FILE
    from esrt_privacy.systems.registry import RELEASED
    from esrt_privacy.systems.remote_checkpoint import is_checkpoint_name

    folder = Path(name_or_folder).expanduser()
    if not is_checkpoint_name(name_or_folder) or (folder / MODEL_FILE).is_file():
        return False
    known = folder.is_dir() or name_or_folder.partition("@")[0] in RELEASED.values()
    return known or allow_remote_code
