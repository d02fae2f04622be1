"""Systems by name: the reference, the paper's presets, adapter folders, checkpoints with code of their own."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from esrt_privacy.errors import SystemUnavailable
from esrt_privacy.esrt.config import PRESETS, SystemConfig

if TYPE_CHECKING:  # torch and transformers are loaded for a system, not for the list of them
    from esrt_privacy.esrt.edge import Edge
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
    from esrt_privacy.systems.esrt_system import EsrtSystem
    from esrt_privacy.systems.remote_checkpoint import is_checkpoint_name

    if is_checkpoint_name(name_or_folder):
        return _released(name_or_folder, allow_remote_code)
    folder = Path(name_or_folder)
    reference: str | None = None
    if name_or_folder in REFERENCE_NAMES:
        folder, reference = reference_folder(), name_or_folder
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
    edge = load_edge(folder, weights, reference)
    return EsrtSystem(edge, _basis(edge.config.wire_shape, edge.config.encoder.mel_bins))


def is_released(name_or_folder: str, allow_remote_code: bool) -> bool:
    """Whether a whole model of this name is a checkpoint with code of its own, rather than one of ours.

    A name of the hub may be either: there the consent tells, but for names that are known.
    """
    from esrt_privacy.esrt.checkpoint import MODEL_FILE
    from esrt_privacy.systems.remote_checkpoint import is_checkpoint_name

    folder = Path(name_or_folder).expanduser()
    if not is_checkpoint_name(name_or_folder) or (folder / MODEL_FILE).is_file():
        return False
    known = folder.is_dir() or name_or_folder.partition("@")[0] in RELEASED.values()
    return known or allow_remote_code


def load_edge(folder: Path, weights: Path | None = None, reference: str | None = None) -> Edge:
    """The edge half in an adapter folder; under the name, and with the queries, of a reference system.

    `weights` is a folder to look for the Whisper encoder in. Raises SystemUnavailable or AssetError.
    """
    from esrt_privacy.assets import whisper_folder
    from esrt_privacy.esrt.edge import Edge, read_config

    queries = None if reference is None else PRESETS[reference].queries
    encoder = whisper_folder(read_config(folder).encoder.name, weights)
    return Edge.from_adapter(folder, encoder, queries, reference)


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
