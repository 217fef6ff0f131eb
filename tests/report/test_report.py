"""Every product, from stored records to its file."""

import json

import pytest
from record_fixtures import changed

from semflow import cli
from semflow.errors import SemFlowError
from semflow.evaluation.records import arrays_path
from semflow.evaluation.records import read as read_record
from semflow.evaluation.records import write as write_record
from semflow.report.write import write


def test_every_product_is_written_from_stored_records_alone(stored, tmp_path):
    caption = tmp_path / "figures/figure_table2.txt"
    write("table2", stored, [tmp_path / f"table2.{suffix}" for suffix in ("csv", "md", "tex")])
    write("figure_table2", stored, [caption.with_suffix(".svg"), caption])
    write("figure02", stored, [tmp_path / "figures/figure02.png"])
    write("table2_page", stored, [tmp_path / "page.html"], captions=[caption])
    write("table1", stored, [tmp_path / f"table1.{suffix}" for suffix in ("csv", "md", "tex")])
    write("budget", stored, [tmp_path / f"budget.{suffix}" for suffix in ("csv", "md")])
    write("ablations", stored, [tmp_path / "ablations.csv"])
    write("table1_page", stored, [tmp_path / "table1.html"])
    assert "MaskFormer" in (tmp_path / "table1.html").read_text()
    write("claims", stored, [tmp_path / f"claims.{suffix}" for suffix in ("json", "md", "svg")])
    write("index", stored, [tmp_path / "index.html"], claims=tmp_path / "claims.json", captions=[caption])
    for page in ("index.html", "page.html"):
        assert 'src="figures/figure_table2.svg"' in (tmp_path / page).read_text()


def test_a_product_that_there_is_not_is_answered_by_all_that_there_are(stored, tmp_path):
    with pytest.raises(SemFlowError, match="nothing called figure99 to report; there are ") as error:
        write("figure99", stored, [tmp_path / "figure99.png"])
    assert {"table1", "figure12", "index"} <= set(str(error.value).partition("there are ")[2].split(", "))


def test_a_caption_that_is_not_there_is_named(stored, tmp_path):
    with pytest.raises(SemFlowError, match=r"there is no .*figure02\.txt; draw the figure first"):
        write("table2_page", stored, [tmp_path / "page.html"], captions=[tmp_path / "figure02.txt"])


def test_records_of_different_data_are_not_mixed(stored, tmp_path):
    record = read_record(stored[0])
    elsewhere = record.provenance.model_copy(update={"data_sha256": "other"})
    write_record(stored[0], record.model_copy(update={"provenance": elsewhere}))
    with pytest.raises(SemFlowError, match="other data"):
        write("table2", stored, [tmp_path / "table2.csv"])


def test_records_of_different_suites_are_not_mixed(stored, make_synthesis, tmp_path):
    """Not even where they are of different tasks."""
    path, run = tmp_path / "synthesis.json", make_synthesis()
    digest = run.arrays.save(arrays_path(path))
    write_record(path, run.record.model_copy(update={"arrays_sha256": digest, "suite": "another"}))
    with pytest.raises(SemFlowError, match="another suite"):
        write("figure03", [*stored, path], [tmp_path / "figure03.png"])


def test_a_figure_of_the_paper_says_its_number_and_ours_have_none(stored, tmp_path):
    write("figure02", stored, [tmp_path / "figure02.txt"])
    assert (tmp_path / "figure02.txt").read_text().startswith("Figure 2. Segmentation.")


def test_an_unknown_suffix_is_refused(stored, tmp_path):
    with pytest.raises(SemFlowError, match=r"table2\.xls: the suffix must be one of \.csv, \.md, \.tex"):
        write("table2", stored, [tmp_path / "table2.xls"])


def test_the_index_needs_claims_in_their_form(stored, tmp_path):
    with pytest.raises(SemFlowError, match="report index needs --claims"):
        write("index", stored, [tmp_path / "index.html"])
    (tmp_path / "claims.json").write_text("{}")
    with pytest.raises(SemFlowError, match="claims.json is not a file of claims of format 4: suite is missing.* make it again"):
        write("index", stored, [tmp_path / "index.html"], claims=tmp_path / "claims.json")
    write("claims", stored, [tmp_path / "claims.json"])
    judged = json.loads((tmp_path / "claims.json").read_text())
    damaged = judged | {"claims": [judged["claims"][0] | {"verdict": "perhaps"}]}
    for content, message in (
        (judged | {"suite": "other"}, "is of suite other, the records are of hand"),
        (damaged, "claims.0.verdict"),
    ):
        (tmp_path / "claims.json").write_text(json.dumps(content))
        with pytest.raises(SemFlowError, match=message):
            write("index", stored, [tmp_path / "index.html"], claims=tmp_path / "claims.json")
    assert not (tmp_path / "index.html").exists()


def test_a_single_file_is_made_of_the_index_alone(stored, tmp_path):
    with pytest.raises(SemFlowError, match="--single-file is for the index, not for table2"):
        write("table2", stored, [tmp_path / "table2.csv"], single_file=True)
    assert not (tmp_path / "table2.csv").exists()
    write("claims", stored, [tmp_path / "claims.json"])
    words = ["report", "index", "--single-file", "--claims", tmp_path / "claims.json", "--out", tmp_path / "out/index.html"]
    cli.main([*map(str, words), "--records", *map(str, stored)])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["index.html"]


def run(*words) -> int:
    """Exit status of the command line."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(word) for word in words])
    return int(end.value.code or 0)


def test_regression_check_ends_with_0_as_before_1_where_worse_and_3_where_something_is_missing(stored, tmp_path, capsys):
    reference = tmp_path / "reference.json"
    against = ["--reference", reference, "--records"]
    cli.main(["regression", "accept", "--reason", "first", *map(str, [*against, *stored])])
    assert capsys.readouterr().out == "5 evaluations, the first reference\n"
    assert run("regression", "check", *against, *stored) == 0
    assert "no drift" in capsys.readouterr().out
    assert run("regression", "check", *against, *stored[:-1]) == 3
    record = read_record(stored[2])
    write_record(stored[2], record.model_copy(update={"evaluations": 7.0}))
    assert run("regression", "check", *against, *stored) == 1
    assert (
        "DRIFT SemFlow, b = 6: SemFlow Euler-1 segmentation: evaluations of the network were 1, are 7" in capsys.readouterr().out
    )


def test_a_reference_is_not_written_without_a_reason(stored, tmp_path, capsys):
    assert run("regression", "accept", "--reason", " ", "--reference", tmp_path / "r.json", "--records", *stored) == 2
    assert "needs its reason" in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()


def test_a_damaged_reference_ends_with_2_and_one_sentence(stored, tmp_path, capsys):
    reference = tmp_path / "reference.json"
    against = ["--reference", reference, "--records", *stored]
    cli.main(["regression", "accept", "--reason", "first", *map(str, against)])
    reference.write_text(reference.read_text().replace('"suite": "hand"', '"suites": "hand"'))
    assert run("regression", "check", *against) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "did you mean suite?" in line
    assert run("regression", "accept", "--reason", "second", *against) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_check_is_told_as_json_and_as_a_page_too(stored, tmp_path):
    reference = tmp_path / "reference.json"
    against = ["--reference", reference, "--records", *stored]
    cli.main(["regression", "accept", "--reason", "first", *map(str, against)])
    write_record(stored[2], read_record(stored[2]).model_copy(update={"evaluations": 7.0}))
    made = ["--out", tmp_path / "drift.json", "--page", tmp_path / "drift.html"]
    assert run("regression", "check", *against, *made) == 1
    told = json.loads((tmp_path / "drift.json").read_text())
    assert (told["verdict"], told["status"]) == ("drift", 1)
    text = (tmp_path / "drift.html").read_text()
    assert told["drifted"][0] in text
    assert "Verdict: drift." in text
    assert "scenes <b>" not in text


def test_table_2_beside_a_reference_has_its_trainings_and_the_papers_number(runs, make_run, store, tmp_path, capsys):
    """SemFlow at 25 steps is perfect here, and was 50 in one of two trainings; models of other perturbations are left out."""
    other = make_run("semflow", "euler", 25, [[[4, 0], [4, 4]]] * 3, training_seed=1)
    weaker = [changed(run, amplitude=0.0) for run in runs[:1]]
    paths, reference = store([*runs, *weaker, other]), tmp_path / "reference.json"
    cli.main(["regression", "accept", "--reason", "first", "--reference", str(reference), "--records", *map(str, paths)])
    capsys.readouterr()
    cli.main(["regression", "table", "--reference", str(reference), "--records", *map(str, paths[:-1])])
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "Euler-25" in line]
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["SemFlow Euler-25", "100.0", "75.0 [50.0, 100.0]", "38.6"]
