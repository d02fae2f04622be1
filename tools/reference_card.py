"""The reference's model card, written from training.json and scores.json.

python tools/reference_card.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import stage_card
from train_reference import OUT, read_training

NAMES = {
    "synth-test": "synthesised, unseen sentences and voices (training grammar)",
    "demo": "demo corpus: unseen voices, hand-written sentences",
    "an4": "AN4, unseen speakers",
    "vctk": "VCTK, unseen speakers and sentences",
    "librispeech": "LibriSpeech, unseen speakers (against Whisper-base's transcripts)",
}


def main() -> None:
    training = read_training()
    curve_picture(training["rounds"][-1]["curve"], OUT / "curve.svg")
    stage_card.curve_picture(training["stages"]["curve"], OUT / "stages.svg")
    (OUT / "CARD.md").write_text(card(training), encoding="utf-8")


def card(training: dict[str, Any]) -> str:
    """The card's text; every figure comes from `training`."""
    last = training["rounds"][-1]
    rounds = "\n".join(round_in_words(i, r) for i, r in enumerate(training["rounds"], 1))
    data = "\n".join(
        f"| {name} | {count} | {last['repetitions'].get(name, 1)} |"
        for name, count in last["utterances"].items()
    )
    rows = "\n".join(
        f"| {NAMES[r['corpus']]} | {r['language']} | {r['queries']} | {r['utterances']} | {r['speakers']}"
        f" | {100 * r['cer']:.1f}% | {100 * r['cer_swapped']:.1f}% |"
        for r in training["cer"]
    )
    stages = training["stages"]
    chosen = stages["options"]
    languages = ", ".join(
        f"{name} {held['recordings']} recordings ({held['hours']:.1f} h)"
        for name, held in stages["languages"].items()
    )
    return f"""# The reference

On the device the frozen encoder of Whisper-base and a Q-Former (2 layers, hidden 768, cross-attention in each layer,
13.5 million parameters) with two sets of queries, 80 (`reference`) and 40 (`reference-lite`); in the cloud a linear
projector and Gemma-3-270M with language tags and LoRA. All that was trained ships in float16; Whisper-base and
Gemma-3-270M are fetched. It is the architecture of ESRT (arXiv 2605.28642) at a size that a laptop trains and runs. It
is **not** ESRT-4B: what is found on it is said of it alone.

The adapter was warmed up by CTC so that its tensor carries what was said, then trained through the paper's three
stages. Where its queries look was taught: query i of n reads the i-th part of the 30 s window (below). That makes it an
easy system to attack; one trained without this guide may give away less, or give it away otherwise.

## The three stages
AdamW, {stages["rows_a_step"]} rows a step, learning rate {chosen["learning_rate"]:g} after a linear warm-up of
{chosen["warm_up"]} steps, falling by a cosine in each stage; seed {chosen["seed"]}; each step draws one of the two
query sets; the first {100 * chosen["thin_padding"]:.0f}% of each stage read every frame of the speech and few of the
padding; the softmax is over the {stages["softmax_tokens"]} tokens that occur. The projector begins with a least-squares
fit of the adapter's output to the embeddings of the words that the CTC head reads there.

{stage_card.stages_in_words(stages)}

Speech: {languages}; translations are those of the phrasebook (`tools/phrasebook`: six languages, written by the
project; no native speaker has read them). {" ".join(f"{line}." for line in stages["left_out"])}

![loss of each task over the three stages](stages.svg)

## What it recognises and translates
Greedy, 80 queries, from the shipped weights, on voices that nothing here was trained on. Intervals over voices.
Swapped: the answers to other recordings. Nearest: what one would score who said the sentence of the phrasebook's
training part that is nearest to what was said, or its translation. Rerun by `python tools/reference_scores.py`.
LibriSpeech is held against Whisper-base's transcripts.

{stage_card.scores_table(OUT / "scores.json")}

## The warm-up
CTC on characters through a throw-away head that expands the queries into 1280 steps.
AdamW, batches of {last["options"]["batch"]}, seed
{last["options"]["seed"]}; most steps see the frames of the speech and every sixteenth of the padding.

Three things come one after the other. Two linear maps learn by CTC to read letters from averaged encoder frames; they
become the value projections of both cross-attentions, and the head; all other branches begin by adding nothing. Then
only where to look is learned, by guided attention: each query at its part of the window, each head at its slice of that
part. Then everything is trained by CTC, while the guide fades out; later the frames get noise, one for each utterance
and one for each frame.

{rounds}

Data of the last round, role adapter-train. {last["synthesised_sentences"]} distinct synthesised sentences, each in a
recording joined from several of one voice (`synth-joined`), a share of them also alone (`synth-train`); and the
phrasebook's sentences, those in Japanese left out for their Chinese characters.

| training data | utterances | times an epoch |
|---|---|---|
{data}

AN4 (CMU), LibriSpeech train-clean-100 (CC BY 4.0; its transcripts are Whisper-base's) and speech synthesised by the
project with Kokoro-82M (`tools/make_training_speech.py`, and the phrasebook by `tools/make_phrasebook_speech.py`).
Nothing of VoxLingua, VCTK or the demo corpus.
`split.json` (SHA-256 {training["split"]}) gives every speaker and sentence its role.

![loss and development CER of the last round](curve.svg)

## What the tensor carries
CER of greedy CTC by a head that was trained for {training["head_steps"]} steps on the finished adapter, which stayed
as it is; shipped weights, all 1500 frames, wire tensor rounded to bfloat16. Swapped: the transcript of
the next utterance's tensor, the floor. Japanese is spelled in Latin letters. Rerun by
`python tools/train_reference.py --only table`; the head is `tools/reference_head.safetensors`.

| speech | language | queries | utterances | speakers | CER | swapped |
|---|---|---|---|---|---|---|
{rows}

{warm_up()}
## Terms
Adapter and projector: Apache-2.0, as the package. LoRA and tag rows are derived from Gemma: they are provided under and
subject to the Gemma Terms of Use (ai.google.dev/gemma/terms). The data's notices are in `NOTICE`.
"""


def warm_up() -> str:
    """The section on the adapter without warm-up, where it has been trained and attacked."""
    if not (found := OUT / "warm_up.json").exists():
        return ""
    return f"""## How much the warm-up decides
The same reconstruction attack on an adapter that had no warm-up (`python tools/without_warm_up.py`), 48 recordings of
the demo corpus. Read both tables together: a tensor that carries little of what was said has little to give away.

{stage_card.warm_up_tables(found, OUT / "scores.json")}
"""


def round_in_words(number: int, record: dict[str, Any]) -> str:
    """One line on a round of training."""
    options = record["options"]
    phases = [
        (options.get("letter_steps", 0), "{} steps for the linear maps"),
        (options.get("head_steps", 0), "{} for a new head alone"),
        (options.get("place_steps", 0), "{} on where to look alone"),
    ]
    before = "".join(words.format(count) + ", " for count, words in phases if count)
    steps = options["steps"] - options.get("head_steps", 0) - options.get("place_steps", 0)
    return (
        f"- Round {number}: {before}{steps} of CTC, guided for {options.get('guided_steps', 0)} of them, the last"
        f" {options['full_steps']} on all 1500 frames; learning rate {options['learning_rate']};"
        f" {sum(record['utterances'].values())} utterances; {record['texts_cut']} texts were longer than 1280 steps"
        f" and were cut. {record.get('remark', '')}".rstrip()
    )


def curve_picture(curve: list[dict[str, float]], path: Path) -> None:
    """Loss of both query sets and the development CER over the steps."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "esrt-privacy"
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    steps = [row["step"] for row in curve]
    for queries, style in ((80, "-"), (40, "--")):
        losses = [row.get(f"loss{queries}") for row in curve]
        left.plot(steps, losses, style, label=f"{queries} queries")
        checked = [row for row in curve if f"development_cer{queries}" in row]
        rates = [100 * row[f"development_cer{queries}"] for row in checked]
        right.plot(
            [row["step"] for row in checked], rates, style, marker="o", label=f"{queries} queries"
        )
    left.set(xlabel="steps", ylabel="CTC loss, a character", yscale="log")
    right.set(xlabel="steps", ylabel="CER on development voices, %", ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
