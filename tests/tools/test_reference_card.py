"""The reference's card says what the shipped figures say, and nothing by hand."""

import json

import reference_card
import stage_card
from train_reference import OUT, read_training


def test_the_shipped_card_is_written_from_the_shipped_figures() -> None:
    written = (OUT / "CARD.md").read_text(encoding="utf-8")
    assert written == reference_card.card(read_training())


def test_the_card_without_an_adapter_without_warm_up_leaves_its_section_out(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(reference_card, "OUT", tmp_path)
    assert reference_card.warm_up() == ""


def test_both_adapters_stand_side_by_side_by_direction(tmp_path) -> None:
    score = {"corpus": "phrasebook-test-sentences", "source": "eng", "target": "", "measure": "wer"}
    interval = {"value": 0.5, "low": 0.4, "high": 0.6, "level": 0.95, "method": "drawn", "n": 9}
    side = {"estimate": interval, "floor": 0.25, "verdict": "leaks"}
    (tmp_path / "scores.json").write_text(json.dumps([{**score, "value": 0.125, "floor": 1.0}]))
    (tmp_path / "warm_up.json").write_text(
        json.dumps(
            {
                "stages": [{"steps": 6}, {"steps": 7}],
                "attacker_steps": 5,
                "attacker_error": [0.1, 0.2],
                "rows": [{"metric": "STOI", "unit": "", "warm": side, "cold": side}],
                "scores": [
                    {**score, "value": 0.75, "floor": 1.25},
                    {**score, "measure": "wrong-language", "value": 0.0, "floor": None},
                ],
            }
        )
    )
    text = stage_card.warm_up_tables(tmp_path / "warm_up.json", tmp_path / "scores.json")
    assert "(6, 7 steps)" in text and "| eng | WER, % | 12.5 | 75.0 | 125.0 |" in text
    assert "| STOI | 0.50 (0.40 to 0.60), leaks | 0.25 |" in text and "wrong-language" not in text
