"""The report's page in headless Chromium, opened from disk."""

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


@pytest.fixture(scope="module")
def browser():
    executable = _executable()
    if not os.environ.get("SEMFLOW_BROWSER"):
        pytest.importorskip("playwright", reason="playwright is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def folder(runs, real, make_synthesis, tmp_path):
    """A report in a folder whose name needs escaping in an address."""
    folder = tmp_path / "a report #1"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures/one.svg").write_text(SVG)
    drawn = [make_synthesis(), make_synthesis(20.0, steps=1), make_synthesis(40.0, drawn_with=12.0)]
    claims = json.loads(CLAIMS.read_text())
    site([*runs, *drawn, real], claims, [("figures/one.svg", "One. Two.")] * 3, folder / "index.html")
    return folder


@pytest.fixture
def open_page(browser, folder):
    """open_page(**options of the context) -> the report, which must end without a complaint in its console."""
    contexts, complaints = [], []

    def start(**options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"{request.url} failed"))
        page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
        page.goto((folder / "index.html").as_uri())
        return page

    yield start
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(open_page):
    return open_page()


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
        elif not address.startswith("data:"):
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


def test_claims_are_filtered_by_verdict(page):
    def shown():
        return page.locator(".claim:not([hidden])").evaluate_all("claims => claims.map(c => c.id)")

    buttons = page.locator(".filter button")
    assert len(shown()) == 7
    buttons.filter(has_text=re.compile("^ ?not reproduced")).click()
    assert shown() == ["claim-flat"]
    assert buttons.filter(has_text="not reproduced").get_attribute("aria-pressed") == "true"
    assert page.locator("#claims-status").inner_text() == "Showing 1 of 7 claims: not reproduced."
    buttons.filter(has_text="not comparable").click()
    assert page.locator("#claim-table2-25").is_visible()  # among the claims of table entries, which opened
    buttons.first.click()
    assert len(shown()) == 7


def test_ablations_are_filtered_by_metric(page):
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
    page.locator("#claim-above summary").click()
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
    assert page.evaluate("getComputedStyle(document.querySelector('.figures img')).backgroundColor") == "rgb(255, 255, 255)"


def test_the_first_paint_takes_less_than_a_second(page):
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
    assert page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") < 1000


def test_on_paper_everything_is_open_and_controls_are_gone(page, tmp_path):
    page.emulate_media(media="print")
    for selector in (".controls", "nav", ".skip"):
        assert page.locator(f"{selector}:visible").count() == 0
    assert page.locator("#claim-above .conditions").is_hidden()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#claim-above .conditions").is_visible()
    page.set_viewport_size({"width": 700, "height": 1000})  # 186 mm, what an A4 page has between its margins
    wide = "[...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().right > 701).map(t => t.innerText)"
    assert page.evaluate(wide) == []
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#claim-above .conditions").is_hidden()
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")


def test_without_javascript_everything_can_be_read(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator("#claim-above").is_visible()
    assert page.locator("#ablations tbody tr").last.is_visible()
    assert page.locator(".controls:visible").count() == 0
    page.locator("#claim-above summary").click()
    assert page.locator("#claim-above .conditions").is_visible()
