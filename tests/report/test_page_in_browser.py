"""The report's page in headless Chromium, opened from disk."""

import importlib
import json
import os
import re
import shutil
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from PIL import Image

from semflow.report.page import site
from semflow.report.products import FIGURES
from semflow.report.write import write

CLAIMS = Path(__file__).with_name("page_claims.json")
EXECUTABLES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 30"><path d="M0 0h40v30z"/></svg>'
FRAME, DIALOG = "#table2 button.measured", "dialog#record"
# Every visible text against what is painted behind it, by WCAG's formula.
CONTRAST = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  return [...document.querySelectorAll("body *")]
    .filter((e) => e.checkVisibility() && !e.disabled && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((e) => { const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
      return { ratio: (a + 0.05) / (b + 0.05), text: e.textContent.slice(0, 40), tag: e.tagName }; });
}"""


def _executable():
    wanted = os.environ.get("SEMFLOW_BROWSER", "")
    found = next(filter(None, map(shutil.which, (wanted, *EXECUTABLES) if wanted else EXECUTABLES)), None)
    if found is None and wanted:
        pytest.fail("SEMFLOW_BROWSER is set, and there is no Chromium on the path")
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(EXECUTABLES)} is on the path")
    return found


def _of_tests(name):
    """A module that tests alone need; where a browser must be there, so must it."""
    return importlib.import_module(name) if os.environ.get("SEMFLOW_BROWSER") else pytest.importorskip(name)


@pytest.fixture(scope="module")
def browser():
    executable = _executable()
    with _of_tests("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def material(runs, real, make_synthesis, tmp_path):
    """(records, claims, figures) of a report, the figures drawn; its folder's name needs escaping in an address."""
    (tmp_path / "a report #1/figures").mkdir(parents=True)
    (tmp_path / "a report #1/figures/one.svg").write_text(SVG)
    drawn = [make_synthesis(), make_synthesis(20.0, steps=1), make_synthesis(40.0, drawn_with=12.0)]
    return [*runs, *drawn, real], json.loads(CLAIMS.read_text()), [("figures/one.svg", "One. Two.")] * 3


@pytest.fixture
def folder(material, tmp_path):
    site(*material, tmp_path / "a report #1/index.html")
    return tmp_path / "a report #1"


@pytest.fixture
def single_file(material, tmp_path):
    """The same report in a file that lies alone."""
    site(*material, tmp_path / "a report #1/single.html", single_file=True)
    (tmp_path / "elsewhere").mkdir()
    return (tmp_path / "a report #1/single.html").rename(tmp_path / "elsewhere/single.html")


@pytest.fixture
def open_page(browser, folder):
    """open_page(**options of the context) -> the report, or the page `at`, which must end without a complaint in its console."""
    contexts, complaints = [], []

    def start(at=folder / "index.html", **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"{request.url} failed"))
        page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
        page.goto(at.as_uri())
        return page

    yield start
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(open_page):
    return open_page()


def unfold(page, selector):
    """Open what is folded around an element, as a click on each summary does."""
    page.locator(selector).first.evaluate("e => { for (; e; e = e.parentElement) if (e.tagName === 'DETAILS') e.open = true; }")


def column(page, section, number):
    return page.locator(f"#{section} table").first.locator(f"tbody tr:visible > :nth-child({number})").all_inner_texts()


def picture(page, number):
    """What the explorer shows: the file, and where in its strip."""
    style = page.locator(".shown .picture").nth(number).evaluate("e => [e.style.backgroundImage, e.style.backgroundPosition]")
    return re.search(r'"(.*)"', style[0]).group(1), style[1]


def test_every_link_and_picture_leads_somewhere(page, folder):
    found = page.evaluate(
        "[...document.querySelectorAll('[href],[src]')].map(e => e.getAttribute('href') ?? e.getAttribute('src'))"
    )
    explored = json.loads(page.locator("#data-explorer").text_content())
    found += [path for entry in explored for _, path in entry["pictures"]]
    assert len(found) > 20
    for address in found:
        if address.startswith("#"):
            assert page.locator(f"[id='{address[1:]}']").count() == 1, address
        elif not address.startswith(("data:", "https:")):
            assert (folder / unquote(urlparse(address).path)).is_file(), address
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


def test_ids_are_unique_and_order_of_focus_is_that_of_the_page(page):
    assert page.evaluate("(() => { const ids = [...document.querySelectorAll('[id]')].map(e => e.id);"
                         " return ids.length - new Set(ids).size; })()") == 0  # fmt: skip
    assert page.evaluate("[...document.querySelectorAll('[tabindex]')].every(e => e.tabIndex <= 0)")


def test_landmarks_captions_and_scopes_are_there(page):
    for selector in ("header h1", "nav[aria-label]", "main", "footer", "a.skip"):
        assert page.locator(selector).count() == 1
    for selector in ("table:not(:has(> caption))", "th:not([scope])", "img:not([alt])", "section:not([aria-labelledby])"):
        assert page.locator(selector).count() == 0, selector
    unlabelled = "[...document.querySelectorAll('select, input')].filter(e => !e.labels.length).length"
    assert page.evaluate(unlabelled) == 0


def test_the_first_tab_stop_skips_to_the_content(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_numbers_sort_as_numbers_both_ways_and_what_is_missing_stays_last(page):
    unfold(page, "#metric")
    page.locator("#metric").select_option("")
    head = page.locator("#ablations th", has_text="steps")
    for direction, expected in (("ascending", sorted), ("descending", lambda values: sorted(values, reverse=True))):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == direction
        shown = column(page, "ablations", 5)
        numbers = [int(text) for text in shown if text != "-"]
        assert numbers == expected(numbers)
        assert len(set(numbers)) > 1
        assert shown[len(numbers) :] == ["-"] * (len(shown) - len(numbers)) != []
    assert page.locator("#ablations th[aria-sort='descending']").count() == 1


def test_sorting_moves_a_methods_rows_together(page):
    def methods():
        return page.locator("#table2 tbody").evaluate_all(
            "bodies => bodies.map(b => [b.rows[0].cells[0].innerText, b.rows.length])"
        )

    before = methods()
    page.locator("#table2 th", has_text="25 steps").locator("button").click()
    page.locator("#table2 th", has_text="25 steps").locator("button").click()
    after = methods()
    assert [name for name, _ in after[:2]] == ["SemFlow Euler", "oracle (ground truth, encoded and decoded)"]
    assert before != after
    assert sorted(before) == sorted(after)


def shown_claims(page):
    return page.locator("#verdicts > .claims .claim:visible").evaluate_all("claims => claims.map(c => c.id)")


def test_a_count_leads_to_as_many_claims_as_it_says(page):
    everything = shown_claims(page)
    assert len(everything) == 5
    for link in page.locator(".counts a").all():
        link.click()
        assert len(shown_claims(page)) == int(link.locator("strong").inner_text()) == 1
        assert link.get_attribute("aria-current") == "true"
    assert page.locator("#claims-status").inner_text() == "Showing 1 of 5 claims. Show all"
    page.get_by_role("link", name="Show all").click()
    assert shown_claims(page) == everything
    page.go_back()
    assert len(shown_claims(page)) == 1


def test_a_claims_address_unfolds_it_and_shows_it(open_page):
    page = open_page()
    assert page.locator("#claim-flat p").first.is_hidden()
    page.goto(f"{page.url}#claim-flat")
    assert page.locator("#claim-flat p").first.is_visible()
    assert page.locator("#claim-flat").evaluate(
        "e => { const { top } = e.getBoundingClientRect(); return top >= 0 && top < innerHeight; }"
    )
    page.evaluate("location.hash = '#claim-table2-25'")
    page.locator("#claim-table2-25 p").first.wait_for(state="visible")  # within the entries, which unfolded too
    page.get_by_role("link", name="Link to this claim").first.click()


def test_what_the_explorer_shows_stands_in_the_address(open_page):
    page = open_page()
    page.locator("select[name=task]").select_option("synthesis")
    page.locator("input[name=example]").press("ArrowRight")
    shown, address = page.locator("#shown").inner_text(), page.url
    assert shown.startswith("Example 2 of 2: synthesis")
    again = open_page()
    again.goto(address)
    assert again.locator("#shown").inner_text() == shown
    again.evaluate("location.hash = '#explorer?record=none'")
    assert again.locator("#shown").inner_text().startswith("Example 1 of 2")


def test_a_figure_opens_large_and_gives_focus_back(page):
    link = page.locator("a.zoom").first
    small = link.locator("img").bounding_box()["width"]
    link.press("Enter")
    large = page.locator("#large img")
    assert large.bounding_box()["width"] > small
    assert large.get_attribute("alt") == "One."
    page.keyboard.press("Escape")
    assert large.is_hidden()
    assert link.evaluate("e => e === document.activeElement")


def test_of_a_tables_numbers_one_is_a_tab_stop_and_arrows_go_on(page):
    numbers = page.locator("#table2 button.measured")
    assert numbers.count() > 2
    assert page.locator("#table2 button.measured[tabindex='0']").count() == 1
    numbers.first.focus()
    page.keyboard.press("ArrowRight")
    assert numbers.nth(1).evaluate("e => e === document.activeElement && e.tabIndex === 0")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert numbers.last.evaluate("e => e === document.activeElement")


def test_the_first_column_of_a_wide_table_stays(open_page):
    page = open_page(viewport={"width": 390, "height": 844})
    scroll, head = page.locator("#table1 .scroll"), page.locator("#table1 tbody th").first
    before = head.bounding_box()["x"]
    assert scroll.evaluate("e => { e.scrollLeft = 200; return e.scrollLeft; }") == 200
    assert head.bounding_box()["x"] == pytest.approx(before, abs=1)


def test_a_single_file_shows_its_pictures_wherever_it_lies(open_page, single_file):
    page = open_page(at=single_file)
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert picture(page, 2)[0].startswith("data:image/png;base64,")
    box = page.locator(".shown .picture").nth(2)
    box.scroll_into_view_if_needed()
    assert Image.open(BytesIO(box.screenshot())).convert("RGB").getpixel((50, 50)) == (255, 0, 0)


def test_ablations_are_filtered_by_metric(page):
    unfold(page, "#metric")
    assert set(column(page, "ablations", 9)) == {"mIoU"}
    page.locator("#metric").select_option("brightness")
    assert set(column(page, "ablations", 9)) == {"brightness"}
    assert page.locator("#metric-status").inner_text().startswith("Showing 4 of ")


def test_the_explorer_changes_at_once_by_keyboard(page):
    status = page.locator("#shown")
    assert status.inner_text().startswith(
        "Example 1 of 2: segmentation by SemFlow, trained with b = 6, Euler-25, sampling seed 0."
    )
    before = [picture(page, number) for number in range(3)]
    page.locator("input[name=example]").press("ArrowRight")
    assert status.inner_text().startswith("Example 2 of 2")
    assert [path for path, _ in before] == [picture(page, number)[0] for number in range(3)]
    assert [picture(page, number)[1] for number in range(3)] == ["100% 0px"] * 3 != [place for _, place in before]
    page.locator("input[name=steps]").press("ArrowLeft")
    assert "Euler-1," in status.inner_text()
    assert "mIoU 50.0" in status.inner_text()
    assert picture(page, 2)[0] == "pictures/semflow-b6-segmentation-euler-1-b0-train0-sample0.png"
    page.locator("input[name=steps]").press("ArrowRight")
    assert "Euler-25," in status.inner_text()


def test_the_explorer_offers_only_what_was_run_and_keeps_to_the_perturbation_of_training(page):
    page.locator("select[name=task]").select_option("synthesis")
    assert "perturbed as trained" in page.locator("#shown").inner_text()
    options = page.locator("select[name=perturbation] option").all_inner_texts()
    assert options == ["as trained (b' = b)", "b' = 12"]
    page.locator("select[name=perturbation]").select_option("b' = 12")
    assert picture(page, 2)[0] == "pictures/semflow-b6-synthesis-euler-25-b12-train0-sample0.png"
    page.locator("select[name=task]").select_option("segmentation")
    page.locator("select[name=model]").select_option("DSM")
    assert page.locator("select[name=sampler]").is_disabled()
    assert page.locator("select[name=seed] option").all_inner_texts() == ["0", "1"]


def test_the_explorer_paints_what_the_record_predicted(page):
    page.locator(".shown").scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    box = page.locator(".shown .picture").nth(2)
    assert box.bounding_box()["height"] > 50
    shot = Image.open(BytesIO(box.screenshot())).convert("RGB")
    assert shot.getpixel((shot.width // 2, shot.height // 2)) == (255, 0, 0)  # class a, which the record predicts everywhere


def test_a_number_opens_its_record_and_gives_focus_back(page):
    number = page.locator(FRAME, has_text="100.0").first
    for how in (number.click, lambda: number.press("Enter")):
        how()
        dialog = page.locator(DIALOG)
        assert dialog.is_visible()
        page.keyboard.press("Escape")
        assert not dialog.is_visible()
        assert number.evaluate("e => e === document.activeElement")


def test_the_dialog_shows_the_right_record(page):
    unfold(page, "#metric")
    page.locator("#ablations tr", has_text="SemFlow").locator("button.measured", has_text="50.0").first.click()
    dialog = page.locator(DIALOG)
    assert dialog.get_by_role(
        "heading", level=2
    ).inner_text() == "Segmentation by SemFlow Euler-1, b = 6, training 0, sampling seed 0" or (
        "shuffled_labels" in dialog.inner_text()
    )
    assert "mIoU\n50.0 [50.0, 50.0] percent; higher is better" in dialog.inner_text()
    assert "c" * 40 in dialog.inner_text()
    dialog.get_by_role("button", name="Close").click()
    assert not dialog.is_visible()


def test_a_number_over_several_records_lists_them_all(page):
    page.locator(FRAME, has_text="75.0").click()
    dialog = page.locator(DIALOG)
    assert dialog.get_by_role("heading", level=2).inner_text() == "2 records behind 75.0 [75.0, 75.0]"
    assert dialog.locator("summary").all_inner_texts() == [
        f"Segmentation by DSM DDPM-25, training 0, sampling seed {seed}" for seed in (0, 1)
    ]


def test_a_claims_condition_opens_its_records(page):
    page.locator("#claim-above > summary").click()
    page.locator("#claim-above .conditions button.measured").last.click()
    assert "Euler-1" in page.locator("#record-head").inner_text()


@pytest.mark.parametrize("width", [360, 800, 900])
def test_a_narrow_screen_never_scrolls_sideways(open_page, width):
    page = open_page(viewport={"width": width, "height": 740})
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    focusable = "[...document.querySelectorAll('.scroll')].every(e => e.tabIndex === 0 && e.getAttribute('aria-label'))"
    assert page.evaluate(focusable)


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_colours_follow_the_system_and_keep_their_contrast(open_page, scheme, dark):
    page = open_page(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    red = int(re.search(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor")).group())
    assert (red < 60) == dark
    found = page.evaluate(CONTRAST)
    assert len(found) > 100
    assert [item for item in found if item["ratio"] < 4.5] == []


def test_on_paper_stands_what_is_unfolded_without_controls(page):
    page.locator("#claim-above > summary").click()
    page.emulate_media(media="print")
    for selector in (".controls", "nav", ".skip", "#explorer", "#runs"):
        assert page.locator(f"{selector}:visible").count() == 0
    assert page.locator("#claim-above .conditions").is_visible()
    assert page.locator("#claim-flat p").first.is_hidden()
    page.set_viewport_size({"width": 700, "height": 1000})  # 186 mm, what an A4 page has between its margins
    wide = "[...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().right > 701).map(t => t.innerText)"
    assert page.evaluate(wide) == []


def test_without_javascript_everything_can_be_read(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator("#claim-above").is_visible()
    page.locator("#ablations summary").click()
    assert page.locator("#ablations tbody tr").last.is_visible()
    assert page.locator(".controls:visible").count() == 0
    page.locator("#claim-above > summary").click()
    assert page.locator("#claim-above .conditions").is_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_folded_or_not(open_page, width, scheme):
    axe = _of_tests("axe_playwright_python.sync_playwright").Axe()
    page = open_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    for _ in range(2):
        found = axe.run(page).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")


# The committed study, as large as a report is.


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The page of the committed records, with as many figures as there are."""
    folder = tmp_path_factory.mktemp("study")
    records = sorted((Path(__file__).parents[2] / "reports/study/records").rglob("*.json"))
    for name in FIGURES:
        (folder / f"{name}.svg").write_text(SVG)
        (folder / f"{name}.txt").write_text("One figure. With many words.")
    write("claims", records, [folder / "claims.json"])
    captions = [folder / f"{name}.txt" for name in FIGURES]
    write("index", records, [folder / "index.html"], claims=folder / "claims.json", captions=captions)
    return folder / "index.html"


@pytest.mark.slow
def test_a_whole_study_is_printed_on_twelve_pages_and_less(open_page, study, tmp_path):
    open_page(at=study).pdf(path=tmp_path / "page.pdf", format="A4")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "page.pdf").read_bytes())) <= 12


@pytest.mark.slow
def test_a_whole_study_has_fewer_than_200_tab_stops_before_anything_is_unfolded(open_page, study):
    stops = "[...document.querySelectorAll('a, button, input, select, summary, [tabindex]')]"
    stops += ".filter(e => e.tabIndex >= 0 && !e.disabled && e.checkVisibility()).length"
    assert 50 < open_page(at=study).evaluate(stops) < 200


@pytest.mark.slow
def test_a_whole_study_is_painted_within_a_second(open_page, study):
    page = open_page(at=study)
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
    assert page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") < 1000


@pytest.mark.slow
def test_a_whole_study_fits_a_phone_whose_first_screen_has_its_conclusion(open_page, study):
    page = open_page(at=study, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".conclusion").inner_text().startswith("Segmentation: ")
    assert page.locator(".counts").evaluate("e => e.getBoundingClientRect().bottom") < 844
