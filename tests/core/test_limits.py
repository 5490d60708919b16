"""What a limit means before anything is held."""

from datetime import timedelta

import pytest

from mlhub.core.policy import Limit, Policy
from mlhub.core.quotas import why_never
from tests.core.making import A100, HOUR


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        (Limit(), ""),
        (Limit(devices=1, servers=1, memory=81920), ""),
        (Limit(flavors=frozenset({"a100"})), ""),
        (Limit(flavors=frozenset({"t4"})), "You may not use A100 80 GB; you may use: t4."),
        (Limit(flavors=frozenset()), "You may not use A100 80 GB; you may use: none."),
        (Limit(devices=0), "You may not use GPUs."),
        (Limit(servers=0), "You may not use GPUs."),
        (Limit(memory=40960), "Your limit is 40 GiB of GPU memory; one A100 80 GB has 80 GiB."),
    ],
)
def test_a_flavor_that_can_never_be_had_says_why(limit: Limit, why: str):
    assert why_never(limit, A100) == why


@pytest.mark.parametrize(
    ("most", "hours"),
    [(None, 8), (timedelta(hours=2), 2), (timedelta(hours=24), 8)],
    ids=["without a limit", "with a shorter limit", "with a longer limit"],
)
def test_a_claim_that_names_no_duration_gets_what_it_may(most, hours):
    policy = Policy(members={"ml": Limit(duration=most)}, everyone=Limit(duration=HOUR))
    assert policy.duration_for("ada", ("ml",)) == hours * HOUR
