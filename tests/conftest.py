"""What all tests share: recorded speech by path, no hub, and property tests that repeat."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from tests.judge_fixtures import base, ge2e, tiny_english

__all__ = ["base", "ge2e", "tiny_english"]

SPEECH_VARIABLE = "ESRT_PRIVACY_SPEECH"

# Before huggingface_hub is imported, which reads it once: no test waits for a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A busy machine is no failure (deadline); in CI the same examples are drawn every time.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_runtest_setup() -> None:
    """Forget the modules that SpeechBrain only pretends to have imported.

    Hypothesis asks every module for its file, and these answer with an ImportError where what they stand for is not
    installed.
    """
    if "speechbrain" in sys.modules:
        from speechbrain.utils.importutils import LazyModule

        for name, module in list(sys.modules.items()):
            if isinstance(module, LazyModule) and module.lazy_module is None:
                del sys.modules[name]


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


@pytest.fixture(scope="session")
def tiny_system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapter folder of a random ESRT system of the smallest sizes."""
    from tests import tiny

    return tiny.write_system(tmp_path_factory.mktemp("system"))


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random recogniser in it."""
    from tests import tiny

    return tiny.write_recogniser(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def tiny_judge(tiny_weights: Path):
    """A judge that hears nonsense, but always the same."""
    from tests import tiny

    return tiny.judge(tiny_weights)


@pytest.fixture(scope="session")
def tiny_speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six synthetic speakers of four utterances each, with a manifest of texts and sexes."""
    from tests import tiny

    folder = tiny.write_speech(tmp_path_factory.mktemp("speech"), speakers=6, each=4, longest=1.6)
    tiny.write_manifest(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for captures that all tests share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def own_cache(tiny_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shared cache folder, named to the package."""
    monkeypatch.setenv("ESRT_PRIVACY_CACHE", str(tiny_cache))
    return tiny_cache
