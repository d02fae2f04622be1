"""Systems by name: the reference, the paper's presets, adapter folders, checkpoints with code of their own."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from esrt_privacy.errors import SystemUnavailable
from esrt_privacy.esrt.config import PRESETS, SystemConfig

if TYPE_CHECKING:  # torch and transformers are loaded for a system, not for the list of them
    from esrt_privacy.systems.esrt_system import EsrtSystem
    from esrt_privacy.systems.released import ReleasedSystem
    from esrt_privacy.systems.transparent import TransparentBasis

REFERENCE_NAMES = ("reference", "reference-lite")
RELEASED = {"esrt-4b": "yxdu/ESRT-4B"}  # the authors' checkpoint, by preset


@dataclass(frozen=True)
class SystemRow:
    """One line of `esrt-privacy systems`."""

    config: SystemConfig
    available: bool
    remark: str


def reference_folder() -> Path:
    """The folder of the shipped reference adapter, its split, card, control basis and attackers."""
    return Path(str(resources.files("esrt_privacy") / "data" / "reference"))


def list_systems() -> list[SystemRow]:
    """Every preset, and whether it can be run with what is installed."""
    rows = []
    for name, config in PRESETS.items():
        if name in REFERENCE_NAMES:
            rows.append(SystemRow(config, True, "shipped adapter on Whisper-base"))
        else:
            remark = "sizes only: the authors' weights are not here; give an adapter folder"
            if name in RELEASED:
                remark += f", or {RELEASED[name]} with --allow-remote-code"
            rows.append(SystemRow(config, False, remark))
    return rows


def build_system(
    name_or_folder: str, weights: Path | None = None, allow_remote_code: bool = False
) -> EsrtSystem | ReleasedSystem:
    """The system called so, or the one in an adapter folder (config.json, qformer.safetensors).

    A checkpoint with code of its own, `owner/name` on the hub or a folder, needs the user's consent
    to that code. `weights` is a folder to look for the Whisper encoder in. Raises
    SystemUnavailable or AssetError.
    """
    from esrt_privacy.assets import whisper_folder
    from esrt_privacy.esrt.edge import Edge, read_config
    from esrt_privacy.systems.esrt_system import EsrtSystem
    from esrt_privacy.systems.remote_checkpoint import is_checkpoint_name

    if is_checkpoint_name(name_or_folder):
        return _released(name_or_folder, allow_remote_code)
    folder = Path(name_or_folder)
    name: str | None = None
    queries: int | None = None
    if name_or_folder in REFERENCE_NAMES:
        folder, name = reference_folder(), name_or_folder
        queries = PRESETS[name_or_folder].queries
    elif name_or_folder in PRESETS:
        raise SystemUnavailable(
            f"{name_or_folder}: the authors' weights are not part of this package; give a folder"
            " with an adapter (config.json, qformer.safetensors)"
            + (f", or {RELEASED[name_or_folder]}," if name_or_folder in RELEASED else "")
            + " as --system"
        )
    elif not folder.is_dir():
        known = ", ".join(PRESETS)
        raise SystemUnavailable(
            f"unknown system '{name_or_folder}': neither a folder with an adapter"
            f" nor one of {known}"
        )
    config = read_config(folder)
    encoder = whisper_folder(config.encoder.name, weights)
    edge = Edge.from_adapter(folder, encoder, queries, name)
    return EsrtSystem(edge, _basis(edge.config.wire_shape, edge.config.encoder.mel_bins))


def _released(name_or_folder: str, allow_remote_code: bool) -> ReleasedSystem:
    from esrt_privacy.systems.released import ReleasedSystem
    from esrt_privacy.systems.remote_checkpoint import open_checkpoint

    checkpoint = open_checkpoint(name_or_folder, allow_remote_code)
    system = ReleasedSystem.load(checkpoint)
    basis = _basis(system.wire_shape, checkpoint.mel_bins)
    return system if basis is None else system.with_transparent(basis)


def _basis(wire_shape: tuple[int, int], mel_bins: int) -> TransparentBasis | None:
    from esrt_privacy.systems.transparent import TransparentBasis

    path = basis_path(*wire_shape, mel_bins)
    return TransparentBasis.load(path) if path.exists() else None


def basis_path(vectors: int, width: int, mel_bins: int) -> Path:
    """Where the shipped control basis of this shape lies, if there is one."""
    return reference_folder() / f"transparent-{vectors}x{width}-{mel_bins}.safetensors"
