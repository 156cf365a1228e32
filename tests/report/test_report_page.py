"""The report in a real browser: what it draws, what it computes, and what can be done with it.

It needs Chromium and its driver: ``make browser`` installs them where it may.
"""

import base64
import io
import json
import re
from datetime import UTC, datetime

import headless
import numpy as np
import PIL.Image
import pytest
import report_studies
from report_studies import END, IMAGE, QUOTES, SCRIPT, SIZE

from membrane_xai import CamGrid, evaluate, map_score
from membrane_xai.html_report import write_html_report
from membrane_xai.html_report._series import by_image, patches_of
from membrane_xai.study import read_study, read_view

pytest.importorskip("jinja2")
pytest.importorskip("selenium")

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

pytestmark = pytest.mark.skipif(bool(headless.MISSING), reason=headless.MISSING)
WHEN = datetime(2026, 1, 2, tzinfo=UTC)
STEPS = range(101)
"""Positions of the slider; the threshold is a hundredth of it."""
COUNT = 6


@pytest.fixture(scope="module")
def browser():
    with headless.chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "s"
    rng = np.random.default_rng(5)
    regions = [np.ones(SIZE, bool), *(rng.random((COUNT - 1, *SIZE)) < 0.7)]
    report_studies.make(folder, COUNT, regions=regions)
    return folder


@pytest.fixture(scope="module")
def address(study, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    return write_html_report(study, path, title=SCRIPT, command=IMAGE, date=WHEN).as_uri()


@pytest.fixture
def page(browser, address):
    """Load the page anew; afterwards nothing may have gone wrong or out."""
    browser.get("about:blank")
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(address)
    yield browser
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {one["params"]["request"]["url"].partition("#")[0] for one in messages
             if one["method"] == "Network.requestWillBeSent"}  # fmt: skip
    assert {url for url in asked if not url.startswith("data:")} == {address}


def find(page, name):
    return page.find_element(By.ID, name)


def wait(page, condition):
    return WebDriverWait(page, 10, poll_frequency=0.02).until(lambda _: condition())


def open_image(page, number):
    page.execute_script("location.hash = arguments[0]", f"image-{number}")
    wait(page, lambda: find(page, "v-title").is_displayed() and find(page, "v-live").text)


def move(page, name, value):
    """Set a slider as a hand does, and let it tell."""
    page.execute_script(
        "arguments[0].value = arguments[1];"
        "arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
        find(page, name), value,
    )  # fmt: skip


def cells(page, column):
    """Return a column of the table as it is shown."""
    heads = [head.text.rstrip(" ▲▼") for head in page.find_elements(By.CSS_SELECTOR, "#rows th")]
    at = heads.index(column) + 1
    return [cell.text for cell in page.find_elements(By.CSS_SELECTOR, f"#rows td:nth-child({at})")]


def head(page, column):
    for one in page.find_elements(By.CSS_SELECTOR, "#rows th"):
        if one.text.rstrip(" ▲▼") == column:
            return one
    raise AssertionError(column)


def scores(page, patch, number, steps=STEPS):
    """Return MAP of a map at steps of the slider, as the page computes it."""
    found = page.execute_async_script(
        "const [patch, map, steps, done] = arguments;"
        "Promise.all(steps.map((step) => window.membraneReport.score(patch, map, step)))"
        ".then((all) => done(all.map(String)))",
        patch, number, list(steps),
    )  # fmt: skip
    return np.array(found, float)


def wanted(view, method, threshold):
    return map_score(view.maps[method][None], view.mask, region=view.region, threshold=threshold)


# ---- Numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", range(len(report_studies.METHODS)))
def test_map_at_a_threshold_is_that_of_map_score(page, study, method):
    rows = by_image(read_study(study).rows)
    name = list(report_studies.METHODS)[method]
    different = set()
    for patch in patches_of(rows):
        view = read_view(study, patch.key)
        want = [wanted(view, name, step / 100) for step in STEPS]
        got = scores(page, patch.number, method)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
        different.update(want)
    assert len(different) > 20


@pytest.mark.parametrize("method", ["noise", END, "ties", "fine"])
def test_every_position_of_the_slider(page, study, method):
    rows = by_image(read_study(study).rows)
    number = list(report_studies.METHODS).index(method)
    patch = patches_of(rows)[1]
    view = read_view(study, patch.key)
    open_image(page, patch.number)
    Select(find(page, "v-map")).select_by_index(number)
    name = f"Map {method}"
    wait(page, lambda: find(page, "v-cam").get_attribute("aria-label") == name)
    shown = page.execute_script(
        "const slider = document.getElementById('v-threshold');"
        "return arguments[0].map((step) => {"
        "  slider.value = step;"
        "  slider.dispatchEvent(new Event('input'));"
        "  return document.getElementById('v-live').dataset.value;"
        "});", list(STEPS),
    )  # fmt: skip
    want = [rows[patch.rows[number]]["map"], *(wanted(view, method, k / 100) for k in STEPS[1:])]
    np.testing.assert_allclose(np.array(shown, float), want, rtol=0, atol=1e-12)
    assert len(set(want)) > 4


def test_fractions_awkward_types_and_undefined_maps(browser, tmp_path):
    rng = np.random.default_rng(2)
    maps = {
        "half": rng.random((5, 5)).astype(np.float16),
        "whole": np.arange(25).reshape(5, 5),
        "tiny": (rng.random((5, 5)) * 1e-30).astype(np.float32),
        "negative": -rng.random((5, 5)),
        "invalid": np.full((5, 5), np.nan),
        "flat": np.ones((5, 5), np.float32),
    }
    mask, region = rng.random(SIZE), rng.random(SIZE)
    methods = {name: lambda rgb, cam=cam: cam[None] for name, cam in maps.items()}
    evaluate(
        methods, report_studies.images(1), [mask], regions=[region], out=tmp_path / "s", views=True
    )
    browser.get(write_html_report(tmp_path / "s", tmp_path / "r.html").as_uri())
    for number, cam in enumerate(maps.values()):
        want = [map_score(cam, mask, region=region, threshold=step / 100) for step in STEPS]
        np.testing.assert_allclose(scores(browser, 0, number), want, rtol=0, atol=1e-6)


def test_a_map_lies_where_its_cells_do(browser, tmp_path, rng):
    """Half a cell up and left of half-pixel centres; the outer cells go on to the border."""
    grid = CamGrid(spacing=(8, 12), offset=0, size=SIZE)
    mask, cam = rng.random(SIZE) < 0.3, np.zeros((6, 5))
    cam[2, 3], cam[5, 4] = 1, 0.5
    study = evaluate(
        {"flat": lambda rgb: np.ones((1, 4, 4)), "spot": lambda rgb: cam[None]},
        report_studies.images(1), [mask], grid={"spot": grid}, mpp=0.5,
        out=tmp_path / "s", views=True,
    )  # fmt: skip
    browser.get(write_html_report(tmp_path / "s", tmp_path / "r.html").as_uri())
    want = [map_score(cam, mask, grid=grid, threshold=step / 100) for step in STEPS]
    np.testing.assert_allclose(scores(browser, 0, 1), want, rtol=0, atol=1e-12)
    plain = [map_score(cam, mask, threshold=step / 100) for step in STEPS]
    assert abs(np.array(want) - plain).max() > 0.01
    open_image(browser, 0)
    Select(find(browser, "v-map")).select_by_visible_text("spot")
    move(browser, "v-threshold", 75)  # within a quarter of a cell of the bright one, by rows
    wait(browser, lambda: pixels(browser, "v-cam")[..., 3].any())
    lit = pixels(browser, "v-cam")[..., 3] == 255
    rows = np.maximum(1 - np.abs(np.arange(48) - 16) / 8, 0)
    columns = np.maximum(1 - np.abs(np.arange(60) - 36) / 12, 0)
    assert (lit == (rows[:, None] * columns >= 0.75)).all()
    assert lit[16, 36]
    move(browser, "v-threshold", 50)
    wait(browser, lambda: pixels(browser, "v-cam")[47, 59, 3] == 255)  # beyond the last centre
    shown = find(browser, "v-numbers").text
    said = "6x5 cells of 4.9 \N{MICRO SIGN}m, 0.44 of a cell up and 0.46 left of half-pixel"
    assert said in shown
    assert said in find(browser, "summary").text
    assert study.rows[1]["cell_um"] == pytest.approx(0.5 * (8 * 12) ** 0.5)


def test_the_slider_shows_the_thresholded_map(page, study):
    rows = by_image(read_study(study).rows)
    patch = patches_of(rows)[0]
    view = read_view(study, patch.key)
    open_image(page, 0)
    live = find(page, "v-live")
    first = rows[patch.rows[0]]
    assert live.text == (
        f"MAP: {first['map']:.3f} (chance {first['chance']:.3f}, ideal {first['ideal']:.3f})"
    )
    move(page, "v-threshold", 40)
    want = wanted(view, "noise", 0.4)
    assert live.text.startswith(f"MAP of the set from 0.40 of the maximum: {want:.3f} (chance 0.")
    assert float(live.get_attribute("data-value")) == pytest.approx(want, abs=1e-12)
    assert find(page, "v-threshold-now").text == "0.40"
    find(page, "v-threshold").send_keys(Keys.ARROW_RIGHT)
    assert find(page, "v-threshold-now").text == "0.41"
    Select(find(page, "v-map")).select_by_visible_text("fine")
    want = wanted(view, "fine", 0.41)
    wait(page, lambda: float(live.get_attribute("data-value")) == pytest.approx(want, abs=1e-12))
    Select(find(page, "v-map")).select_by_visible_text("none")
    wait(page, lambda: live.text == "No map is shown.")
    open_image(page, 3)
    Select(find(page, "v-map")).select_by_visible_text("noise")
    wait(page, lambda: "undefined (empty mask)" in live.text)


# ---- Pictures ----------------------------------------------------------------------------------


def pixels(page, name):
    """Return the RGBA of a canvas."""
    address = page.execute_script("return arguments[0].toDataURL()", find(page, name))
    data = base64.b64decode(address.partition(",")[2])
    return np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGBA"))


def test_layers(page, study):
    patch = patches_of(by_image(read_study(study).rows))[0]
    view = read_view(study, patch.key)
    open_image(page, 0)
    rgb, dab = find(page, "v-rgb"), find(page, "v-dab")
    wait(page, lambda: page.execute_script("return arguments[0].naturalWidth", rgb) == SIZE[1])
    assert (rgb.is_displayed(), dab.is_displayed()) == (True, False)
    page.find_element(By.CSS_SELECTOR, "input[name=base][value=dab]").click()
    assert (rgb.is_displayed(), dab.is_displayed()) == (False, True)
    page.find_element(By.CSS_SELECTOR, "input[name=base][value=none]").click()
    assert (rgb.is_displayed(), dab.is_displayed()) == (False, False)

    assert pixels(page, "v-mask")[..., 3].any()
    page.find_element(By.CSS_SELECTOR, "input[name=mask][value=none]").click()
    assert not pixels(page, "v-mask")[..., 3].any()
    page.find_element(By.CSS_SELECTOR, "input[name=mask][value=fill]").click()
    assert ((pixels(page, "v-mask")[2::4, 2::4, 3] > 0) == view.mask).all()

    Select(find(page, "v-map")).select_by_visible_text("fine")
    cam = np.maximum(view.maps["fine"][None], 0)
    move(page, "v-threshold", 50)
    wait(page, lambda: ((pixels(page, "v-cam")[..., 3] == 255) == (cam >= cam.max() / 2)).all())
    top = np.unravel_index(cam.argmax(), cam.shape)
    assert pixels(page, "v-cam")[top].tolist() == [0xFD, 0xE7, 0x25, 255]  # viridis ends so
    move(page, "v-opacity", 25)
    assert find(page, "v-cam").value_of_css_property("opacity") == "0.25"
    assert find(page, "v-opacity-now").text == "25 %"


def test_thumbnails_are_made_when_they_come_into_view(page):
    assert len(page.find_elements(By.CSS_SELECTOR, "#thumbs .card")) == COUNT
    page.execute_script("document.getElementById('gallery').scrollIntoView()")
    wait(page, lambda: len(page.find_elements(By.CSS_SELECTOR, "#thumbs img")) == COUNT)
    card = page.find_element(By.CSS_SELECTOR, "#thumbs .card")
    about = f"group patient 0 · score 0 · <b> {IMAGE}"
    assert card.text.startswith(f"{SCRIPT}\n{about}\nnoise\n")


def test_a_page_has_sixty_thumbnails_at_a_time(browser, tmp_path):
    small = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 3), np.uint8)
    evaluate({"bright": lambda rgb: rgb.mean(axis=-1)}, small, small[..., 0] < 99,
             out=tmp_path / "s", views=True, batch_size=70)  # fmt: skip
    browser.get(write_html_report(tmp_path / "s", tmp_path / "r.html").as_uri())
    assert len(browser.find_elements(By.CSS_SELECTOR, "#thumbs .card")) == 60
    assert len(browser.find_elements(By.CSS_SELECTOR, "#thumbs img")) < 60
    assert find(browser, "more").text == "Show more (10 left)"
    browser.execute_script("arguments[0].click()", find(browser, "more"))
    assert len(browser.find_elements(By.CSS_SELECTOR, "#thumbs .card")) == 70
    assert not find(browser, "more").is_displayed()
    assert [find(browser, name).is_enabled() for name in ("p-prev", "p-next")] == [False, True]
    assert len(cells(browser, "id")) == 50
    browser.execute_script("arguments[0].click()", find(browser, "p-next"))
    assert find(browser, "p-where").text == "page 2 of 2"
    assert cells(browser, "id") == [str(i) for i in range(50, 70)]


# ---- Names -------------------------------------------------------------------------------------


def test_names_stay_text(page):
    assert page.title == SCRIPT == page.find_element(By.TAG_NAME, "h1").text
    ids = cells(page, "id")
    assert {SCRIPT, QUOTES, IMAGE} <= set(ids)
    assert END in cells(page, "method")
    assert not page.find_elements(By.CSS_SELECTOR, "[onerror], h1 script, td script, td b, td img")
    open_image(page, ids.index(IMAGE) // len(report_studies.METHODS))
    assert find(page, "v-title").text == IMAGE
    options = [option.text for option in Select(find(page, "v-map")).options]
    assert options == [*report_studies.METHODS, "none"]


def test_the_policy_holds(browser, address):
    """Script and style of others, and anything from outside, are refused."""
    browser.get(address)
    browser.execute_script(
        "document.body.insertAdjacentHTML('beforeend', '<p id=extra style=\"color: red\">x</p>"
        '<img src=x onerror="window.broken = 1">\');'
        "const s = document.createElement('script'); s.textContent = 'window.broken = 1';"
        "document.body.append(s); fetch('https://example.com').catch(() => { window.refused = 1; })"
    )
    wait(browser, lambda: browser.execute_script("return window.refused === 1"))
    assert browser.execute_script("return window.broken === undefined")
    assert find(browser, "extra").value_of_css_property("color") != "rgba(255, 0, 0, 1)"
    refused = [entry["message"] for entry in browser.get_log("browser")]
    assert sum("Content Security Policy" in message for message in refused) >= 4


# ---- Table -------------------------------------------------------------------------------------


def numbers(texts):
    return [float(text.replace("−", "-")) for text in texts if text != "–"]


def test_sorting(page):
    texts = cells(page, "toward ideal")
    assert head(page, "toward ideal").get_attribute("aria-sort") == "none"
    button = head(page, "toward ideal").find_element(By.TAG_NAME, "button")
    button.click()
    assert head(page, "toward ideal").get_attribute("aria-sort") == "ascending"
    up = cells(page, "toward ideal")
    assert numbers(up) == sorted(numbers(texts))
    assert up[-5:] == ["–"] * 5  # those of the image without membrane
    button.click()
    assert head(page, "toward ideal").get_attribute("aria-sort") == "descending"
    down = cells(page, "toward ideal")
    assert numbers(down) == sorted(numbers(texts), reverse=True)
    assert down[-5:] == ["–"] * 5
    head(page, "method").find_element(By.TAG_NAME, "button").click()
    assert head(page, "toward ideal").get_attribute("aria-sort") == "none"
    shown = cells(page, "method")
    assert [shown.index(name) for name in (END, "fine", "noise", "steps", "ties")] == [
        0, 6, 12, 18, 24,
    ]  # fmt: skip


def test_filters_hold_in_table_and_gallery(page):
    count = find(page, "f-count")
    assert count.text == "30 rows"
    find(page, "f-text").send_keys("PLAIN-4")
    assert count.text == "5 of 30 rows"
    assert set(cells(page, "id")) == {"plain-4.png"}
    assert len(page.find_elements(By.CSS_SELECTOR, "#thumbs .card")) == 1
    find(page, "f-clear").click()
    assert count.text == "30 rows"
    Select(find(page, "f-status")).select_by_visible_text("empty_mask")
    assert cells(page, "id") == ["plain-3.png"] * 5
    Select(find(page, "f-method")).select_by_visible_text(END)
    assert count.text == "1 of 30 rows"
    find(page, "f-text").send_keys("nowhere", Keys.ENTER)
    assert count.text == "0 of 30 rows"
    assert not page.find_elements(By.CSS_SELECTOR, "#thumbs .card")
    assert find(page, "p-where").text == "page 1 of 1"


def test_rows_lead_to_their_image(page):
    find(page, "f-text").send_keys("plain-5")
    link = page.find_element(By.CSS_SELECTOR, "#rows td a")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", link)
    link.click()
    wait(page, lambda: find(page, "v-title").text == "plain-5.png")
    find(page, "v-close").click()
    assert not find(page, "viewer").is_displayed()
    assert page.current_url.endswith("#gallery")


def test_all_rows_and_cases_are_printed(browser, tmp_path):
    small = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    evaluate({"bright": lambda rgb: rgb.mean(axis=-1)}, small, small[..., 0] < 99,
             out=tmp_path / "s", views=True)  # fmt: skip
    browser.get(write_html_report(tmp_path / "s", tmp_path / "r.html").as_uri())
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert len(cells(browser, "id")) == 60
    assert len(browser.find_elements(By.CSS_SELECTOR, "#cases .card img")) == 12
    browser.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert len(cells(browser, "id")) == 50
    assert browser.print_page()  # a PDF


# ---- Hands and eyes ----------------------------------------------------------------------------


def press(page, *keys):
    page.switch_to.active_element.send_keys(*keys)


def test_by_keyboard(page):
    press(page, Keys.TAB)
    assert page.switch_to.active_element.text == "Skip to the summary"
    assert page.switch_to.active_element.is_displayed()
    press(page, Keys.TAB)
    assert page.switch_to.active_element.get_attribute("id") == "theme"
    outline = page.switch_to.active_element.value_of_css_property("outline-style")
    assert outline == "solid"

    button = head(page, "MAP").find_element(By.TAG_NAME, "button")
    page.execute_script("arguments[0].focus()", button)
    press(page, Keys.ENTER)
    assert head(page, "MAP").get_attribute("aria-sort") == "ascending"
    press(page, Keys.SPACE)
    assert head(page, "MAP").get_attribute("aria-sort") == "descending"

    card = page.find_elements(By.CSS_SELECTOR, "#thumbs .card")[1]
    name = card.find_element(By.CLASS_NAME, "id").text
    page.execute_script("arguments[0].focus()", card)
    press(page, Keys.ENTER)
    wait(page, lambda: find(page, "viewer").is_displayed() and find(page, "v-live").text)
    assert find(page, "v-title").text == name
    assert page.switch_to.active_element.get_attribute("id") == "v-close"
    order = [one.get_attribute("textContent") for one in
             page.find_elements(By.CSS_SELECTOR, "#thumbs .id")]  # fmt: skip
    press(page, Keys.ARROW_LEFT)
    wait(page, lambda: find(page, "v-title").text == order[0])
    assert not find(page, "v-prev").is_enabled()
    press(page, Keys.ARROW_LEFT)
    press(page, Keys.ARROW_RIGHT)
    wait(page, lambda: find(page, "v-title").text == order[1])
    press(page, Keys.ESCAPE)
    wait(page, lambda: not find(page, "viewer").is_displayed())


def test_an_address_opens_an_image(browser, address):
    browser.get("about:blank")
    browser.get(f"{address}#image-2")
    wait(browser, lambda: find(browser, "v-title").text == IMAGE)
    browser.get(f"{address}#image-99")
    browser.refresh()
    assert not find(browser, "viewer").is_displayed()


def brightness(page):
    colour = page.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3


def test_themes(page):
    button = find(page, "theme")
    assert (button.text, brightness(page)) == ("Dark theme", 255)
    button.click()
    assert button.text == "Light theme"
    assert brightness(page) < 40
    button.click()
    assert (button.text, brightness(page)) == ("Dark theme", 255)
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    try:
        page.refresh()
        assert brightness(page) < 40
        assert find(page, "theme").text == "Light theme"
        find(page, "theme").click()
        assert brightness(page) == 255
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_sticks_out(page, width):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        open_image(page, 0)
        assert page.execute_script(
            "return document.getElementById('viewer').scrollWidth"
            " <= document.getElementById('viewer').clientWidth"
        )
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_without_views_there_is_no_gallery(browser, tmp_path):
    report_studies.make(tmp_path / "s", 2, views=False)
    browser.get_log("browser")
    browser.get(write_html_report(tmp_path / "s", tmp_path / "r.html").as_uri())
    assert len(cells(browser, "id")) == 10
    assert not browser.find_elements(By.CSS_SELECTOR, "#thumbs, #rows td a")
    assert browser.get_log("browser") == []
