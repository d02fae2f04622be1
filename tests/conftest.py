"""What all tests share: recorded speech by path, no hub, and property tests that repeat."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

SPEECH_VARIABLE = "ESRT_PRIVACY_SPEECH"

# Before huggingface_hub is imported, which reads it once: no test waits for a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A busy machine is no failure (deadline); in CI the same examples are drawn every time.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def speech_folder() -> Path:
    """The folder with `manifest.jsonl` of recorded speech; without one the test is skipped."""
    named = os.environ.get(SPEECH_VARIABLE)
    if not named:
        pytest.skip(f"no recorded speech: {SPEECH_VARIABLE} is not set")
    folder = Path(named).expanduser()
    if not (folder / "manifest.jsonl").is_file():
        pytest.skip(f"no recorded speech: {SPEECH_VARIABLE}={named} has no manifest.jsonl")
    return folder.resolve()
