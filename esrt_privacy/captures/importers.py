"""Captures from a path: our own folders, and what others have written; labels for their tensors."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

from esrt_privacy.captures.capture import Capture, CapturedUtterance
from esrt_privacy.captures.edge_cache import CachedRow, is_edge_cache, open_edge_cache
from esrt_privacy.captures.store import ABOUT_FILE, TapStore
from esrt_privacy.corpora import Corpus, Utterance
from esrt_privacy.errors import AudioError, CaptureError, shown

NAMED_IN_A_NOTE = 3


def open_capture(path: Path | str) -> Capture:
    """Open a capture folder, or an edge cache of the released ESRT script, without its audio.

    Its corpus has one utterance a tensor, known by the audio's fingerprint or by the cache's name
    for the audio and without labels: see `with_labels`. Raises CaptureError naming what is wrong.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise CaptureError(f"{shown(folder)}: no such folder; give a capture's folder")
    if (folder / ABOUT_FILE).is_file():
        return _own(folder)
    if is_edge_cache(folder):
        return _edge_cache(folder)
    inner = sorted(about.parent.name for about in folder.glob(f"*/{ABOUT_FILE}"))
    if inner:
        raise CaptureError(f"{folder}: holds the captures {shown(', '.join(inner))}; give one")
    raise CaptureError(
        f"{folder}: no capture here; a capture has {ABOUT_FILE}, an edge cache state.json"
    )


def with_labels(capture: Capture, corpus: Corpus) -> Capture:
    """The capture's tensors with the labels and the audio of a corpus's utterances.

    A capture of our own is matched by the audio's fingerprint; an edge cache, which knows no more,
    by the audio's file name and as many of its folders as tell recordings of one name apart. Of a
    recording that was cut into windows, the first is what the script encodes. Tensors without a
    recording are left out with a note. Raises CaptureError when none is left.
    """
    match = _by_fingerprint if capture.store.keyed_by_audio else _by_name
    labelled, notes = match(capture, corpus)
    taken = {u.fingerprint for u in labelled}
    lost = [u.id for u in capture.corpus if u.fingerprint not in taken]
    if not labelled:
        raise CaptureError(
            f"{capture.store.folder}: none of its {len(capture.corpus)} tensors is of a recording"
            f" in {corpus.name}; give the corpus that it was made from"
        )
    if lost:
        notes.append(
            f"left out {len(lost)} of {len(capture.corpus)} tensors without a recording in"
            f" {corpus.name} ({_some(lost)})"
        )
    notes = [*capture.corpus.notes, *corpus.notes, *notes]
    return replace(capture, corpus=Corpus(corpus.name, tuple(labelled), tuple(notes)))


def _own(folder: Path) -> Capture:
    store = TapStore.open(folder)
    utterances = [CapturedUtterance(key[:16], Path(key), tensor_key=key) for key in store.keys]
    if not utterances:
        raise CaptureError(f"{folder}: the capture holds no tensors")
    return Capture(Corpus(folder.name, tuple(utterances)), store)


def _edge_cache(folder: Path) -> Capture:
    store, rows = open_edge_cache(folder)
    named: dict[str, CachedRow] = {}
    repeated = []
    for number, row in enumerate(rows):
        name = row.audio or f"row {number}"
        if name in named:
            repeated.append(name)
        else:
            named[name] = row
    stems = Counter(_parts(name)[-1].rpartition(".")[0] for name in named)
    utterances = []
    for name, row in named.items():
        stem = _parts(name)[-1].rpartition(".")[0]
        unique = stem and stems[stem] == 1
        utterances.append(
            CapturedUtterance(stem if unique else name, Path(name), tensor_key=row.key)
        )
    notes = []
    if repeated:
        notes.append(
            f"left out {len(repeated)} rows of audio that an earlier row names ({_some(repeated)})"
        )
    return Capture(Corpus(folder.resolve().name, tuple(utterances), tuple(notes)), store)


def _by_fingerprint(capture: Capture, corpus: Corpus) -> tuple[list[Utterance], list[str]]:
    held = {u.fingerprint for u in capture.corpus}
    found: list[Utterance] = []
    for utterance in corpus:
        try:
            if utterance.fingerprint in held:
                found.append(utterance)
        except AudioError:
            continue  # its tensor, if there is one, counts as one without a recording
    return found, []


def _by_name(capture: Capture, corpus: Corpus) -> tuple[list[Utterance], list[str]]:
    recordings: dict[str, list[Utterance]] = {}
    for utterance in corpus:
        if utterance.start == 0.0:
            recordings.setdefault(utterance.audio.name, []).append(utterance)
    pairs: list[tuple[CapturedUtterance, Utterance]] = []
    for captured in capture.corpus:
        if isinstance(captured, CapturedUtterance):
            parts = _parts(str(captured.audio))
            match = _nearest(parts, recordings.get(parts[-1], []))
            if match is not None:
                pairs.append((captured, match))
    # Two tensors cannot be of one recording: which of them is cannot be told by the names.
    claims = Counter(match.id for _, match in pairs)
    notes = [
        f"{count} tensors have the name of {shown(name)}: none of them is labelled"
        for name, count in claims.items()
        if count > 1
    ]
    return [_labelled(c, match) for c, match in pairs if claims[match.id] == 1], notes


def _nearest(parts: list[str], recordings: list[Utterance]) -> Utterance | None:
    """The recording whose path ends most like `parts`; None where two do so equally."""
    if len(recordings) < 2:
        return recordings[0] if recordings else None
    alike = [_shared_end(parts, list(u.audio.parts)) for u in recordings]
    best = max(alike)
    return recordings[alike.index(best)] if alike.count(best) == 1 else None


def _shared_end(first: list[str], second: list[str]) -> int:
    count = 0
    for a, b in zip(reversed(first), reversed(second), strict=False):
        if a != b:
            break
        count += 1
    return count


def _parts(name: str) -> list[str]:
    # The cache may come from a machine with the other kind of slashes.
    return [part for part in name.replace("\\", "/").split("/") if part] or [name]


def _labelled(captured: CapturedUtterance, match: Utterance) -> CapturedUtterance:
    labels = {f.name: getattr(match, f.name) for f in fields(Utterance)}
    return CapturedUtterance(**labels, tensor_key=captured.tensor_key)


def _some(names: list[str]) -> str:
    more = ", …" if len(names) > NAMED_IN_A_NOTE else ""
    return shown(", ".join(names[:NAMED_IN_A_NOTE]) + more)
