"""Options that make no sense are refused; the learning rate follows its schedule."""

import json

import pytest

from esrt_privacy.esrt.training.errors import TrainingError
from esrt_privacy.esrt.training.options import TrainingOptions


def test_warm_up_is_linear_over_a_thousand_steps_and_then_constant():
    options = TrainingOptions(learning_rate=1e-3)
    assert options.rate(0, 5000) == pytest.approx(1e-6)
    assert options.rate(499, 5000) == pytest.approx(5e-4)
    assert options.rate(999, 5000) == pytest.approx(1e-3)
    assert options.rate(1000, 5000) == options.rate(4999, 5000) == 1e-3


@pytest.mark.parametrize(
    ("schedule", "middle"), [("linear", 0.51), ("cosine", 0.51), ("constant", 1.0)]
)
def test_decay_is_half_way_in_the_middle(schedule, middle):
    options = TrainingOptions(learning_rate=1.0, warm_up=100, schedule=schedule)
    assert options.rate(100, 300) == pytest.approx(1.0)
    assert options.rate(200, 300) == pytest.approx(middle)
    end = 1.0 if schedule == "constant" else 0.02
    assert options.rate(300, 300) == pytest.approx(end)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": (3, 0)}, "steps must be at least 1, not 0"),
        ({"steps": ()}, "steps must be at least 1"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"accumulate": -1}, "accumulate must be at least 1"),
        ({"learning_rate": float("nan")}, "learning rate must be above 0, not nan"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"thin_padding": 1.5}, "thin padding"),
        ({"schedule": "steps"}, "schedule is one of constant, linear, cosine"),
        ({"seed": -1}, "seed"),
    ],
)
def test_senseless_options_are_refused(options, said):
    with pytest.raises(TrainingError, match=said):
        TrainingOptions(**options)


def test_one_number_of_steps_is_for_every_stage():
    assert TrainingOptions(steps=(7,)).steps_of(3) == (7, 7, 7)
    assert TrainingOptions(steps=(7, 8)).steps_of(2) == (7, 8)
    with pytest.raises(TrainingError, match="2 numbers of steps for 3 stages"):
        TrainingOptions(steps=(7, 8)).steps_of(3)


def test_what_decides_the_result_leaves_out_how_the_rows_are_divided():
    one = TrainingOptions(batch=8, accumulate=1, checkpoint_seconds=1).deciding()
    two = TrainingOptions(batch=2, accumulate=4, metrics="tensorboard").deciding()
    assert one == two == json.loads(json.dumps(one))
    assert one != TrainingOptions(learning_rate=1e-4).deciding()
