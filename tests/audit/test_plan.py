"""Plans: what a TOML file may say, and that everything else is one line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.attacks.families import MODULES, RECONSTRUCTION
from esrt_privacy.audit.command import FAMILIES
from esrt_privacy.audit.plan import MAX_FILE_BYTES, SHIPPED, Plan, read_plan, shipped_plan
from esrt_privacy.errors import AttackError

SMALLEST = 'title = "one"\n[[attacks]]\nname = "speaker"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_left_out_is_the_default(tmp_path):
    plan = read_plan(written(tmp_path, SMALLEST))
    (attack,) = plan.attacks
    assert plan.systems == ("reference",) and plan.corpus == "demo"
    assert plan.taps_of(attack) == ("wire",) and plan.seeds_of(attack) == (0, 1, 2)


def test_an_attack_may_have_taps_and_seeds_of_its_own(tmp_path):
    own = SMALLEST + 'taps = ["mel", "encoder", "mel"]\nseeds = [7]\nattackers = ["ignorant"]\n'
    plan = read_plan(written(tmp_path, own))
    (attack,) = plan.attacks
    assert plan.taps_of(attack) == ("mel", "encoder")
    assert plan.seeds_of(attack) == (7,)
    assert attack.attackers == ("ignorant",)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_plans_run_every_attack_with_three_seeds_or_more(name):
    plan = shipped_plan(name)
    assert {attack.name for attack in plan.attacks} == {*MODULES, RECONSTRUCTION}
    # Reading trains nothing, so it has no seeds to vary over.
    trained = [attack for attack in plan.attacks if attack.name != "reading"]
    assert all(len(plan.seeds_of(attack)) >= 3 for attack in trained)


def test_every_family_has_a_command():
    assert set(FAMILIES) == set(MODULES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "title"),
        ("title = ", "not TOML"),
        (SMALLEST.replace("speaker", "astrology"), "no attack 'astrology'"),
        ("speed = 9\n" + SMALLEST, "speed"),
        (SMALLEST + "speed = 9\n", "speed"),
        ("seeds = []\n" + SMALLEST, "seeds"),
        ("seeds = [-1]\n" + SMALLEST, "seeds"),
        ("seeds = [1e400]\n" + SMALLEST, "seeds"),
        ("budget = nan\n" + SMALLEST, "budget"),
        ("budget = 0\n" + SMALLEST, "budget"),
        ("folds = 1\n" + SMALLEST, "folds"),
        ('channel = "some"\n' + SMALLEST, "channel"),
        ('systems = ["a", "a"]\n' + SMALLEST, "the system a stands there twice"),
        (SMALLEST + '[[attacks]]\nname = "speaker"\n', "the attack speaker stands there twice"),
        (SMALLEST + 'attackers = ["burglar"]\n', "attackers"),
        (SMALLEST + "utterances = 3\n", "speaker takes no 'utterances'"),
        (
            SMALLEST.replace("speaker", "reconstruction") + "seeds = [1]\n",
            "reconstruction takes no 'seeds'",
        ),
        ("#" * MAX_FILE_BYTES + "\n" + SMALLEST, "too long"),
    ],
)
def test_a_plan_that_cannot_be_is_one_line(tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(AttackError) as caught:
        read_plan(path)
    said = str(caught.value)
    assert words in said and path.name in said and len(said.splitlines()) == 1


def test_a_plan_that_is_not_there_or_is_no_text_is_one_line(tmp_path):
    with pytest.raises(AttackError, match=r"absent\.toml"):
        read_plan(tmp_path / "absent.toml")
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(AttackError, match="cannot be read"):
        read_plan(tmp_path / "x.toml")
    with pytest.raises(AttackError, match="there are default, full"):
        shipped_plan("grand")


@given(st.text(max_size=200))
def test_any_text_is_a_plan_or_one_line(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("plan") / "plan.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        assert isinstance(read_plan(path), Plan)
    except AttackError as error:
        assert len(str(error).splitlines()) == 1
