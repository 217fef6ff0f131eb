"""Drawn pictures read by the suite's judges."""

import numpy as np
import pytest
import torch

from baselines import METHODS
from semflow.errors import SemFlowError
from semflow.evaluation import evaluate, evaluate_all
from semflow.evaluation.metrics.scores import mean_iou
from semflow.evaluation.metrics.segmentation import confusions
from semflow.evaluation.records import Arrays
from semflow.loading.pixels import to_bytes, to_unit_range
from semflow.method.samplers import DIRECT, Sampler
from semflow.seeds import generator
from semflow.suite import keys
from semflow.suite.measurements import Judges
from semflow.suite.runs import Evaluation
from semflow.training import checkpoints
from semflow.training.build import make_model

EULER = Sampler("euler", 2)
DRAWN = Evaluation("semflow", "consistency", EULER, 6.0, 6.0)


@pytest.fixture
def judged(tiny_suite, monkeypatch):
    """The tiny suite with judges."""
    monkeypatch.setitem(METHODS["dsm"].default, "segmentation", "ddpm-2")
    judges = Judges(first="dsm", second="dsm_modified", seed=7)
    return tiny_suite.model_copy(update={"synthesis": tiny_suite.synthesis.model_copy(update={"judges": judges})})


@pytest.fixture
def folders(judged, tmp_path):
    """Checkpoints of the judges that were never trained."""
    for name in ("dsm", "dsm_modified"):
        checkpoints.export(tmp_path / name, judged, name, 7, make_model(judged, name, 7))
    return tmp_path / "dsm", tmp_path / "dsm_modified"


def test_pictures_are_those_of_synthesis_and_each_judge_reads_them(judged, folders, weights_of, tmp_path):
    record = evaluate(judged, DRAWN, weights_of("semflow"), tmp_path / "r.json", tmp_path, folders)
    alike = evaluate(judged, DRAWN._replace(task="synthesis"), weights_of("semflow"), tmp_path / "s.json", tmp_path)
    assert record.outputs_sha256 == alike.outputs_sha256
    model, _ = checkpoints.open_checkpoint(weights_of("semflow"))
    scenes = [*judged_split(judged)]
    labels = torch.stack([torch.from_numpy(sample.labels) for sample in scenes])
    with torch.inference_mode():
        drawn = to_bytes(model.synthesize(labels, EULER, generator("cpu", "sample", 0, 0), 6.0))
    for name, folder in zip(("consistency_miou", "consistency_miou_second"), folders, strict=True):
        judge, card = checkpoints.open_checkpoint(folder)
        sampler = Sampler.parse(METHODS[card.method].default["segmentation"])
        with torch.inference_mode():
            read = judge.segment(to_unit_range(drawn), sampler, generator("cpu", "judge", 0))
        expected = 100 * mean_iou(confusions(read, labels, len(card.classes)).numpy().sum(0))
        assert record.metrics[name].value == pytest.approx(float(expected))
        assert any(card.weights_sha256 in words for words in record.protocol.networks.values())
    assert np.allclose(Arrays.load(tmp_path / "r.npz").confusions.sum(), (labels != 255).sum())
    assert record.evaluations == 2  # of what draws, not of what reads


def judged_split(suite):
    from semflow.data import open_dataset

    dataset = open_dataset(suite.data, suite.evaluation.split)
    return (dataset[index] for index in range(len(dataset)))


@pytest.mark.parametrize("name", ["test_images", "real_images", "grey_card"])
def test_controls_are_read_too(judged, folders, tmp_path, name):
    control = Evaluation(name, "consistency", DIRECT)
    record = evaluate(judged, control, None, tmp_path / "r.json", tmp_path, folders)
    assert set(record.metrics) == {"consistency_miou", "consistency_miou_second"}
    assert record.budget is None


def test_other_checkpoints_than_the_judges_are_refused(judged, folders, weights_of, tmp_path):
    def refused(*given):
        with pytest.raises(SemFlowError) as error:
            evaluate(judged, DRAWN, weights_of("semflow"), tmp_path / "r.json", tmp_path, given)
        return str(error.value)

    assert refused() == (
        "--judges: there are 0 checkpoints; the suite's judges are dsm of training seed 7 and dsm_modified of training seed 7"
    )
    assert "holds dsm of training seed 0, not dsm of training seed 7" in refused(weights_of("dsm"), folders[1])
    assert "holds dsm_modified of training seed 7, not dsm" in refused(*folders[::-1])


def test_a_kept_record_is_measured_again_where_a_judge_is_another(judged, folders, tmp_path, capsys):
    wanted = {Evaluation("grey_card", "consistency", DIRECT): tmp_path / "out/r.json"}
    read = []
    for other in (False, False, True):
        if other:
            checkpoints.export(folders[1], judged, "dsm_modified", 7, make_model(judged, "dsm_modified", 8))
        evaluate_all(judged, wanted, None, tmp_path / "store", tmp_path, folders)
        read.append("read by" in capsys.readouterr().err)
    assert read == [True, False, True]


def test_the_key_of_a_record_is_of_its_judges_and_that_of_others_is_not(judged):
    other = judged.synthesis.model_copy(update={"judges": Judges(first="dsm", second="dsm_modified", seed=8)})
    changed = judged.model_copy(update={"synthesis": other})
    assert keys.scores_key(judged, DRAWN) != keys.scores_key(changed, DRAWN)
    synthesis = DRAWN._replace(task="synthesis")
    assert keys.scores_key(judged, synthesis) == keys.scores_key(changed, synthesis)
