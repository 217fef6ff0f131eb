"""What a metric is called, whichever network it is measured through."""

import pytest

from semflow.evaluation.metrics.catalogue import KINDS, ROLES, filling, named


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_filled_by_a_metric_of_the_fields_network_or_of_the_proxys_with_a_title_each(role):
    field = "alexnet" if role in ("perceptual", "diversity") else "inception-v3"
    names = [named(role, network) for network in (field, "efficientnet-lite0")]
    assert names == list(ROLES[role])
    assert [filling(role, {name: 1, "miou": 2}) for name in names] == names
    first, proxy = (KINDS[name] for name in names)
    assert "EfficientNet-Lite0" in proxy.title
    assert "EfficientNet-Lite0" not in first.title
    assert (first.unit, first.direction, first.resampled) == (proxy.unit, proxy.direction, proxy.resampled)


def test_what_is_no_role_is_its_own_metric():
    assert filling("consistency_miou", {"miou": 1}) == "consistency_miou"
    assert filling("detail", {}) == "detail"


def test_titles_tell_metrics_apart():
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
