"""The report in a real browser."""

import re

import pytest

from dmg_tf.report.run_page import write_run_report
from dmg_tf.studies.runs import load_runs
from dmg_tf.studies.sweep.page import write_sweep_page
from tests.demo.test_browser import LUMINANCE
from tests.report.runs import write_run

pytestmark = pytest.mark.browser
# Everything with text of its own: its contrast to what is behind it (WCAG),
# which is mixed where cells are shaded.
CONTRASTS = """() => {
  const parts = (c) => c.match(/[0-9.]+/g).map(Number);
  const light = (c) => c.map((v) => v / 255).map(
    (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    const [r, g, b, alpha = 1] = parts(getComputedStyle(e).backgroundColor);
    if (alpha === 1) return [r, g, b];
    const under = behind(e.parentElement);
    return [r, g, b].map((v, i) => alpha * v + (1 - alpha) * under[i]);
  };
  return [...document.body.querySelectorAll("*")].filter(
    (e) => e.checkVisibility() && [...e.childNodes].some(
      (n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim()))
    .map((e) => {
      const style = getComputedStyle(e);
      const own = e instanceof SVGElement ? style.fill : style.color;
      const [a, b] = [light(parts(own).slice(0, 3)), light(behind(e))];
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML];
    });
}"""
LONG = tuple(f"{name}_{'long' * 12}" for name in "abcde")


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    """Reports of a plain run, of one with heads, and of one that is large."""
    root = tmp_path_factory.mktemp("runs")
    write_run(root / "plain", images=90)
    write_run(root / "heads", method="multi_headed", epochs=2)
    classes = tuple(f"<b>class_{i}_{'x' * 30}</b>" for i in range(345))
    classes = tuple(name.replace("/", "|") for name in classes)
    write_run(root / "large", LONG, classes, "t" * 60, epochs=50, images=690)
    names = ("plain", "heads", "large")
    urls = {n: write_run_report(root / n / "run").as_uri() for n in names}
    return {**urls, "sweep": sweep(root / "sweep").as_uri()}


def sweep(folder):
    """The report of a sweep with two methods, two targets and two seeds."""
    for target in ("a", "t" * 40):
        for method in ("aggregate", "dmg"):
            for seed in (0, 1):
                write_run(
                    folder,
                    ("b", "c"),
                    target=target,
                    method=method,
                    images=60,
                    seed=seed,
                    name=f"{target} {method}#{seed}",
                )
    runs, _ = load_runs(folder)
    return write_sweep_page(runs, folder, missing=("late",))


@pytest.fixture
def open_page(browser):
    pages, requests, complaints = [], [], []

    def open_(url, **options):
        page = browser.new_context(**options).new_page()
        page.on("request", lambda r: requests.append(r.url))
        page.on("console", lambda m: complaints.append(m.text))
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.goto(url)
        pages.append(page)
        return page

    yield open_
    asked = [r for r in requests if not r.startswith("data:")]
    assert asked == [page.url for page in pages]
    assert complaints == []
    for page in pages:
        page.context.close()


@pytest.mark.parametrize("name", ["plain", "heads", "large", "sweep"])
def test_every_image_loads(open_page, urls, name):
    page = open_page(urls[name])
    widths = page.evaluate("[...document.images].map((i) => i.naturalWidth)")
    assert len(widths) >= 12 and min(widths) > 0
    assert page.locator("figure > svg").count() >= 2
    for svg in page.locator("figure > svg").all():
        box = svg.bounding_box()
        assert box["width"] > 200 and box["height"] > 100


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["plain", "sweep"])
def test_light_and_dark_can_be_read(open_page, urls, name, scheme):
    page = open_page(urls[name], color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open=1)")
    for light in page.evaluate(LUMINANCE):
        assert light < 0.2 if scheme == "dark" else light > 0.9
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 100
    for contrast, html in contrasts:
        assert contrast >= 4.5, html


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("name", ["plain", "large", "sweep"])
def test_nothing_sticks_out(open_page, urls, width, name):
    page = open_page(urls[name], viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_paper_nothing_is_cut(open_page, urls):
    page = open_page(urls["plain"], viewport={"width": 718, "height": 1047})
    page.emulate_media(media="print")
    # A scroll bar can't be moved there, nor a fold opened.
    cut = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter("
        "e => e.getBoundingClientRect().right > 718 || "
        "e.scrollWidth > e.clientWidth + 1 && e.scrollWidth > 718).length"
    )
    assert cut == 0 and page.locator(".scroll").count() > 8
    assert page.locator("details table").bounding_box()["height"] > 20
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    pdf = page.pdf(format="A4")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 4


def test_it_needs_no_scripts(open_page, urls):
    page = open_page(urls["plain"], java_script_enabled=False)
    assert page.locator("h1").inner_text() == "dmg on resnet18, target t"
    assert page.locator(".card").count() >= 12


def test_a_sweep_leads_to_its_runs(open_page, urls):
    page = open_page(urls["sweep"])
    links = page.locator("a").evaluate_all("found => found.map(a => a.href)")
    folder = urls["sweep"].rpartition("/")[0]
    assert len(links) == 8 + 2  # all runs, and one for each target
    assert f"{folder}/a%20dmg%231/report.html" in links
