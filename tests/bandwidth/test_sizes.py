import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_privacy.bandwidth import sizes
from esrt_privacy.bandwidth.options import BandwidthError, PaperInputs
from esrt_privacy.bandwidth.published import PRINTED, statements
from esrt_privacy.bandwidth.units import MB, MIB, shown_bytes, shown_seconds


def test_sizes_of_the_equations_are_the_hand_computed_ones():
    assert sizes.audio_bytes(30) == 960_000
    assert sizes.tensor_bytes(80, 768) == 122_880
    assert sizes.tensor_bytes(40, 768) == 61_440
    assert sizes.audio_bytes(30) / sizes.tensor_bytes(80, 768) == 7.8125
    assert sizes.audio_seconds(122_880) == 3.84


@given(st.binary(max_size=200))
def test_base64_length_is_that_of_the_standard_library(content):
    import base64

    assert sizes.base64_bytes(len(content)) == len(base64.b64encode(content))


def test_a_link_is_busy_for_bits_over_rate():
    assert sizes.link_seconds(521 * MB, 100) == pytest.approx(41.68)
    assert sizes.link_seconds(521 * MIB, 100) == pytest.approx(43.70, abs=0.005)


def test_values_ratio_of_lite_is_the_papers_62_point_5_and_fewer_tokens_are_half():
    assert sizes.values_ratio(1500, 1280, 40, 768) == 62.5
    assert sizes.values_ratio(1500, 1280, 80, 768) == 31.25
    assert sizes.fewer(80, 40) == 0.5


def test_containers_of_77_fit_mebibytes_only():
    # 77 MiB = 80,740,352 B over 647 files = 124,792; 77 MB over 647 = 119,011, less than the tensor
    assert sizes.container_bytes(77 * MIB, 647, 122_880) == pytest.approx(1_912, abs=1)
    assert sizes.container_bytes(77 * MB, 647, 122_880) == pytest.approx(-3_869, abs=1)


def found(quantity: str, **given):
    (row,) = [s for s in statements(PaperInputs(**given)) if s.quantity == quantity]
    return row


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("ratio", 7.8125),
        ("Cloud API: bytes sent", 392 * 1.33),
        ("Cloud API: time", 392 * 1.33 * 0.08),
        ("ESRT: bytes sent", 77 * 1.33),
        ("ESRT: time", 77 * 1.33 * 0.08),
        ("ESRT-Lite: bytes sent", 38 * 1.33),
        ("ESRT: ratio to the Cloud API", 392 / 77),
        ("ESRT-Lite: ratio to the Cloud API", 392 / 38),
        ("duration of a recording at 16 bits, if MB", 392e6 / 647 / 32_000),
        ("duration of a recording at 32 bits, if MB", 392e6 / 647 / 64_000),
        ("ESRT: ratio at 9.5 s and 16 bits", 392e6 / 647 / 2 / 122_880),
        ("ESRT-Lite: ratio at 9.5 s and 16 bits", 392e6 / 647 / 2 / 61_440),
        ("fewer tokens from 80 to 40 queries", 50),
        ("ESRT: all bare tensors in MB", 79.50336),
    ],
)
def test_statements_follow_from_their_inputs(quantity, value):
    assert found(quantity).value == pytest.approx(value)


def test_computed_figures_come_to_the_published_ones_but_for_the_known_contradictions():
    # Lite's 4.04 s is 4.1 only from the rounded 51 MB, and 62.5 is no percentage
    apart = {
        s.quantity
        for s in statements(PaperInputs())
        if s.published is not None and s.value != pytest.approx(s.published, rel=0.011)
    }
    assert apart == {"ESRT-Lite: time", "fewer tokens from 80 to 40 queries"}
    assert "From the rounded 51 MB: 4.08 s" in found("ESRT-Lite: time").remark


def test_published_figures_stand_beside_the_papers_inputs_only():
    assert found("Cloud API: time").published == PRINTED["api s"]
    assert found("Cloud API: time", audio_mb=400).published is None
    assert found("Cloud API: time", audio_mb=400).value == pytest.approx(400 * 1.33 * 0.08)


def test_no_container_of_one_size_fits_both_tensor_columns():
    row = found("room for one container size in both tensor columns, MiB")
    # (38.5 MiB / 647 - 61,440) - (76.5 MiB / 647 - 122,880)
    assert row.value == pytest.approx((38.5 - 76.5) * MIB / 647 + 61_440)
    assert row.value < 0
    assert "no container" in row.remark


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"files": 0}, "--files"),
        ({"audio_mb": -1.0}, "--audio-mb"),
        ({"base64_factor": float("nan")}, "--base64-factor"),
        ({"link_mbit": float("inf")}, "--link-mbit"),
        ({"sample_rate": 0}, "--sample-rate"),
        ({"queries": 10**9}, "--queries"),
    ],
)
def test_an_input_that_is_no_size_is_one_line_naming_the_option(given, named):
    with pytest.raises(BandwidthError) as raised:
        statements(PaperInputs(**given))
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)


def test_bytes_and_seconds_are_said_with_their_units():
    assert shown_bytes(122_880) == "122,880 B"
    assert shown_bytes(2_460_000) == "2.46 MB"
    assert shown_bytes(79_503_360) == "79.5 MB"
    assert [shown_seconds(s) for s in (0.0432, 8.19, 41.68, 2064)] == [
        "0.043 s", "8.19 s", "41.7 s", "2,064 s",
    ]  # fmt: skip
