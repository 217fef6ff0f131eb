"""The model card in a checkpoint's folder, read as the Hugging Face hub's own client reads it."""

import pytest
from huggingface_hub import ModelCard
from record_fixtures import PERFECT, changed

from baselines import METHODS
from semflow import cli
from semflow.data import DATASETS
from semflow.errors import SemFlowError
from semflow.evaluation.records import write
from semflow.tools.card import write_card
from semflow.training import model_card
from semflow.training.build import make_model
from semflow.training.card import read_card
from semflow.training.checkpoints import check_target, export


@pytest.fixture
def folder(tiny_suite, tmp_path):
    """An untrained checkpoint."""
    export(tmp_path / "checkpoint", tiny_suite, "semflow", 0, make_model(tiny_suite, "semflow"))
    return tmp_path / "checkpoint"


@pytest.fixture
def record(make_run, tmp_path):
    """record(digest) -> the path of a record that was measured on weights of this SHA-256."""

    def make(digest):
        run, path = make_run("semflow", "euler", 25, PERFECT), tmp_path / f"{digest[:8]}.json"
        source = run.record.provenance.model_copy(update={"checkpoint_sha256": digest})
        write(path, changed(run, provenance=source).record)
        return path

    return make


def read(folder):
    return ModelCard((folder / "README.md").read_text(encoding="utf-8"))


def test_a_finished_checkpoint_has_a_model_card_that_the_hub_reads(folder):
    found = read(folder)
    assert found.data.library_name == "semflow"
    assert (found.data.license, found.data.datasets, found.data.pipeline_tag) == ("mit", ["scenes"], "image-segmentation")
    assert set(found.data.tags) == {"segmentation", "synthesis", "semflow"}
    assert not found.data.eval_results
    assert "semflow info ." in found.text


def test_the_model_card_is_no_part_of_what_a_checkpoint_is_checked_by(folder):
    before = read_card(folder)
    assert "README.md" not in before.weights
    (folder / "README.md").write_text("my own words")
    assert read_card(folder) == before
    check_target(folder)  # and a training may replace it


def test_results_are_those_of_records_of_these_weights(folder, record):
    path = record(read_card(folder).weights_sha256)
    write_card(folder, [path])
    (miou,) = [result for result in read(folder).data.eval_results if result.metric_type == "miou"]
    assert (miou.metric_value, miou.dataset_split, miou.task_type) == (100, "test", "image-segmentation")
    assert miou.metric_args == {"sampler": "euler-25", "seed": 0, "low": 100, "high": 100}
    assert "| segmentation | euler-25 | mIoU | 100.0 [100.0, 100.0] percent | test, 3 |" in read(folder).text


def test_a_record_of_other_weights_is_refused_and_the_card_stays(folder, record):
    before = (folder / "README.md").read_text()
    with pytest.raises(SemFlowError, match="was measured on other weights"):
        write_card(folder, [record("f" * 64)])
    assert (folder / "README.md").read_text() == before


def test_the_command_writes_the_card(folder, record, capsys):
    cli.main(["card", str(folder), "--records", str(record(read_card(folder).weights_sha256))])
    assert capsys.readouterr().out.strip() == str(folder / "README.md")
    assert read(folder).data.eval_results


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_card(folder, method):
    text = model_card.text(read_card(folder).model_copy(update={"method": method}))
    assert METHODS[method].title in text
    assert ModelCard(text).data.pipeline_tag in ("image-segmentation", "image-to-image")


@pytest.mark.parametrize("dataset", DATASETS)
def test_weights_go_by_the_terms_of_what_they_were_trained_on(folder, dataset):
    card = read_card(folder)
    text = model_card.text(card.model_copy(update={"data": card.data | {"name": dataset}}))
    official = DATASETS[dataset].official
    assert ModelCard(text).data.license == ("other" if official else "mit" if dataset == "scenes" else "unknown")
    assert official is None or official.licence in text
