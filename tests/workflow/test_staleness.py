"""What a change of code makes stale: every product, record and training that it determines, and nothing else."""

import ast
import copy

import pytest

from semflow import provenance
from semflow.method.samplers import DIRECT, Sampler
from semflow.report import PRODUCTS
from semflow.suite import keys
from semflow.suite.runs import Evaluation

RECORDS = {
    "segmentation": Evaluation("semflow", "segmentation", Sampler("euler", 25), 6.0),
    "synthesis": Evaluation("semflow", "synthesis", Sampler("euler", 25), 6.0, 6.0),
    "control": Evaluation("oracle", "segmentation", DIRECT),
}


@pytest.fixture
def hashes(tiny_suite, monkeypatch):
    """hashes(module) -> the keys of what the workflow makes, with one line more in a module."""
    whole = provenance._tree

    def forget():
        for remembered in (provenance._written, provenance.code_hash):
            remembered.cache_clear()

    def tree(name, changed):
        if name != changed:
            return whole(name)
        longer = copy.deepcopy(whole(name))
        longer.body += ast.parse("A_CHANGE = 1").body
        return longer

    def known(changed=None):
        monkeypatch.setattr(provenance, "_tree", lambda name: tree(name, changed))
        forget()
        return {
            "train": keys.weights_key(tiny_suite, "semflow", 0),
            **{name: keys.scores_key(tiny_suite, evaluation) for name, evaluation in RECORDS.items()},
            **{name: provenance.code_hash((product.module,)) for name, product in PRODUCTS.items()},
        }

    yield known
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize(
    ("module", "stale", "fresh"),
    [
        ("report.figures.curves", {"evaluations", "seed_agreement"}, {"train", *RECORDS, "table1", "table2", "claims"}),
        ("report.tables", {"table1", "table2", "table1_page", "index"}, {"train", *RECORDS, "figure05"}),
        ("report.table1", {"table1", "table1_page", "index"}, {"train", *RECORDS, "figure05", "claims"}),
        ("report.page.explorer", {"table1_page", "index"}, {"train", *RECORDS, "table1", "figure05", "claims"}),
        ("claims.verdicts", {"claims", "index"}, {"train", *RECORDS, "figure05"}),
        ("claims.drift", set(), {"train", *RECORDS, *PRODUCTS}),
        ("evaluation.metrics.scores", {"segmentation", "synthesis", "control"}, {"train"}),
        ("evaluation.metrics.distances", {"synthesis"}, {"train", "segmentation", "control"}),
        ("evaluation.controls", {"control"}, {"train"}),
        ("evaluation.measuring", set(), {"train", *RECORDS}),
        ("method.solvers", {"segmentation", "synthesis"}, {"train"}),
        ("method.flow", {"train", "segmentation"}, {"table1", "figure05"}),
        ("errors", set(), {"train", *RECORDS, *PRODUCTS}),
        ("data.camvid", set(), {"train", *RECORDS, *PRODUCTS}),
        ("data.scenes", {"train", *RECORDS}, {"table1", "figure05"}),
    ],
)
def test_a_change_in_code_makes_stale_what_it_determines_and_no_more(hashes, module, stale, fresh):
    before, after = hashes(), hashes(f"semflow.{module}")
    changed = {name for name in before if before[name] != after[name]}
    assert stale <= changed
    assert not fresh & changed


def test_a_remark_or_a_docstring_is_no_change(tmp_path, monkeypatch):
    def written(text):
        (tmp_path / "module.py").write_text(text)
        monkeypatch.setattr(provenance, "_source", lambda name: tmp_path / "module.py")
        for remembered in (provenance._tree, provenance._written):
            remembered.cache_clear()
        return provenance._written("semflow.module")

    assert written('"""One."""\n\nX = 1\n') == written('"""Two."""\n\nX = 1  # a remark\n') != written("X = 2\n")
    for remembered in (provenance._tree, provenance._written):
        remembered.cache_clear()
