"""What is attacked and what attackers learn from: two sets of recordings that share nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from esrt_privacy.errors import AttackError, SystemUnavailable
from esrt_privacy.progress import Reporter, silent

if TYPE_CHECKING:
    from esrt_privacy.corpora import Corpus, Split

ChannelChoice = int | Literal["auto", "none"]  # a number is the seed of the channels

ADAPTER_HEARD_THEM = (
    "attackers also learn from {count} recordings of the corpus whose speakers or sentences the adapter was trained on;"
    " none of them is tested"
)


@dataclass(frozen=True)
class Material:
    """Test and training utterances; the split that says which is which, if there is one."""

    training: Corpus | None
    tests: Corpus
    split: Split | None
    notes: tuple[str, ...] = ()


def shipped_split() -> tuple[Split, frozenset[str]]:
    """The split that the shipped adapter and attackers keep to, and the recordings they were trained on."""
    from esrt_privacy.corpora import Split
    from esrt_privacy.systems.registry import reference_folder

    folder = reference_folder()
    path = folder / "training_audio.txt"
    try:
        heard = path.read_text(encoding="ascii").split()
    except OSError as error:
        raise SystemUnavailable(
            f"{path}: missing from this installation, so nobody knows what the reference was trained on;"
            " reinstall esrt-privacy"
        ) from error
    return Split.load(folder / "split.json"), frozenset(heard)


def tested(system: str, full: Corpus) -> tuple[Corpus, Split | None]:
    """What of a corpus may be tested: never what the shipped adapter was trained on."""
    from esrt_privacy.attacks.reconstruction import test_part
    from esrt_privacy.systems.registry import REFERENCE_NAMES

    split, heard = shipped_split() if system in REFERENCE_NAMES else (None, frozenset())
    return test_part(full, split, heard), split


def learnt_from(asked: Corpus, tests: Corpus, same: bool) -> tuple[Corpus, tuple[str, ...]]:
    """What of the training recordings shares nothing with the tests, and notes; `same`: both are one corpus.

    Raises AttackError where nothing is left.
    """
    from esrt_privacy.attacks.attackers import without

    training = without(asked, tests)
    notes = () if same else tuple(f"training corpus: {note}" for note in asked.notes)
    if len(training) < len(asked):
        left_out = len(asked) - len(training)
        notes += (
            f"left {left_out} training utterances out: their speaker, sentence or recording is in the"
            " test corpus",
        )
    if not len(training):
        raise AttackError(
            f"{asked.name}: nothing is left to train on that is not in the test corpus; give other recordings"
        )
    return training, notes


def gathered(
    system: str,
    corpus: str,
    train_corpus: str | None,
    channel: ChannelChoice,
    seed: int,
    report: Reporter = silent,
) -> Material:
    """The recordings of an audit of one system.

    Attackers learn from `train_corpus`, and from what of `corpus` may not be tested; without either only from the
    other speakers of the test part, fold by fold. Channels: see `with_channels`.
    """
    from esrt_privacy.corpora import load_corpus

    full = load_corpus(corpus, report)
    tests, split = tested(system, full)
    notes: tuple[str, ...] = ()
    training: Corpus | None = None
    if train_corpus is not None and not same_corpus(train_corpus, corpus):
        training, notes = learnt_from(load_corpus(train_corpus, report), tests, same=False)
    elif len(tests) < len(full):
        from esrt_privacy.attacks.attackers import without

        heard = without(full, tests)
        if len(heard):
            training, notes = heard, (ADAPTER_HEARD_THEM.format(count=len(heard)),)
    return with_channels(Material(training, tests, split, notes), channel, seed)


def with_channels(material: Material, choice: ChannelChoice, seed: int) -> Material:
    """Each utterance through a random channel of its own, where that is chosen.

    "auto" chooses it where most speakers have one session: there a microphone would pass for a voice. The attacker
    simulates channels too, so its training recordings get them as well.
    """
    from dataclasses import replace

    from esrt_privacy.attacks.confounds import one_session_a_speaker

    if choice == "none":
        return material
    if choice == "auto" and not one_session_a_speaker(material.tests):
        return material
    drawn = seed if choice == "auto" else choice
    why = "one session a speaker, " if choice == "auto" else ""
    return replace(
        material,
        tests=material.tests.with_channel(drawn),
        training=None if material.training is None else material.training.with_channel(drawn),
        notes=(
            *material.notes,
            f"each utterance went through a random channel of its own ({why}seed {drawn})",
        ),
    )


def same_corpus(first: str, second: str) -> bool:
    """Whether two specifications name one corpus; a folder may be spelled in several ways."""
    return first == second or (
        "demo" not in (first, second)
        and Path(first).expanduser().resolve() == Path(second).expanduser().resolve()
    )
