"""Records of several data sets in one suite: tables, figures and drift, and what is never mixed in them."""

from pathlib import Path

import pytest
from record_fixtures import changed

from semflow.claims import drift
from semflow.claims.collect import by_cell, by_dataset, for_table, only, own, read_runs
from semflow.errors import SemFlowError
from semflow.report import figures, table1, tables
from semflow.report.ablations import CELL, ablations
from semflow.report.page import sections

COCO, FACES, STREETS = "coco_stuff", "celebamask_hq", "cityscapes"
REFERENCE = Path(__file__).parents[2] / "results/reference/mini.json"


# Reading.


def test_records_of_several_data_sets_of_one_suite_are_read(mixed, store):
    assert list(by_dataset(read_runs(store(mixed)))) == [COCO, FACES, STREETS]


def test_data_sets_come_in_the_papers_order_and_then_by_name(runs, on_dataset):
    names = ["zoo", STREETS, "camvid", "celebamask_hq", "coco_stuff_164k"]
    assert list(by_dataset([on_dataset(runs[0], name) for name in names])) == [*reversed(names[3:]), STREETS, "camvid", "zoo"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: changed(run, suite="another"), "is of another suite than"),
        (lambda run: changed(run, split="train"), f"is on other data than .* both are on {COCO}"),
        (
            lambda run: changed(run, provenance=run.record.provenance.model_copy(update={"data_sha256": "other"})),
            f"is on other data than .* both are on {COCO}",
        ),
        (
            lambda run: changed(run, protocol=run.record.protocol.model_copy(update={"resize": "bilinear"})),
            "was measured under another protocol",
        ),
    ],
)
def test_within_a_data_set_there_is_one_suite_split_set_of_images_and_protocol(mixed, store, damage, message):
    with pytest.raises(SemFlowError, match=message):
        read_runs(store([*mixed[:-2], damage(mixed[-2]), mixed[-1]]))


def test_another_data_set_may_have_its_own_protocol(mixed, store):
    protocol = mixed[0].record.protocol.model_copy(update={"resize": "bilinear"})
    faces = [changed(run, protocol=protocol) for run in only(mixed, dataset=FACES, task="segmentation")]
    assert read_runs(store([*faces, *only(mixed, dataset=COCO)]))


def test_a_data_sets_own_perturbation_is_that_of_most_of_its_records(make_synthesis, on_dataset):
    faces = [make_synthesis(b=0.0, drawn_with=0.0), make_synthesis(b=0.0, drawn_with=0.0, steps=5), make_synthesis()]
    coco = [make_synthesis(steps=n) for n in (1, 2, 5, 10)]
    kept = own([on_dataset(run, FACES) for run in faces] + [on_dataset(run, COCO) for run in coco])
    assert [(run.record.dataset, run.record.amplitude) for run in kept] == [(FACES, 0.0)] * 2 + [(COCO, 6.0)] * 4


# Tables and figures.


@pytest.fixture
def first(mixed):
    """Table 1's records, as the paper has them: segmentation on COCO-Stuff, synthesis on CelebAMask-HQ."""
    return sections.of_table1(mixed)


def test_table_1_takes_each_task_from_the_papers_data_set(first):
    assert {(run.record.task, run.record.dataset) for run in first} == {("segmentation", COCO), ("synthesis", FACES)}
    frame = table1.table1(first)
    semflow = frame[(frame.method == "semflow") & (frame.steps == 25)].set_index("metric").value
    assert semflow["miou"] == pytest.approx(100)  # COCO-Stuff's; CelebAMask-HQ's is 50
    assert semflow["frechet_efficientnet_lite0"] == 11
    assert set(frame[frame.method.isin(tables.CONTROLS)].method) == {"oracle", "shuffled_labels", "real_images"}


def test_table_1_says_what_was_measured_on_which_data_set(first):
    text = table1.markdown(table1.table1(first), first)
    on_coco = f"{COCO} (segmentation, test split, 3 images, 4 x 6, 2 classes)"
    on_faces = f"{FACES} (synthesis, val split, 3 images, 4 x 6, 3 classes)"
    assert f"Measured on {on_coco} and {on_faces} with a network of 1,000 parameters" in text
    assert "Values are not comparable." in text


def test_table_1_calls_incomparable_what_is_on_other_data_or_at_another_scale(mixed, on_dataset):
    def notes(segmented_on, drawn_on, papers=True):
        seg, syn = only(mixed, dataset=COCO), only(mixed, dataset=FACES, task="synthesis")
        moved = [on_dataset(run, segmented_on, papers=papers) for run in seg]
        return " ".join(table1.notes([*moved, *(on_dataset(run, drawn_on, papers=True) for run in syn)]))

    assert "not comparable" not in notes(COCO, FACES)
    assert "Values of mIoU are not comparable." in notes(COCO, FACES, papers=False)
    assert "Values of mIoU are not comparable." in notes(FACES, FACES)
    assert "Values of FID and LPIPS are not comparable." in notes(COCO, STREETS)
    assert "Values are not comparable." in notes(STREETS, STREETS)


def test_networks_of_two_sizes_are_not_given_as_one(first):
    frame = table1.table1([changed(run, n_parameters=2000) if run.record.task == "synthesis" else run for run in first])
    (row,) = [row for row in table1.cost(frame)[1] if row[0] == "SemFlow"]
    assert row[-1] == "-"


@pytest.mark.parametrize("make", [table1.table1, table1.notes])
def test_table_1_refuses_a_task_on_two_data_sets(mixed, make):
    with pytest.raises(SemFlowError, match=f"^the segmentation of Table 1 was given records of {COCO} and {FACES}, which it"):
        make(only(mixed, task="segmentation"))


@pytest.mark.parametrize("make", [tables.table2, tables.stand_in])
def test_table_2_refuses_two_data_sets(mixed, make):
    with pytest.raises(SemFlowError, match=f"^Table 2 was given records of {COCO} and {FACES}, which it would mix; give"):
        make(only(mixed, task="segmentation"))


@pytest.mark.parametrize("name", figures.DRAW)
def test_a_figure_refuses_two_data_sets(mixed, name):
    with pytest.raises(SemFlowError, match=f"figure .*was given records of {COCO}, {FACES} and {STREETS}, which it would mix"):
        figures.DRAW[name](mixed)


def test_curves_refuse_two_data_sets_and_say_whose_network_the_paper_had(mixed, on_dataset):
    frame = tables.table2(only(mixed, dataset=COCO))
    with pytest.raises(SemFlowError, match=r"^Table 2 as curves was given records of"):
        figures.table2(frame, mixed)
    assert "on other data" in figures.table2(frame, only(mixed, dataset=COCO))[1]
    at_scale = [on_dataset(run, COCO, papers=True) for run in only(mixed, dataset=COCO)]
    assert "the paper's numbers, with the Stable Diffusion 1.5 UNet." in figures.table2(frame, at_scale)[1]


def test_no_row_is_of_two_data_sets(mixed):
    with pytest.raises(SemFlowError, match="the records of SemFlow Euler-25 are of several data sets"):
        by_cell(only(mixed, task="segmentation"))


def test_a_table_of_a_suite_without_its_data_set_is_of_the_first(runs, on_dataset):
    there = [on_dataset(run, name) for name in ("zoo", "camvid") for run in runs]
    assert for_table(there, "COCO-Stuff-164k") == "camvid"
    assert for_table([], "COCO-Stuff-164k") == ""
    assert {run.record.dataset for run in sections.of_table2(there)} == {"camvid"}


def test_ablations_say_the_data_set_in_every_row_and_average_within_it(mixed):
    frame = ablations(mixed)
    assert list(frame.columns[:2]) == ["dataset", "method"]
    for name, of in by_dataset(mixed).items():
        rows = frame[frame.dataset == name].drop(columns="dataset").reset_index(drop=True)
        assert rows.equals(ablations(of))
    assert not frame.duplicated(["dataset", *CELL, "metric"]).any()


def test_ablations_of_one_data_set_have_no_column_for_it(runs):
    assert "dataset" not in ablations(runs)


# Drift.


def test_only_the_data_set_that_became_worse_has_drifted(mixed, make_run, on_dataset, tmp_path):
    drift.accept(mixed, tmp_path / "r.json", "first")
    reference = drift.read(tmp_path / "r.json")
    assert drift.check(drift.reference_of(mixed), reference).status == 0
    lost = on_dataset(make_run("semflow", "euler", 1, [[[0, 4], [4, 0]]] * 3, digest="c"), COCO)
    now = [lost if (r.record.dataset, r.record.steps, r.record.task) == (COCO, 1, "segmentation") else r for r in mixed]
    found = drift.check(drift.reference_of(now), reference)
    assert found.drifted
    assert all(line.startswith(f"SemFlow Euler-1 segmentation on {COCO}, b = 6: ") for line in found.drifted)


def test_cells_of_a_reference_say_their_data_set_where_there_are_several(mixed):
    cells = drift.reference_of(mixed)["evaluations"]
    assert {f"SemFlow Euler-25 segmentation on {name}, b = 6" for name in (COCO, FACES)} < set(cells)
    assert "SemFlow Euler-25 segmentation, b = 6" in drift.reference_of(only(mixed, dataset=COCO))["evaluations"]


def test_the_reference_that_was_accepted_for_one_data_set_is_still_of_these_names():
    names = set(drift.read(REFERENCE)["evaluations"])
    assert "SemFlow Euler-25 segmentation, b = 6" in names
    assert not any(" on " in name for name in names)
