"""The numbers of the paper's tables as claims."""

import pytest
from record_fixtures import changed

from semflow import published
from semflow.claims import verdicts
from semflow.claims.document import load


def number(runs, name):
    """The verdict on one number of a table."""
    return next(claim for claim in verdicts.judge(runs, load())["claims"] if claim["id"] == name)


@pytest.fixture
def at_paper_scale(make_run, matrices, on_dataset):
    """at_paper_scale(share, n=2500) -> segmentation of COCO-Stuff that gets a share of pixels right."""
    return lambda share, n=2500: on_dataset(make_run("semflow", "euler", 25, matrices(share, n)), "coco_stuff", papers=True)


def test_every_number_of_both_tables_is_a_claim(runs):
    numbers = [claim for claim in verdicts.judge(runs, load())["claims"] if claim["kind"] == "table_entry"]
    assert len(numbers) == len(published.table2()) + sum(len(values) for values in published.table1().values()) == 22 + 14
    assert len({claim["id"] for claim in numbers}) == len(numbers)


def test_a_proxy_never_judges_a_value(runs):
    entries = [claim for claim in verdicts.judge(runs, load())["claims"] if claim["kind"] == "table_entry"]
    assert {claim["verdict"] for claim in entries} == {"not comparable", "not run"}
    (semflow,) = [claim for claim in entries if claim["id"] == "table2-semflow-euler-25-miou"]
    assert semflow["verdict"] == "not comparable"
    assert "COCO-Stuff-164k, 512 x 512" in semflow["needs"]


@pytest.mark.parametrize(
    ("miou", "verdict"), [(38.6, "reproduced"), (39.3, "reproduced"), (36.0, "not reproduced"), (42.0, "not reproduced")]
)
def test_at_the_papers_scale_a_number_is_reproduced_within_its_margin(at_paper_scale, miou, verdict):
    share = 2 * miou / (100 + miou)  # IoU = p / (2 - p) where either class is right in a share p
    claim = number([at_paper_scale(share)], "table2-semflow-euler-25-miou")
    assert (claim["verdict"], claim["scale"]) == (verdict, "paper")
    part = claim["conditions"][0]
    assert part["effect"] == pytest.approx(miou, abs=0.2)
    assert (part["at_least"], part["at_most"]) == (37.6, 39.6)
    within = part["low90"] >= 37.6 and part["high90"] <= 39.6
    assert (claim["p"] <= 0.05) == within == (verdict == "reproduced")


@pytest.mark.parametrize(
    "fields",
    [
        {"n_parameters": 1_000_000},
        {"dataset": "scenes"},
        {"evaluation_size": (256, 256)},
        {"dataset": "cityscapes"},
        {"dataset": "celebamask_hq"},
    ],
)
def test_a_smaller_network_other_data_or_another_size_are_not_the_papers(at_paper_scale, fields):
    run = at_paper_scale(0.5)
    if "evaluation_size" in fields:
        fields = {"protocol": run.record.protocol.model_copy(update=fields)}
    claim = number([changed(run, **fields)], "table2-semflow-euler-25-miou")
    assert claim["verdict"] == "not comparable"


def test_a_modified_dsm_is_no_row_of_the_papers_tables(at_paper_scale):
    dsm = changed(at_paper_scale(0.5), method="dsm", sampler="ddpm")
    assert number([dsm], "table2-dsm-ddpm-25-miou")["verdict"] == "not reproduced"
    assert number([changed(dsm, method="dsm_modified")], "table2-dsm-ddpm-25-miou")["verdict"] == "not run"


def test_a_number_of_a_variant_is_not_the_tables(at_paper_scale):
    assert number([changed(at_paper_scale(0.5), variant="double")], "table2-semflow-euler-25-miou")["verdict"] == "not run"


def test_an_interval_that_merely_contains_the_published_value_proves_nothing(at_paper_scale):
    """On the margin's edge, and on too few images: neither reproduced nor refuted."""
    on_the_edge = at_paper_scale(2 * 39.6 / 139.6)
    few = at_paper_scale(2 * 38.6 / 138.6, n=300)
    for run in (on_the_edge, few):
        claim = number([run], "table2-semflow-euler-25-miou")
        assert claim["verdict"] == "inconclusive"
        assert claim["needs"]


def test_a_proxys_distance_is_no_fid_even_on_the_papers_data(make_synthesis):
    run = make_synthesis(dataset="celebamask_hq", n_parameters=860_000_000)
    protocol = run.record.protocol.model_copy(update={"evaluation_size": (512, 512)})
    run = changed(run, protocol=protocol, n_images=3000)
    claim = number([run], "table1-semflow-euler-25-fid")
    assert claim["verdict"] == "not comparable"
