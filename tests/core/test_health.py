"""The table of signs: what each means for a device, row by row."""

import pytest

from mlhub.core.devices import Health
from mlhub.core.errors import BadInput
from mlhub.core.health import TABLE, Signs, Verdict

IGNORED = (13, 31, 32, 69, 94, 43, 45, 63, 92, 121, 154)
RESET = (62, 64, 95, 109, 110, 119, 120, 140, 143, 156, 158)
LOOKED_INTO = (48, 74, 145, 149)


@pytest.mark.parametrize("code", IGNORED)
def test_an_applications_own_errors_and_mere_notes_change_nothing(code):
    assert Signs().judge([f"xid-{code}"]) == (Health.OK, "")


@pytest.mark.parametrize("code", RESET)
def test_after_these_errors_a_gpu_is_sick_until_it_is_reset(code):
    text = f"the driver reported Xid {code}: it has to be reset"
    assert Signs().judge([f"xid-{code}"]) == (Health.SICK, text)


@pytest.mark.parametrize("code", LOOKED_INTO)
def test_after_these_errors_somebody_has_to_look_before_it_is_given_out(code):
    text = f"the driver reported Xid {code}: the administrators have to look into it"
    assert Signs().judge([f"xid-{code}"]) == (Health.SICK, text)


def test_a_gpu_that_fell_off_the_bus_is_lost():
    text = "it fell off the bus (Xid 79); the machine has to be restarted"
    assert Signs().judge(["xid-79"]) == (Health.LOST, text)


def test_an_error_that_nobody_knows_is_a_warning():
    assert Signs().judge(["xid-777"]) == (Health.OK, "the driver reported Xid 777")


@pytest.mark.parametrize(
    ("sign", "verdict"),
    [
        ("recovery-reset", "sick"), ("recovery-bus-reset", "sick"), ("recovery-reboot", "sick"),
        ("recovery-drain-p2p", "warn"), ("recovery-imex", "warn"),
        ("row-remap-failed", "sick"), ("row-remap-pending", "warn"),
        ("page-pending", "warn"), ("pages-bad", "sick"),
        ("ecc-contained", "warn"), ("ecc-uncorrected", "sick"),
        ("throttle-heat", "warn"), ("throttle-power", "warn"), ("throttle-power-cap", "ignore"),
    ],
)  # fmt: skip
def test_each_condition_has_its_verdict(sign, verdict):
    assert TABLE[sign].verdict == verdict
    health, text = Signs().judge([sign])
    assert health == (Health.SICK if verdict == "sick" else Health.OK)
    assert bool(text) == (verdict != "ignore")


def test_of_several_signs_the_worst_counts_and_no_sign_is_well():
    assert Signs().judge(["throttle-heat", "xid-13", "xid-64"])[1].startswith("the driver reported")
    assert Signs().judge(["xid-64", "xid-79"])[0] is Health.LOST
    assert Signs().judge([]) == (Health.OK, "")


def test_an_operator_decides_otherwise():
    signs = Signs({"xid-64": Verdict.WARN, "xid-777": Verdict.SICK, "ecc-contained": Verdict.SICK})
    assert signs.judge(["xid-64"]) == (
        Health.OK, "the driver reported Xid 64: it has to be reset",
    )  # fmt: skip
    assert signs.judge(["xid-777"]) == (Health.SICK, "the driver reported Xid 777")
    assert signs.judge(["ecc-contained"])[0] is Health.SICK
    assert signs.judge(["xid-95"])[0] is Health.SICK


def test_what_was_ignored_has_words_when_it_is_no_longer():
    assert Signs({"xid-63": Verdict.SICK}).judge(["xid-63"]) == (
        Health.SICK, "the driver reported Xid 63",
    )  # fmt: skip


@pytest.mark.parametrize("sign", ["xid-", "xid-a", "xid-1234567", "heat", ""])
def test_a_sign_that_does_not_exist_is_refused(sign):
    with pytest.raises(BadInput, match="there is no sign"):
        Signs({sign: Verdict.SICK})
