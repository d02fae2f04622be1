"""The judges' weights, for tests that are skipped where they were not fetched."""

import pytest

from esrt_privacy.errors import AssetError
from esrt_privacy.judges.recogniser import Recogniser
from esrt_privacy.judges.speakers import Ge2e


@pytest.fixture(scope="session")
def tiny_english() -> Recogniser:
    return _loaded(Recogniser.load)


@pytest.fixture(scope="session")
def base() -> Recogniser:
    return _loaded(lambda: Recogniser.load("whisper-base"))


@pytest.fixture(scope="session")
def ge2e() -> Ge2e:
    return _loaded(Ge2e.load)


def _loaded(load):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")  # a test never waits for a network
        try:
            return load()
        except AssetError as error:
            pytest.skip(str(error))
