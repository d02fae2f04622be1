"""FLEURS: read sentences in 102 languages, parallel, so that each has translations into the others.

Two layouts are read. The corpus's own: ``en_us/{train,dev,test}.tsv`` with the recordings in
``en_us/audio/test/`` or ``en_us/audio/test.tar.gz``. The hub's: Parquet tables with the recordings
embedded, below a folder of the language (``en_us/test/0000.parquet``) or alone.

Conneau et al., "FLEURS: Few-shot learning evaluation of universal representations of speech",
SLT 2022, doi:10.1109/SLT54892.2023.10023141.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from esrt_privacy.corpora import archive, languages, parquet
from esrt_privacy.corpora.iso639 import iso639_3
from esrt_privacy.corpora.tables import is_bare_name, read_tsv
from esrt_privacy.corpora.utterance import Found, Utterance, shown
from esrt_privacy.errors import CorpusError
from esrt_privacy.progress import Reporter, silent

_CONFIGURATIONS = """
    af_za am_et ar_eg as_in ast_es az_az be_by bg_bg bn_in bs_ba ca_es ceb_ph ckb_iq cmn_hans_cn
    cs_cz cy_gb da_dk de_de el_gr en_us es_419 et_ee fa_ir ff_sn fi_fi fil_ph fr_fr ga_ie gl_es
    gu_in ha_ng he_il hi_in hr_hr hu_hu hy_am id_id ig_ng is_is it_it ja_jp jv_id ka_ge kam_ke
    kea_cv kk_kz km_kh kn_in ko_kr ky_kg lb_lu lg_ug ln_cd lo_la lt_lt luo_ke lv_lv mi_nz mk_mk
    ml_in mn_mn mr_in ms_my mt_mt my_mm nb_no ne_np nl_nl nso_za ny_mw oc_fr om_et or_in pa_in
    pl_pl ps_af pt_br ro_ro ru_ru sd_in sk_sk sl_si sn_zw so_so sr_rs sv_se sw_ke ta_in te_in
    tg_tj th_th tr_tr uk_ua umb_ao ur_pk uz_uz vi_vn wo_sn xh_za yo_ng yue_hant_hk zu_za
"""
# Sorted: the column lang_id of the hub's tables counts through them.
CONFIGURATIONS = tuple(_CONFIGURATIONS.split())
SPLITS = ("train", "dev", "test")

_TSV_COLUMNS = ("id", "path", "raw", "normalised", "characters", "samples", "gender")
_HUB_COLUMNS = frozenset({"id", "audio", "transcription"})
_HUB_TEXTS = ("id", "path", "raw_transcription", "transcription", "gender", "lang_id", "language")
_SPLIT_IN_FILE = re.compile(r"(?:.*[^a-z])?(train|validation|dev|test)(?:[^a-z].*)?")
_SPLIT_FOLDER = re.compile(r"(?:partial-)?(train|validation|dev|test)")  # of the hub's converter
_SEXES = {"male": "M", "female": "F", "0": "M", "1": "F"}


def recognises(path: Path) -> bool:
    """Whether ``path`` is a FLEURS tree, a language's folder, or one table of either layout."""
    path = path.absolute()
    if path.is_file():
        return path.suffix == parquet.SUFFIX or (
            path.suffix == archive.TABLE and path.parent.name in CONFIGURATIONS
        )
    if _language_folder(path) is not None or _language_folders(path):
        return bool(_tables(path))
    return _is_of_the_hub(_loose_tables(path))


def load(path: Path, report: Reporter = silent) -> Found:
    """Read a tree, a language or a table; ids are ``eng/test/<name of the recording>``.

    The text is the sentence as written, not the normalised one. Of a single language the
    translations are looked up in the folders beside it, whose recordings are not touched.
    Raises CorpusError where tables are in Parquet and pyarrow is missing, or the cache is full.
    """
    notes: list[str] = []
    path = path.absolute()
    tables = _tables(path) or _loose_tables(path)
    for table in tables:
        if table.is_parquet:
            parquet.require_reader(table.path)
    sentences = {table: _rows(table, notes) for table in tables}
    parallel = _Parallel()
    for rows in sentences.values():
        parallel.add(rows)
    for table in _beside(path, tables):
        parallel.add(_rows(table, notes))
    utterances = [
        _utterance(row, audio, parallel)
        for table, rows in sentences.items()
        for row, audio in _with_audio(table, rows, report, notes)
    ]
    return Found(utterances, notes)


@dataclass(frozen=True)
class _Table:
    path: Path
    configuration: str | None
    split: str | None

    @property
    def is_parquet(self) -> bool:
        return self.path.suffix == parquet.SUFFIX


class _Row(NamedTuple):
    key: str  # of the recording: its name, or the number of its row
    name: str
    sentence: str
    language: str | None
    split: str | None
    text: str | None
    sex: str | None


class _Parallel:
    """Texts of a sentence by language; the recordings of one sentence share one mapping."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str | None, str], dict[str, str]] = {}
        self._others: dict[tuple[str | None, str, str | None], Mapping[str, str]] = {}

    def add(self, rows: Iterable[_Row]) -> None:
        for row in rows:
            if row.language is not None and row.text is not None:
                texts = self._texts.setdefault((row.split, row.sentence), {})
                texts.setdefault(row.language, row.text)

    def translations(self, row: _Row) -> Mapping[str, str]:
        key = (row.split, row.sentence, row.language)
        if key not in self._others:
            texts = self._texts.get(key[:2], {}) if row.sentence and row.language else {}
            self._others[key] = {
                code: text for code, text in sorted(texts.items()) if code != row.language
            }
        return self._others[key]


def _utterance(row: _Row, audio: Path, parallel: _Parallel) -> Utterance:
    place = (row.language, row.split, PurePosixPath(row.name).stem)
    return Utterance(
        id="/".join(part for part in place if part),
        audio=audio,
        language=row.language,
        sex=row.sex,
        text=row.text,
        translations=parallel.translations(row),
        corpus="fleurs",
        licence="CC BY 4.0",
    )


# --- which tables there are ---------------------------------------------------------------------


def _tables(path: Path) -> list[_Table]:
    """The tables of ``path`` in a stable order; none where no folder is named for a language."""
    folder = _language_folder(path)
    if path.is_file():
        return [_table(path, folder.name if folder else None)]
    if folder is None:
        return [table for below in _language_folders(path) for table in _tables(below)]
    if path != folder:
        return [_table(file, folder.name) for file in _parquet_files(path)]
    texts = [path / f"{split}{archive.TABLE}" for split in SPLITS]
    files = [file for file in texts if file.is_file()] or _parquet_files(path)
    return [_table(file, path.name) for file in files]


def _table(path: Path, configuration: str | None) -> _Table:
    named = _SPLIT_IN_FILE.fullmatch(path.stem) or _SPLIT_FOLDER.fullmatch(path.parent.name)
    split = named[1].replace("validation", "dev") if named else None
    return _Table(path, configuration, split)


def _language_folder(path: Path) -> Path | None:
    """``path`` or the folder above it that is named for a language (of a table: up to two)."""
    above = [path, path.parent] if path.is_dir() else [path.parent, path.parent.parent]
    return next((folder for folder in above if folder.name in CONFIGURATIONS), None)


def _language_folders(root: Path) -> list[Path]:
    below = [folder / name for folder in (root, root / "data") for name in CONFIGURATIONS]
    return [folder for folder in below if folder.is_dir()]


def _parquet_files(folder: Path) -> list[Path]:
    return sorted({*folder.glob("*.parquet"), *folder.glob("*/*.parquet")})


def _loose_tables(root: Path) -> list[_Table]:
    return [_table(path, None) for path in _parquet_files(root)] if root.is_dir() else []


def _is_of_the_hub(tables: list[_Table]) -> bool:
    if not tables:
        return False
    path = tables[0].path
    if not parquet.is_readable():  # then only its name can tell, and loading says what is missing
        return any("fleurs" in part.lower() for part in path.resolve().parts[-4:])
    try:
        return parquet.column_names(path) >= _HUB_COLUMNS
    except CorpusError:
        return False


def _beside(path: Path, tables: list[_Table]) -> list[_Table]:
    """Tables of the same splits in the folders of the other languages, for their texts."""
    folder = _language_folder(path)
    if folder is None:
        return []
    splits = {table.split for table in tables}
    others = [below for below in _language_folders(folder.parent) if below.name != folder.name]
    return [table for below in others for table in _tables(below) if table.split in splits]


# --- what stands in them ------------------------------------------------------------------------


def _rows(table: _Table, notes: list[str]) -> list[_Row]:
    rows: list[_Row] = []
    try:
        rows.extend(_hub_rows(table) if table.is_parquet else _text_rows(table, notes))
    except CorpusError as error:
        notes.append(f"left out {error}")
    return rows


def _text_rows(table: _Table, notes: list[str]) -> Iterator[_Row]:
    language = iso639_3(table.configuration or "")
    for place, row in read_tsv(table.path, notes, _TSV_COLUMNS):
        name = row["path"]
        if not is_bare_name(name):
            notes.append(f"left out {place}: {shown(name)!r} is no name of a recording")
            continue
        yield _Row(
            key=name,
            name=name,
            sentence=row["id"].strip(),
            language=language,
            split=table.split,
            text=row["raw"].strip() or row["normalised"].strip() or None,
            sex=_SEXES.get(row["gender"].strip().lower()),
        )


def _hub_rows(table: _Table) -> Iterator[_Row]:
    known = parquet.column_names(table.path)
    if missing := ", ".join(sorted(_HUB_COLUMNS - known)):
        raise CorpusError(f"{shown(table.path)}: no table of FLEURS, which has columns {missing}")
    columns = [name for name in _HUB_TEXTS if name in known] + ["audio.path"]
    for number, row in enumerate(parquet.read_rows(table.path, columns)):
        path = (row.get("audio") or {}).get("path") or row.get("path") or str(number)
        raw, normalised = row.get("raw_transcription"), row.get("transcription")
        yield _Row(
            key=str(number),
            name=PurePosixPath(str(path)).name,
            sentence="" if row["id"] is None else str(row["id"]),
            language=_language(row, table),
            split=table.split,
            text=str(raw or "").strip() or str(normalised or "").strip() or None,
            sex=_SEXES.get(str(row.get("gender")).lower()),
        )


def _language(row: dict[str, Any], table: _Table) -> str | None:
    number = row.get("lang_id")
    if isinstance(number, int) and 0 <= number < len(CONFIGURATIONS):
        return iso639_3(CONFIGURATIONS[number])
    if table.configuration is not None:
        return iso639_3(table.configuration)
    named = languages.by_name(str(row.get("language") or ""))
    return named.code if named else None


# --- where their recordings are -----------------------------------------------------------------


def _with_audio(
    table: _Table, rows: list[_Row], report: Reporter, notes: list[str]
) -> Iterator[tuple[_Row, Path]]:
    if not rows:
        return
    find = _finder(table, report, notes)
    lost = []
    for row in rows:
        audio = find(row.key)
        if audio is None:
            lost.append(row.name)
        else:
            yield row, audio
    if lost:
        notes.append(
            f"left out {len(lost)} rows of {shown(table.path)}: their recordings are not there "
            f"(first: {shown(lost[0])})"
        )


def _finder(table: _Table, report: Reporter, notes: list[str]) -> Callable[[str], Path | None]:
    if table.is_parquet:
        embedded = parquet.take_out(table.path, "audio", report)
        notes += embedded.notes
        return lambda key: embedded.files.get(int(key))
    folder = table.path.parent / "audio" / table.path.stem
    if folder.is_dir():
        return lambda name: folder / name
    for ending in archive.ENDINGS:
        packed = folder.with_name(folder.name + ending)
        if packed.is_file():
            unpacked = archive.unpack(packed, report)
            notes += unpacked.notes
            return {PurePosixPath(name).name: file for name, file in unpacked.files.items()}.get
    notes.append(f"{shown(folder)}: no such folder, nor {shown(folder.name)}.tar.gz beside it")
    return lambda name: None
