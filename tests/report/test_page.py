"""The report's page, without a browser: what stands on it, and the pictures beside it."""

import base64
import json
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from semflow import published
from semflow.claims.collect import Names, identity, with_interval
from semflow.errors import SemFlowError
from semflow.report import methods, table1, table2
from semflow.report.ablations import ablations, ablations_grid
from semflow.report.page import embedded, explorer, numbered, page, sections, site
from semflow.report.page.claim_rows import conclusion
from semflow.report.page.forest import WIDTH, forest, standardised
from semflow.report.page.pictures import first_sentence
from semflow.report.products import PRODUCTS, Beside
from semflow.report.tables import plain

CLAIMS = Path(__file__).with_name("page_claims.json")


class Read(HTMLParser):
    """A page taken apart: every element's attributes by tag, all text but scripts', and by section the rows of each table."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.words, self.tables, self.scripts, self.within = {}, [], {}, {}, []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.setdefault(tag, []).append(attributes)
        self.within.append((tag, attributes))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    @property
    def rows(self):
        section = next((attributes.get("id", "") for tag, attributes in self.within if tag == "section"), "")
        return self.tables.setdefault(section, [])

    def handle_endtag(self, tag):
        while self.within and self.within.pop()[0] != tag:
            pass

    def handle_data(self, data):
        tags = [tag for tag, _ in self.within]
        if "script" in tags:
            self.scripts[self.within[-1][1].get("id", "")] = data
        elif "style" not in tags:
            self.words.append(data)
            if "td" in tags or "th" in tags:
                self.rows[-1][-1] = f"{self.rows[-1][-1]}{data}"


@pytest.fixture
def claims():
    return json.loads(CLAIMS.read_text())


@pytest.fixture
def everything(runs, real, make_run, make_synthesis, make_seed_agreement):
    """Both tasks; among the records are models and samplers that neither table is of."""
    drawn = [make_synthesis(), make_synthesis(12.0, sampling_seed=1), make_synthesis(20.0, steps=1)]
    others = [make_synthesis(30.0, b=0.0, drawn_with=0.0), make_synthesis(40.0, drawn_with=12.0)]
    fewer = make_run("dsm", "ddpm", 5, [[[4, 0], [2, 2]]] * 3)
    return [*runs, fewer, *drawn, *others, real, make_seed_agreement("dsm", "ddpm", 70.0)]


@pytest.fixture
def written(everything, claims, tmp_path):
    site(everything, claims, [("figures/one.svg", "Figure 1. One <b>bold</b> claim. More.")], tmp_path / "index.html")
    return Read((tmp_path / "index.html").read_text())


def changed(run, **fields):
    return run._replace(record=run.record.model_copy(update=fields))


def test_nothing_from_data_becomes_markup(written):
    assert "b" not in written.elements
    assert "em" not in written.elements
    assert set(written.scripts) == {"data-records", "data-explorer", "data-pictures", ""}
    assert "alert(1)" not in written.scripts[""]
    assert "SemFlow beats DSM <script>alert(1)</script>." in written.text
    assert "scenes <b>" in written.text
    assert written.elements["img"][0]["alt"] == "Figure 1. One <b>bold</b> claim."


def test_embedded_json_cannot_end_its_element():
    value = {"a": "</script><script>alert('1')</script><!-- & \u2028"}
    assert not set("<>&\u2028") & set(embedded(value))
    assert json.loads(embedded(value)) == value


def test_the_summary_says_scale_data_and_verdicts(written):
    head = written.text[: written.text.index("Verdicts")]
    for words in (
        "measured at proxy scale : 3 test images of scenes <b>, 4 x 6, 2 classes",
        "1,000 parameters",
        "never the paper's values",
    ):
        assert words in head
    assert "1 reproduced" in head
    assert "Entries of Tables 1 and 2 as claims: 2 not comparable" in written.text


def claim(verdict, *records):
    return {"verdict": verdict, "conditions": [{"records": list(records)}]}


def test_the_conclusion_counts_what_holds_of_what_could_be_judged_by_task(everything):
    segmented, drawn = "semflow-b6-segmentation-euler-25-b0-train0-sample0", "semflow-b6-synthesis-euler-25-b6-train0-sample0"
    claims = [claim("reproduced", segmented), claim("not reproduced", segmented), claim("inconclusive", segmented)]
    claims += [claim("reproduced", segmented), claim("not comparable", drawn), claim("not run")]
    assert conclusion(claims, everything) == [
        "Segmentation: 2 of 4 claims hold, 1 does not, 1 is open.",
        "Synthesis: none of 1 claim can be judged here.",
    ]
    claims += [claim("reproduced", drawn), claim("reproduced", drawn, segmented)]
    assert conclusion(claims, everything)[1:] == [
        "Synthesis: 1 of 1 claim holds; 1 more is not comparable.",
        "Both tasks together: 1 of 1 claim holds.",
    ]


def condition(effect, low, high, **bounds):
    return {"effect": effect, "low": low, "high": high, "at_least": None, "at_most": None} | bounds


@pytest.mark.parametrize(
    ("condition", "bar"),
    [
        (condition(7.0, 5.0, 9.0, at_least=1.0), (3.0, 2.0, 4.0)),
        (condition(7.0, 5.0, 9.0, at_most=1.0), (-3.0, -4.0, -2.0)),
        (condition(0.5, 0.4, 0.6, at_least=-1.0, at_most=1.0), (5.0, 4.0, 6.0)),
        (condition(-2.0, -3.0, -1.0, at_least=-1.0, at_most=1.0), (-1.0, -2.0, 0.0)),
        (condition(7.0, 7.0, 7.0, at_least=1.0), None),
        (condition(7.0, None, None, at_least=1.0), None),
    ],
)
def test_an_effect_is_drawn_in_half_widths_from_the_margin_that_it_is_nearest_to_violating(condition, bar):
    assert standardised(condition) == pytest.approx(bar) if bar else standardised(condition) is None


def test_the_drawing_keeps_the_order_of_effects_and_has_margins_in_its_middle():
    effects = [-40.0, -1.0, 0.0, 2.0, 300.0]
    claims = [{"id": str(x), "conditions": [condition(x, x - 1, x + 1, at_least=0.0)]} for x in effects]
    drawn = forest(claims)
    places = [drawn.bars[str(x)][0].effect for x in effects]
    assert places == sorted(places)
    assert places[2] == WIDTH / 2 == {label: x for x, label in drawn.ticks}["0"]
    assert all(0 <= end <= WIDTH for bars in drawn.bars.values() for bar in bars for end in bar)


def test_the_papers_own_scale_is_called_that(everything, claims, tmp_path):
    site(everything, claims | {"scale": "paper"}, [], tmp_path / "index.html")
    text = Read((tmp_path / "index.html").read_text()).text
    assert "measured at the paper's scale" in text
    assert "proxy can judge" not in text


def test_every_claim_and_discrepancy_is_on_the_page(written, claims):
    ids = {attributes["id"] for found in written.elements.values() for attributes in found if "id" in attributes}
    for claim in claims["claims"]:
        assert f"claim-{claim['id']}" in ids
        for name in ("words", "place", "verdict", "why", "needs", "reason"):
            assert claim[name] in written.text
        for condition in claim["conditions"]:
            assert condition["what"] in written.text
    for discrepancy in claims["discrepancies"]:
        assert all(discrepancy[name] in written.text for name in ("words", "place", "reading", "quoted"))
    assert all(note in written.text for note in claims["notes"])


def line_of(written, words):
    """The text of a claim from its words on."""
    return written.text.partition(f" {words}")[2]


def test_a_claims_line_shows_its_first_condition_which_decides(written):
    line = line_of(written, "SemFlow beats DSM <script>alert(1)</script>.")
    assert line.startswith(
        " primary 25.0 [20.1, 30.2] ≥ 1, ≤ 40 reproduced (at proxy scale, primary, knife edge: decided at 5 %, not"
    )
    assert "p = 0.030: Both parts lie above one. Place in the paper: section 4.3." in line


def test_a_refuted_claims_p_value_is_that_of_its_holding(written):
    line = line_of(written, "Steps do not matter.")
    assert line.startswith(" -0.500 [-0.600, -0.400] ≤ 0.1 not reproduced (at proxy scale) , p < 0.001:")


def test_a_condition_shows_how_trainings_scatter_where_there_are_several(written):
    rows = written.tables["verdicts"]
    (head,) = {tuple(row) for row in rows if "SD of trainings" in row}
    column = head.index("SD of trainings")
    assert [row[column] for row in rows if row[0].startswith(("second difference", "first difference"))] == ["5.0", "-"]


def test_the_notes_say_when_margins_were_fixed(written, everything, claims, tmp_path):
    told = (
        "fixed: in commit 0123456789 margins, before the runs. Then in commit fedcba9876 checks; some of the records are older."
    )
    assert told in written.text
    site(everything, claims | {"fixed": []}, [], tmp_path / "index.html")  # outside git
    assert "in commit" not in Read((tmp_path / "index.html").read_text()).text


def test_table_1_is_of_the_suites_own_model_at_its_main_sampler(everything, written):
    chosen = {identity(run.record) for run in sections.of_table1(everything)}
    assert chosen == {
        "semflow-b6-segmentation-euler-25-b0-train0-sample0",
        "semflow-b6-synthesis-euler-25-b6-train0-sample0",
        "semflow-b6-synthesis-euler-25-b6-train0-sample1",
        "dsm-b6-segmentation-ddpm-25-b0-train0-sample0",
        "dsm-b6-segmentation-ddpm-25-b0-train0-sample1",
        "oracle-b6-segmentation-direct-b0-train0-sample0",
        "shuffled_labels-b6-segmentation-direct-b0-train0-sample0",
        "real_images-b0-synthesis-direct-b0-train0-sample0",
    }
    rows = table1.grid(sections.of_table1(everything)).texts
    assert [[" ".join(cell.split()) for cell in row] for row in written.tables["table1"][1:]] == rows


def test_table_2_has_every_number_of_the_frame(everything, written):
    frame = table2.table2(sections.of_table2(everything))
    shown = [cell for row in written.tables["table2"][1:] for cell in row]
    for row in frame[frame.metric == "miou"].itertuples():
        assert with_interval(row.value, row.low, row.high, 1) in shown
        assert pd.isna(row.published) or f"{row.published:.1f}" in shown
    assert "difference" not in shown


def test_differences_stand_only_where_both_numbers_are_of_one_metric(everything):
    ours = sections.of_table1(everything)
    grid = table1.grid(ours, Names(), ("miou", "fid", "lpips"))
    (row,) = [row for (row,) in grid.groups if row.entries[0].text == "SemFlow"]
    shown = dict(zip(grid.header, (cell.text for cell in row.entries), strict=True))
    assert shown["mIoU, difference"] == "+61.4"  # 100 less 38.6
    assert shown["FID, difference"] == "-"
    second = table2.grid(sections.of_table2(everything), Names(), True)
    assert [row.entries[1].text for row in second.groups[-3]] == ["measured", "published", "difference"]


def test_ablations_have_every_row_and_the_records_behind_it(everything, written):
    frame = ablations(everything)
    assert len(written.tables["ablations"]) == 1 + len(frame)
    grid = ablations_grid(everything)
    for row, (shown,) in zip(frame.itertuples(), grid.groups, strict=True):
        assert shown.entries[9].sort == row.value
        assert len(shown.entries[9].records) == row.n_seeds


def test_numbers_with_thousands_sort_by_their_value(everything):
    more = [*everything, changed(everything[0], n_images=12_000)]
    spent = sections.spent_grid(more, Names())
    shown = {cell.text: cell.sort for (row,) in spent.groups for cell in row.entries}
    assert shown["12,009"] == 12_009
    assert f"{len(everything) + 1} records, {len(everything) + 1}.0 s in all" in spent.caption


def test_every_run_stands_with_its_provenance(everything, written):
    rows = written.tables["runs"][1:]
    assert len(rows) == len(everything)
    assert rows[0][4:8] == ["cccccccccc", "1", "2", "-"]
    assert rows[0][-3:] == ["1.0", "1.0", "semflow"]
    assert [row[-2] for row in rows if "oracle" in row[0]] == ["-"]


def test_a_dialog_has_what_a_record_holds(written, everything):
    known = json.loads(written.scripts["data-records"])
    assert set(known["records"]) == {identity(run.record) for run in everything}
    _, groups = known["records"]["semflow-b6-synthesis-euler-25-b6-train0-sample1"]
    pairs = {known["texts"][name]: known["texts"][value] for _, group in groups for name, value in group}
    assert pairs["Fréchet distance (EfficientNet-Lite0)"].startswith("12.00 [")
    assert pairs["commit"] == "c" * 40
    assert pairs["seeds"] == "training 0, sampling 1"
    behind = {name for span in written.elements["span"] for name in span.get("data-records", "").split()}
    assert behind == set(known["records"])


def test_a_text_that_many_records_have_in_common_stands_once():
    texts = {}
    said = numbered(["title", [["heading", [("a", "b"), ("b", "a")]]]], texts)
    assert list(texts) == ["title", "heading", "a", "b"]
    assert said == [0, [[1, [[2, 3], [3, 2]]]]]


@pytest.mark.parametrize("given", [{}, {"claims": [], "discrepancies": [], "notes": [], "scale": "proxy"}])
def test_a_page_without_claims_says_so(everything, tmp_path, given):
    site(everything, given, [], tmp_path / "index.html")
    assert "No claims were judged." in Read((tmp_path / "index.html").read_text()).text


def test_one_task_alone_is_enough(make_synthesis, make_seed_agreement, runs, claims, tmp_path):
    for number, few in enumerate([[make_synthesis()], [make_seed_agreement("dsm", "ddpm", 70.0)], runs[:1]]):
        site(few, claims, [], tmp_path / str(number) / "index.html")
        assert (tmp_path / str(number) / "index.html").exists()


def test_records_without_examples_are_left_out_of_the_explorer(runs, tmp_path):
    none = np.zeros((0, 3, 4, 6), np.uint8), np.zeros((0, 4, 6), np.uint8), np.zeros((0, 4, 6), np.uint8)
    for name, array in zip(("images", "labels", "outputs"), none, strict=True):
        object.__setattr__(runs[0].arrays, name, array)
    entries = explorer.explorer(runs, tmp_path)
    assert len(entries) == len(runs) - 1
    site(runs[:1], {}, [], tmp_path / "index.html")
    assert "No record kept examples." in (tmp_path / "index.html").read_text()


def test_the_explorer_begins_with_the_suites_own_model_at_its_main_sampler(everything, tmp_path):
    first = explorer.explorer(everything, tmp_path)[0]
    assert first["record"] == "semflow-b6-segmentation-euler-25-b0-train0-sample0"
    assert [head for head, _ in first["pictures"]] == ["Image", "Ground truth", "Predicted labels"]


def test_strips_hold_every_pixel_in_the_records_colours(runs, tmp_path):
    labels = np.array([[[0, 1, 255], [1, 1, 0]], [[255, 255, 0], [0, 0, 0]]], np.uint8)
    object.__setattr__(runs[0].arrays, "outputs", labels)
    entry = explorer.explorer(runs[:1], tmp_path)[0]
    image, truth, made = (Image.open(tmp_path / Path(path).name) for _, path in entry["pictures"])
    red, blue, white = (255, 0, 0), (0, 0, 255), (255, 255, 255)
    painted = [[[red, blue, white], [blue, blue, red]], [[white, white, red], [red, red, red]]]
    assert np.array_equal(np.array(made.convert("RGB")), np.concatenate(painted, axis=1))
    assert np.array_equal(np.array(image), np.concatenate(list(runs[0].arrays.images.transpose(0, 2, 3, 1)), axis=1))
    assert truth.size == (12, 4)


def test_large_pictures_are_shown_smaller_and_labels_never_mixed():
    labels = np.zeros((3, 300, 600), np.uint8)
    labels[:, :, 300:] = 1
    strip = explorer.strip(labels, ((10, 20, 30), (200, 100, 50)))
    assert strip.size == (3 * 256, 128)
    assert {tuple(colour) for colour in np.array(strip.convert("RGB")).reshape(-1, 3)} == {(10, 20, 30), (200, 100, 50)}
    assert explorer.strip(np.zeros((2, 3, 512, 256), np.uint8)).size == (256, 256)


def test_pictures_that_records_have_in_common_are_stored_once(everything, tmp_path):
    entries = explorer.explorer(everything, tmp_path)
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {Path(path).name for entry in entries for _, path in entry["pictures"]}
    assert len(files) == len(entries) + 2


def test_a_record_of_any_name_gets_a_file_inside_the_folder(runs):
    name = explorer.file_name(identity(changed(runs[0], method="../a b/ü").record))
    assert name.startswith(".._a_b__-b6-")


def test_what_an_earlier_report_left_is_gone(everything, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/old.png").write_text("")
    site(everything, {}, [], tmp_path / "index.html")
    assert not (tmp_path / "pictures/old.png").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "pictures"]


def test_a_report_that_fails_leaves_the_old_one(everything, tmp_path, monkeypatch):
    site(everything, {}, [], tmp_path / "index.html")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def fail(*_):
        raise SemFlowError("no")

    monkeypatch.setattr(explorer, "strip", fail)
    with pytest.raises(SemFlowError):
        site(everything, {}, [], tmp_path / "index.html")
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("caption", "sentence"),
    [
        ("Figure 4. With some (b = 6, Eq. 14), as trained. Suite mini.", "Figure 4. With some (b = 6, Eq. 14), as trained."),
        ("Table 2 as curves. Left: mini.", "Table 2 as curves."),
        ("no stop", "no stop"),
        ("Figure 12.", "Figure 12."),
    ],
)
def test_alternative_text_is_the_first_sentence(caption, sentence):
    assert first_sentence(caption) == sentence


def test_a_figure_keeps_its_place_before_it_has_loaded(everything, tmp_path):
    (tmp_path / "a.svg").write_text('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 432 288"/>')
    (tmp_path / "b.svg").write_text("not a picture")
    site(everything, {}, [("a.svg", "A."), ("b.svg", "B."), ("c.svg", "C.")], tmp_path / "index.html")
    images = Read((tmp_path / "index.html").read_text()).elements["img"]
    assert [(image.get("width"), image.get("height")) for image in images] == [("432.0", "288.0"), (None, None), (None, None)]


def test_a_variant_of_the_suite_is_named_where_records_are(everything, tmp_path):
    other = changed(everything[0], variant="double")
    site([*everything, other], {}, [], tmp_path / "index.html")
    read = Read((tmp_path / "index.html").read_text())
    known = json.loads(read.scripts["data-records"])
    assert (
        known["texts"][known["records"][identity(other.record)][0]]
        == "Segmentation by SemFlow Euler-25, b = 6, double, training 0, sampling seed 0"
    )
    assert [row[0] for row in read.tables["runs"]].count("segmentation: SemFlow Euler-25, double") == 1
    models = [entry["model"] for entry in json.loads(read.scripts["data-explorer"])]
    assert models.count("SemFlow, trained with b = 6, double") == 1
    assert models[0] == "SemFlow, trained with b = 6"


def test_a_page_of_one_table_has_no_pictures_and_no_records(runs):
    read = Read(page("T <i>", [plain("", ["a", "b"], [["x", "1.0 [0.9, 1.1]"]])], ["A note."], [], runs))
    assert "i" not in read.elements
    assert "dialog" not in read.elements
    assert read.tables[""][:2] == [["a", "b"], ["x", "1.0 [0.9, 1.1]"]]
    assert "A note." in read.text


def test_the_same_records_give_the_same_page(everything, claims, tmp_path):
    for name in ("one", "two"):
        site(everything, claims, [], tmp_path / name / "index.html")
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.*")} for name in ("one", "two"))
    assert one == two


def test_nothing_is_fetched_from_elsewhere(written, tmp_path):
    for tag, name in (("img", "src"), ("link", "href"), ("script", "src")):
        for attributes in written.elements.get(tag, []):
            assert not attributes.get(name, "").startswith(("http", "//"))
    text = (tmp_path / "index.html").read_text()
    assert "fetch(" not in text
    assert "innerHTML" not in text
    assert "@import" not in text


def test_the_page_links_the_paper_the_verdicts_and_every_record(everything, claims, store, tmp_path):
    paths = store(everything)
    (tmp_path / "claims.json").write_text("{}")
    site(everything, claims, [], tmp_path / "report/index.html", {"claims.json": tmp_path / "claims.json"}, paths)
    read = Read((tmp_path / "report/index.html").read_text())
    links = [attributes["href"] for attributes in read.elements["a"]]
    assert published.paper_url() in links
    assert "../claims.json" in links
    where = json.loads(read.scripts["data-records"])["files"]
    assert [tmp_path / "report" / where[identity(run.record)] for run in everything] != paths
    assert [(tmp_path / "report" / where[identity(run.record)]).resolve() for run in everything] == [
        path.resolve() for path in paths
    ]


def test_the_csv_of_a_table_is_the_one_that_is_written(everything, written, tmp_path):
    of = sections.of_table2(everything)
    PRODUCTS["table2"].make(of, Beside())[".csv"](tmp_path / "table2.csv")
    (link,) = [attributes["href"] for attributes in written.elements["a"] if attributes.get("download") == "table2.csv"]
    assert unquote(link.partition(",")[2]) == (tmp_path / "table2.csv").read_text()


def test_a_figure_links_its_files_and_says_the_command_that_made_it(everything, tmp_path):
    for suffix in ("svg", "png"):
        (tmp_path / f"one.{suffix}").write_text("")
    site(everything, {}, [("one.svg", "One. Two.")], tmp_path / "index.html")
    read = Read((tmp_path / "index.html").read_text())
    links = [attributes["href"] for attributes in read.elements["a"]]
    assert links.count("one.png") == 1
    assert links.count("one.svg") == 2  # the picture itself too
    assert "Made by snakemake --cores all --configfile config/hand.yaml results/hand/report/figures/one.svg" in read.text


def test_a_page_in_a_single_file_holds_every_picture(everything, claims, tmp_path):
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3">\n<text>50 % & "#</text></svg>'
    (tmp_path / "one.svg").write_text(drawing)
    out = tmp_path / "alone" / "index.html"
    site(everything, claims, [("../one.svg", "One. Two.")], out, single_file=True)
    assert [path.name for path in out.parent.iterdir()] == ["index.html"]
    read = Read(out.read_text())
    (image,) = read.elements["img"][:1]
    assert unquote(image["src"].partition(",")[2]) == drawing.replace("\n", " ")
    pictures = json.loads(read.scripts["data-pictures"])
    shown = {path for entry in json.loads(read.scripts["data-explorer"]) for _, path in entry["pictures"]}
    assert set(pictures) == shown
    first = Image.open(BytesIO(base64.b64decode(next(iter(pictures.values())).partition(",")[2])))
    assert first.size == (12, 4)  # three pictures of 6 x 4, or two
    links = [attributes["href"] for attributes in read.elements["a"] if "download" not in attributes]
    assert all(link.startswith(("#", "https:")) for link in links)


def test_every_method_unfolds_with_what_its_page_says(everything, written):
    (dsm,) = [page for page in methods.pages(everything) if page.name == "dsm"]
    assert all(paragraph in written.text for paragraph in dsm.words)
    assert f"Train it: {dsm.command}" in written.text
    assert "method-dsm" in {attributes.get("id") for attributes in written.elements["details"]}
