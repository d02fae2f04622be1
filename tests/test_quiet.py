"""Libraries keep to the command's own display, and are as before afterwards."""

import warnings

import pytest
from transformers.utils import logging

from esrt_privacy.quiet import without_loading_bars, without_peft_deprecation


@pytest.mark.parametrize("shown", [True, False])
def test_bars_are_off_inside_and_as_before_afterwards(shown: bool) -> None:
    before = logging.is_progress_bar_enabled()
    (logging.enable_progress_bar if shown else logging.disable_progress_bar)()
    try:
        with without_loading_bars():
            assert not logging.is_progress_bar_enabled()
        assert logging.is_progress_bar_enabled() is shown
    finally:
        (logging.enable_progress_bar if before else logging.disable_progress_bar)()


def test_only_peft_s_own_warning_is_kept_quiet() -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with without_peft_deprecation():
            warnings.warn("`is_gradient_checkpointing` is deprecated", FutureWarning, stacklevel=1)
            warnings.warn("something else is deprecated", FutureWarning, stacklevel=1)
    assert [str(w.message) for w in heard] == ["something else is deprecated"]
