"""Cost of the halves, measured in processes of their own."""

import pytest

from esrt_privacy.errors import AssetError, ModelError
from esrt_privacy.evaluation.profile import (
    POSITIONS,
    ProfileOptions,
    _cloud,
    _edge,
    figures_table,
    profile,
)


@pytest.fixture
def saved(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


def by_what(figures):
    return {(f.part, f.what, f.batch, f.positions): f for f in figures}


def test_memory_of_the_weights_is_what_they_hold(model, saved):
    figures = by_what(_edge(ProfileOptions(saved, batches=(1,), rounds=1)))
    held = sum(p.numel() * 4 for p in model.edge.parameters())
    assert figures["edge", "weights", None, None].value == held / 1e9
    half = by_what(_edge(ProfileOptions(saved, batches=(1,), rounds=1, dtype="bfloat16")))
    assert half["edge", "weights", None, None].value == held / 2e9


def test_the_cache_of_keys_and_values_is_counted_by_hand(saved):
    figures = by_what(_cloud(ProfileOptions(saved, batches=(1, 2), rounds=1)))
    for batch in (1, 2):
        for positions in (40, 80):
            # Keys and values of one head of width 16, float32; a sliding layer holds 31 positions at most.
            expected = batch * 2 * 16 * 4 * (positions + 31)
            assert figures["cloud", "KV cache", batch, positions].value == expected / 1e6
            assert figures["cloud", "decoding", batch, positions].value > 0
    assert ("cloud", "prefill", 1, max(POSITIONS)) not in figures  # beyond this LLM's context


@pytest.mark.slow
def test_each_half_is_measured_in_a_process_of_its_own(saved):
    figures = profile(ProfileOptions(saved, batches=(1,), rounds=1))
    assert {f.part for f in figures} == {"edge", "cloud"}
    assert all(f.value > 0 for f in figures)
    assert figures_table(figures).row_count == len(figures)


@pytest.mark.slow
def test_an_error_in_the_measured_process_is_the_commands_own():
    with pytest.raises(AssetError, match="no such folder"):
        profile(ProfileOptions("no-such-model", parts=("cloud",)))


def test_an_unknown_precision_is_one_line(saved):
    with pytest.raises(ModelError, match="precision 'int3' is unknown: give float32 or bfloat16"):
        _edge(ProfileOptions(saved, dtype="int3"))
