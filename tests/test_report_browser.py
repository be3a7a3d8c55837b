"""The report in a real browser: Debian's Chromium without a network, judged by axe-core.

Needs the packages chromium and chromium-driver, and `npm ci --prefix tests/report` for axe-core; skipped without them.
"""

import base64
import json
import re
import shutil

import pytest

from support import PROJECT, script

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (requirements/dev.lock)")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
AXE = PROJECT / "tests" / "report" / "node_modules" / "axe-core" / "axe.min.js"
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="no axe-core: npm ci --prefix tests/report")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no Chromium: apt-get install chromium chromium-driver"
)
SIZES, SCHEMES = (1280, 390), ("light", "dark")


@pytest.fixture(scope="module")
def page(published_demo, tmp_path_factory):
    out = tmp_path_factory.mktemp("browser") / "report.html"
    done = script("report.py", "--from", published_demo, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    quiet = ("no-first-run", "disable-background-networking", "disable-component-update", "disable-sync", "disable-quic")
    for argument in ("headless", "no-sandbox", "disable-gpu", *quiet):
        options.add_argument(f"--{argument}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def open_page(browser, page):
    def run(width, scheme):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        browser.get(page.as_uri())
        return browser

    return run


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", SIZES)
def test_it_loads_without_a_network_a_request_or_a_complaint(open_page, page, width, scheme):
    open_page(width, scheme).get_log("performance")  # what was before
    browser = open_page(width, scheme)
    assert browser.title.startswith("Customer lifecycle, ")
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert asked == [page.as_uri()]
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", (1280, 768, 390, 320))
def test_nothing_sticks_out_of_the_page(open_page, width, scheme):
    browser = open_page(width, scheme)
    for _ in range(2):
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        browser.execute_script("document.querySelectorAll('details').forEach(node => node.open = true)")


def test_both_schemes_are_drawn_in_their_own_colours(open_page):
    backgrounds = [
        open_page(1280, scheme).execute_script("return getComputedStyle(document.body).backgroundColor") for scheme in SCHEMES
    ]
    light, dark = (sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) for colour in backgrounds)
    assert light > 600 and dark < 150


@needs_axe
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", SIZES)
def test_axe_finds_no_violation(open_page, width, scheme):
    browser = open_page(width, scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(node => node.open = true)")
    browser.execute_script(AXE.read_text())
    found = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    broken = [(rule["id"], [node["html"] for node in rule["nodes"][:3]]) for rule in found["violations"]]
    assert broken == []
    passed = {rule["id"]: len(rule["nodes"]) for rule in found["passes"]}
    assert passed["color-contrast"] > 500, "the contrast of the texts was looked at"
    assert {"document-title", "html-has-lang", "heading-order", "landmark-unique", "svg-img-alt"} <= passed.keys()


def luminance(colour):
    """Relative luminance of 'rgb(r, g, b)' (WCAG 2)."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_step_of_the_colour_ramp_can_be_read_and_told_from_the_next(open_page, scheme):
    """Text at 4.5 to 1 on all seven steps, even if the data do not use them all; and lightness alone orders them."""
    colours = open_page(1280, scheme).execute_script(
        """const cell = document.querySelector('#rfm-table td');
        return [0, 1, 2, 3, 4, 5, 6].map(step => {
            cell.className = 'q' + step;
            const style = getComputedStyle(cell);
            return [style.backgroundColor, style.color];
        })"""
    )
    lights = [[luminance(colour) for colour in pair] for pair in colours]
    for light in lights:
        assert (max(light) + 0.05) / (min(light) + 0.05) >= 4.5, colours
    ramp = [back for back, _ in lights]
    assert ramp == sorted(ramp, reverse=scheme == "light") and len(set(ramp)) == 7


def test_it_prints_light_and_whole(open_page):
    browser = open_page(1280, "dark")
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert pdf.startswith(b"%PDF-") and 4 <= pdf.count(b"/Type /Page\n") <= 16
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    ink, hidden = browser.execute_script(
        "return [getComputedStyle(document.body).color, getComputedStyle(document.querySelector('nav')).display]"
    )
    assert ink == "rgb(23, 33, 43)" and hidden == "none"
    # a browser keeps the print media that was set
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
