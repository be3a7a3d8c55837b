"""The report in a real browser: Debian's Chromium without a network, judged by axe-core.

Needs the packages chromium and chromium-driver, and `npm ci --prefix tests/report` for axe-core; skipped without them.
"""

import base64
import json
import re
import shutil
import subprocess

import pytest

from reported import measured
from support import PROJECT, script

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (requirements/dev.lock)")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
AXE = PROJECT / "tests" / "report" / "node_modules" / "axe-core" / "axe.min.js"
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="no axe-core: npm ci --prefix tests/report")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no Chromium: apt-get install chromium chromium-driver"
)
SIZES, SCHEMES = (1280, 390), ("light", "dark")
FONTS = ("DejaVu Sans", "Liberation Sans")  # a wide and a narrow one: what a Linux desktop and a server have
A4 = (694, 1024)  # what is left of the page within its margins, in pixels


@pytest.fixture(scope="module")
def page(published_demo, tmp_path_factory):
    """The report of the demo with measured campaigns, which has every section and column."""
    folder = tmp_path_factory.mktemp("browser")
    out = folder / "report.html"
    done = script("report.py", "--from", measured(published_demo, folder / "customer_lifecycle.duckdb"), "--out", out)
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


def in_font(browser, font):
    if font not in subprocess.run(["fc-list", ":", "family"], capture_output=True, text=True).stdout:
        pytest.skip(f"{font} is not installed")
    browser.execute_script(
        """const style = document.createElement('style');
        style.textContent = `body { font-family: "${arguments[0]}" !important; }`;
        document.head.append(style);
        document.querySelectorAll('details').forEach(node => node.open = true);""",
        font,
    )


CUT = """
const found = [], say = (what, node) => found.push(what + ': ' + node.textContent.trim().slice(0, 60));
const lines = (text, from, to) => {
    const range = document.createRange();
    range.setStart(text, from); range.setEnd(text, to);
    return [...range.getClientRects()].filter(box => box.width > 0);
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
    const text = texts.currentNode, node = text.parentElement;
    if (!text.data.trim() || !node.checkVisibility() || node.closest('style, title, svg, .unseen')) continue;
    const inner = node.closest('section.plain') ? node.closest('.tile, .card, section') : node.closest('section, main, body');
    const box = inner.getBoundingClientRect(), style = getComputedStyle(inner);
    const left = box.left + parseFloat(style.paddingLeft) - 1, right = box.right - parseFloat(style.paddingRight) + 1;
    for (const place of lines(text, 0, text.length))
        if (place.left < left || place.right > right) say('outside', node);
    for (const word of text.data.matchAll(/[\\p{L}\\p{N}_,.%]+/gu))
        if (new Set(lines(text, word.index, word.index + word[0].length).map(line => Math.round(line.top))).size > 1)
            say('broken word ' + word[0], node);
}
for (const node of document.querySelectorAll('.scroll, .tile, td, th, .plot, .spark'))
    if (node.checkVisibility() && node.scrollWidth > node.clientWidth + 1 && !node.matches('.plot, .spark')) say('cut', node);
const apart = (nodes, room) => {
    const boxes = nodes.flatMap(node => {
        const range = document.createRange();
        range.selectNodeContents(node);
        return [...range.getClientRects()].filter(box => box.width > 0).map(box => [node, box]);
    });
    boxes.forEach(([one, a], index) => boxes.slice(index + 1).forEach(([other, b]) => {
        if (one !== other && a.left < b.right + room && b.left < a.right + room && a.top < b.bottom - 1 && b.top < a.bottom - 1)
            found.push('on each other: ' + one.textContent + ' | ' + other.textContent);
    }));
};
for (const head of document.querySelectorAll('thead tr')) if (head.checkVisibility()) apart([...head.cells], 3);
for (const plot of document.querySelectorAll('.plot, .spark')) apart([...plot.querySelectorAll('.y, .end, .mark, .ticks > span')], 0);
for (const side of document.querySelectorAll('.sankey .side')) apart([...side.children], 0);
return [...new Set(found)];
"""


@pytest.mark.parametrize("font", FONTS)
@pytest.mark.parametrize("width", (1280, 1920))
def test_nothing_is_cut_broken_or_on_each_other(open_page, width, font):
    """No table wider than its place, no text outside its section, no word in two lines, no label on another."""
    browser = open_page(width, "light")
    in_font(browser, font)
    assert browser.execute_script(CUT) == []
    # and it would be found
    browser.execute_script("document.querySelector('#rfm-table small').parentElement.style.cssText = 'width: 20px; max-width: 20px; overflow-wrap: anywhere'")
    browser.execute_script("document.querySelector('#stages-table').style.width = '1500px'")
    found = " ".join(browser.execute_script(CUT))
    assert "cut: " in found and "outside: " in found


@pytest.mark.parametrize("font", FONTS)
def test_the_touchpoints_fit_one_screen(open_page, font):
    browser = open_page(1280, "light")
    in_font(browser, font)
    assert browser.execute_script("return document.querySelector('#touchpoints').offsetHeight") <= 900


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


@pytest.mark.parametrize("font", FONTS)
def test_it_prints_light_and_whole(open_page, font):
    """No table or chart is parted, and no heading stands apart from what it heads."""
    browser = open_page(1280, "dark")
    in_font(browser, font)
    browser.execute_script("document.querySelectorAll('details').forEach(node => node.open = false)")
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert pdf.startswith(b"%PDF-") and 8 <= pdf.count(b"/Type /Page\n") <= 24
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [dark]})
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": A4[0], "height": A4[1], "deviceScaleFactor": 1, "mobile": False}
    )
    ink, hidden = browser.execute_script(
        "return [getComputedStyle(document.body).color, getComputedStyle(document.querySelector('nav')).display]"
    )
    assert ink == "rgb(23, 33, 43)" and hidden == "none"
    parted, apart, wide = browser.execute_script(
        """const seen = selector => [...document.querySelectorAll(selector)].filter(node => node.checkVisibility());
        const say = node => node.id || node.textContent.slice(0, 40);
        return [
            seen('table, figure').filter(node => getComputedStyle(node).breakInside !== 'avoid' || node.offsetHeight > arguments[0]).map(say),
            seen('h2, h3, .lede').filter(node => getComputedStyle(node).breakAfter !== 'avoid' || (node.matches('.lede')
                && getComputedStyle(node).breakInside !== 'avoid')).map(say),
            seen('table').filter(node => node.offsetWidth > document.documentElement.clientWidth).map(say)]""",
        A4[1],
    )
    assert (parted, apart, wide) == ([], [], [])
    # a browser keeps the print media that was set
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
