"""Numbers between markers are those of the records."""

import pytest

from semflow.claims.collect import only
from semflow.claims.document import load
from semflow.claims.verdicts import judge
from semflow.errors import SemFlowError
from semflow.files import write_json
from semflow.report.filled import fill, filled

NUMBER = "SemFlow reaches <!-- begin number semflow segmentation euler-25 miou -->?<!-- end --> %."


@pytest.fixture
def judged(runs):
    return judge(runs, load())


def test_a_number_is_its_records_in_the_metrics_digits(runs, judged):
    values = [run.record.metrics["miou"].value for run in only(runs, method="semflow", task="segmentation", steps=25)]
    assert filled(NUMBER, runs, judged, "a.md") == NUMBER.replace("?", f"{sum(values) / len(values):.1f}")


def test_what_is_filled_stays_the_same_when_filled_again(runs, judged):
    blocks = ("table2", "counts", "claims dsm-varies")
    text = "A\n\n" + ", ".join(f"<!-- begin {what} -->\nx<!-- end -->" for what in blocks)
    once = filled(text, runs, judged, "a.md")
    assert "| SemFlow Euler | measured |" in once
    assert filled(once, runs, judged, "a.md") == once


def test_a_claim_has_its_verdict_its_words_and_its_effect(runs, judged):
    claim = next(claim for claim in judged["claims"] if claim["id"] == "semflow-one-step-keeps-most")
    line = filled("<!-- begin claims semflow-one-step-keeps-most --><!-- end -->", runs, judged, "a.md")
    assert f"- **{claim['verdict']}**: In one step SemFlow keeps at least 60 % of its best mIoU" in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<!-- begin table3 --><!-- end -->", "a.md: marker 'table3': there is no 'table3'; did you mean table"),
        ("<!-- begin number semflow segmentation euler-7 miou --><!-- end -->", "it was not measured"),
        ("<!-- begin number semflow euler-7 --><!-- end -->", "is not METHOD TASK SAMPLER METRIC"),
        ("<!-- begin claims dsm-vary --><!-- end -->", "there is no claim 'dsm-vary'; did you mean dsm-varies"),
        ("<!-- begin counts -->", "a.md: a `<!-- begin ... -->` has no `<!-- end -->`"),
        ("<!-- begin counts --> <!-- begin table2 --><!-- end -->", "has no `<!-- end -->`"),
    ],
)
def test_a_marker_that_cannot_be_filled_is_named(runs, judged, text, words):
    with pytest.raises(SemFlowError) as caught:
        filled(text, runs, judged, "a.md")
    assert words in str(caught.value)


def test_checking_writes_nothing_and_names_the_text_that_differs(runs, judged, store, tmp_path):
    records, claims, text = store(runs), tmp_path / "claims.json", tmp_path / "a.md"
    write_json(claims, judged)
    text.write_text(NUMBER)
    with pytest.raises(SemFlowError, match="a.md does not say what the records say; run `make readme`"):
        fill([text], records, claims, check=True)
    assert text.read_text() == NUMBER
    fill([text], records, claims)
    fill([text], records, claims, check=True)
    assert "?" not in text.read_text()
