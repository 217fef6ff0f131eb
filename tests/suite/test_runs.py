"""What a suite's runs say is evaluated, and how."""

import pytest

from semflow.errors import SemFlowError
from semflow.method.samplers import DIRECT, Sampler
from semflow.suite import reading
from semflow.suite.runs import Evaluation, evaluations


@pytest.mark.parametrize("name", ["smoke", "mini", "camvid", "camvid_cpu"])
def test_every_suite_has_the_papers_model_and_one_without_perturbation(name, config_folder):
    assert {0, 6} <= {one.amplitude for one in evaluations(reading.load(config_folder / f"{name}.yaml"))}


def test_everything_is_evaluated_once_and_controls_where_their_task_is(config_folder):
    known = evaluations(reading.load(config_folder / "mini.yaml"))
    assert len(known) == len(set(known))
    controls = {(one.method, one.task) for one in known if one.is_control}
    assert controls == {("oracle", "segmentation"), ("shuffled_labels", "segmentation"), ("real_images", "synthesis")}
    assert Evaluation("real_images", "synthesis", DIRECT) in known


@pytest.mark.parametrize(
    ("text", "name", "steps"), [("euler-25", "euler", 25), ("ddim-200", "ddim", 200), ("a-b-1", "a-b", 1), ("rk45", "rk45", 0)]
)
def test_a_sampler_is_its_name_and_steps(text, name, steps):
    assert Sampler.parse(text) == (name, steps)
    assert str(Sampler.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "euler", "euler-", "-25", "euler-0", "euler-2.5", "euler-x", "25", "euler 25", "euler-²", "rk45-25"]
)
def test_a_sampler_that_is_not_name_and_steps_is_refused(text):
    with pytest.raises(SemFlowError) as error:
        Sampler.parse(text)
    assert repr(text) in str(error.value)
