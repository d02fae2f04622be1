"""Servers in this process on ports of their own, and certificates made once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from esrt_privacy.wire.address import Address
from esrt_privacy.wire.certificates import make_certificates, read_credentials
from esrt_privacy.wire.channel import ClientOptions
from esrt_privacy.wire.client import RemoteCloud
from esrt_privacy.wire.server import ServeOptions, in_background
from esrt_privacy.wire.tensors import WireShape
from tests.esrt.conftest import llm_folder, model, model_config

__all__ = ["llm_folder", "model", "model_config"]

SHAPE = WireShape(8, 24)
ANY_PORT = Address("127.0.0.1", 0)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A folder with a CA, a server's and a client's certificate."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


@pytest.fixture(scope="session")
def other_certificates(tmp_path_factory):
    """The same of another CA."""
    folder = tmp_path_factory.mktemp("others")
    make_certificates(folder)
    return folder


@pytest.fixture
def served() -> Callable[..., Address]:
    """served(cloud, cache=None, **options) -> the address of a server that runs until the test ends."""
    with ExitStack() as running:

        def start(cloud, cache=None, **options):
            asked = {"shape": SHAPE, "address": ANY_PORT, "grace": 1.0} | options
            return running.enter_context(in_background(cloud, ServeOptions(**asked), cache))

        yield start


@pytest.fixture
def remote() -> Callable[..., RemoteCloud]:
    """remote(address, **options) -> a client that is closed when the test ends."""
    with ExitStack() as opened:

        def connect(address, secret=None, **options):
            options = {"patience": 0.5, "seconds": 20.0} | options
            return opened.enter_context(RemoteCloud(address, ClientOptions(**options), secret))

        yield connect


@pytest.fixture
def both_sides(certificates):
    """Credentials of server and client."""
    return read_credentials(certificates, "server"), read_credentials(certificates, "client")
