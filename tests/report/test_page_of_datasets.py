"""The page of a suite of several data sets: every number and picture says which it is on."""

import json

import pytest

from semflow.claims import document, verdicts
from semflow.claims.collect import Names, identity
from semflow.report.ablations import ablations_grid
from semflow.report.page import sections, site
from semflow.report.page.details import name_of
from semflow.report.write import write

COCO, FACES, STREETS = "coco_stuff", "celebamask_hq", "cityscapes"


@pytest.fixture
def page(mixed, tmp_path):
    """The page's text and what its script reads."""
    site(mixed, verdicts.judge(mixed, document.load()), [], tmp_path / "index.html")
    text = (tmp_path / "index.html").read_text()
    parts = (text.partition(f'id="data-{name}">')[2].partition("</script>")[0] for name in ("records", "explorer"))
    return text, *map(json.loads, parts)


def test_records_of_two_data_sets_have_two_names(mixed):
    assert len({identity(run.record) for run in mixed}) < len(mixed)
    assert len({Names.among(mixed).identity(run.record) for run in mixed}) == len(mixed)
    assert Names.among(mixed[-1:]).identity(mixed[-1].record) == identity(mixed[-1].record)


def test_every_record_is_on_the_page_under_a_name_of_its_own(mixed, page):
    text, known, _ = page
    assert len(known["records"]) == len(mixed)
    title, groups = known["records"][f"{FACES}:semflow-b6-segmentation-euler-25-b0-train0-sample0"]
    assert known["texts"][title].startswith(f"Segmentation on {FACES} by SemFlow Euler-25")
    said = {known["texts"][name]: known["texts"][value] for _, group in groups for name, value in group}
    assert said["data"] == f"{FACES}, val split, 3 images"
    behind = {name for part in text.split('data-records="')[1:] for name in part.partition('"')[0].split()}
    assert behind == set(known["records"])


def test_the_page_names_every_data_set_where_numbers_stand(page):
    text = page[0]
    assert f"3 test images of {COCO}, 4 x 6, 2 classes; 3 val images of {FACES}, 4 x 6, 3 classes; 3 test images of" in text
    assert f"Table 1: both tasks, measured and published; synthesis on {FACES} and segmentation on {COCO}" in text
    assert f"Table 2: mIoU in percent by number of steps on {COCO}" in text
    assert f"Colours of the 2 classes on {COCO}" in text
    assert f"Colours of the 3 classes on {FACES}" in text
    assert f"(at proxy scale, on {COCO})" in text or f"(on {COCO})" in text


def test_the_examples_are_chosen_by_data_set(page):
    tasks = list(dict.fromkeys(entry["task"] for entry in page[2]))
    assert tasks == [f"segmentation on {COCO}", f"segmentation on {FACES}", f"synthesis on {FACES}"]
    assert all(entry["record"].partition(":")[0] == entry["task"].partition(" on ")[2] for entry in page[2])


def test_rows_of_the_page_name_their_data_set(mixed):
    grid = ablations_grid(mixed)
    assert grid.header[0] == "data"
    for (row,) in grid.groups:
        assert all(name.startswith(f"{row.entries[0].text}:") for name in row.entries[9].records)
    runs = [row.entries[0].text for (row,) in sections.runs_grid(mixed).groups]
    assert runs[0] == f"segmentation on {FACES}: SemFlow Euler-25"
    spent = sections.spent_grid(mixed, Names.among(mixed))
    by_task = {row.entries[1].text: row.entries[2].text for (row,) in spent.groups if row.entries[0].text == "SemFlow"}
    assert by_task[f"segmentation on {COCO}"] == "3"
    assert by_task[f"segmentation on {FACES}"] == "1"


def test_one_data_set_is_not_named_again_and_again(runs):
    record = runs[0].record
    assert name_of(record, Names.among(runs)).startswith("Segmentation by SemFlow Euler-25")
    assert ablations_grid(runs).header[0] == "method"


def test_in_table_1_the_most_steps_that_there_are_stand_for_the_papers(mixed, make_synthesis, on_dataset):
    kept = [run for run in mixed if (run.record.dataset, run.record.task) != (FACES, "synthesis")]
    drawn = [on_dataset(make_synthesis(steps=steps, sampling_seed=seed), FACES) for steps in (2, 5) for seed in range(2)]
    found = [run.record for run in sections.of_table1([*kept, *drawn]) if run.record.method == "semflow"]
    shown = {(record.dataset, record.task, record.steps) for record in found}
    assert shown == {(COCO, "segmentation", 25), (FACES, "synthesis", 5)}


def test_every_product_of_several_data_sets_is_written_from_stored_records(mixed, store, tmp_path):
    paths = store(mixed)
    write("claims", paths, [tmp_path / "claims.json"])
    write("index", paths, [tmp_path / "index.html"], claims=tmp_path / "claims.json")
    write("ablations", paths, [tmp_path / "ablations.csv"])
    chosen = [path for path, run in zip(paths, mixed, strict=True) if any(run is one for one in sections.of_table1(mixed))]
    write("table1", chosen, [tmp_path / f"table1.{suffix}" for suffix in ("csv", "md", "tex")])
    write("table1_page", chosen, [tmp_path / "table1.html"])
    assert f"segmentation on {COCO}: SemFlow Euler-25" in (tmp_path / "table1.html").read_text()
