"""An audit of the tiny system by the tiny attack family."""

from pathlib import Path

import pytest

from esrt_privacy.attacks import families
from esrt_privacy.audit.plan import Plan, PlannedAttack
from esrt_privacy.audit.prepared import AuditRequest
from tests.audit import tiny_family


@pytest.fixture
def tiny_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny family, known by its name."""
    monkeypatch.setitem(families.MODULES, "tiny", tiny_family.__name__)


@pytest.fixture
def tiny_plan(tiny_attack, tiny_system: Path, tiny_speech: Path) -> Plan:
    """Two taps under audit and the ceiling, two seeds."""
    return Plan(
        title="a tiny plan",
        systems=(str(tiny_system),),
        corpus=str(tiny_speech),
        taps=("wire", "encoder"),
        channel="none",
        seeds=(0, 1),
        attacks=(PlannedAttack(name="tiny"),),
    )


@pytest.fixture
def tiny_request(tiny_plan: Plan, own_cache: Path, tmp_path: Path) -> AuditRequest:
    return AuditRequest(tiny_plan, tmp_path / "out", jobs=1, command="esrt-privacy audit tiny.toml")
