"""Tables and figures of a suite of several data sets: what is never mixed in them."""

import pytest
from record_fixtures import changed

from semflow.claims.collect import by_dataset, by_row, for_table, only
from semflow.errors import SemFlowError
from semflow.report import budget, table1, table2, tables
from semflow.report.ablations import KEY, ablations
from semflow.report.figures import FIGURES
from semflow.report.page import sections

COCO, FACES, STREETS = "coco_stuff", "celebamask_hq", "cityscapes"


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
    text = table1.markdown(table1.grid(first), first)
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
    runs = [changed(run, n_parameters=2000) if run.record.task == "synthesis" else run for run in first]
    rows = [row for row in budget.grids(runs)[0].texts if row[1] == "SemFlow"]
    assert [(row[0], row[2]) for row in rows] == [(COCO, "1,000"), (FACES, "2,000")]


@pytest.mark.parametrize("make", [table1.table1, table1.notes])
def test_table_1_refuses_a_task_on_two_data_sets(mixed, make):
    with pytest.raises(SemFlowError, match=f"^the segmentation of Table 1 was given records of {COCO} and {FACES}, which it"):
        make(only(mixed, task="segmentation"))


@pytest.mark.parametrize("make", [table2.table2, table2.notes])
def test_table_2_refuses_two_data_sets(mixed, make):
    with pytest.raises(SemFlowError, match=f"^Table 2 was given records of {COCO} and {FACES}, which it would mix; give"):
        make(only(mixed, task="segmentation"))


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_refuses_two_data_sets(mixed, name):
    with pytest.raises(SemFlowError, match=f"figure .*was given records of {COCO}, {FACES} and {STREETS}, which it would mix"):
        FIGURES[name](mixed)


def test_curves_say_whose_network_the_paper_had(mixed, on_dataset):
    draw = FIGURES["figure_table2"]
    assert "on other data" in draw(only(mixed, dataset=COCO))[1]
    at_scale = [on_dataset(run, COCO, papers=True) for run in only(mixed, dataset=COCO)]
    assert "the paper's numbers, with the Stable Diffusion 1.5 UNet." in draw(at_scale)[1]


def test_no_row_is_of_two_data_sets(mixed):
    with pytest.raises(SemFlowError, match="the records of SemFlow Euler-25 are of several data sets"):
        by_row(only(mixed, task="segmentation"))


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
    assert not frame.duplicated(["dataset", *KEY, "metric"]).any()


def test_ablations_of_one_data_set_have_no_column_for_it(runs):
    assert "dataset" not in ablations(runs)
