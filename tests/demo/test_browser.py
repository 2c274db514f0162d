"""The demo's page in a real browser, with real pictures and a real model."""

import base64
import csv
import re
import threading

import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.data.images.decoding import decode
from dmg_tf.data.images.transforms import normalize, resize
from dmg_tf.data.shapes.dataset import render
from dmg_tf.demo.predictor import DemoPredictor
from dmg_tf.demo.samples import Sample
from dmg_tf.demo.server import DemoServer
from dmg_tf.predict.predictor import load_predictor
from tests.conftest import PACS
from tests.export.helpers import CLASSES, DOMAINS, SIZE, make, write_run

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser
expect = playwright.expect
LIMIT = 200_000
RULES = ["pred_ens", *(f"mask/{domain}" for domain in DOMAINS)]

# What a file manager does when a file is dropped on the page.
DROP = """([contents, name]) => {
  const bytes = Uint8Array.from(atob(contents), (c) => c.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  for (const type of ["dragenter", "dragover", "drop"])
    document.querySelector("#drop").dispatchEvent(
      new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
}"""
PASTE = DROP[: DROP.index("  for (")] + (
    """  document.dispatchEvent(new ClipboardEvent("paste",
    { clipboardData: dataTransfer, bubbles: true }));
}"""
)


@pytest.fixture(scope="module")
def model(with_stub):
    return make("dmg", "stub")


@pytest.fixture(scope="module")
def url(model, tmp_path_factory):
    run_dir = write_run(model, tmp_path_factory.mktemp("runs") / "run")
    with DemoServer("127.0.0.1", 0, LIMIT) as server:
        server.predictor = DemoPredictor(load_predictor(run_dir))
        path = tmp_path_factory.mktemp("samples") / "fish.png"
        render("sketch", "fish", 3).save(path)
        server.offer([Sample(str(path), "image/png", "fish, sketch")])
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


class Watch:
    """A page, what it asked for, and what it complained of."""

    def __init__(self, browser, url, **options):
        context = browser.new_context(**options)
        context.set_default_timeout(15_000)
        self.page = context.new_page()
        self.requests, self.complaints = [], []
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.on("console", lambda m: self.complaints.append(m.text))
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.goto(url)
        expect(self.page.locator("#limits")).to_contain_text("up to 0.2 MB")


@pytest.fixture
def open_page(browser, url):
    watches = []

    def open_(**options):
        watches.append(Watch(browser, url, **options))
        return watches[-1].page

    yield open_
    for watch in watches:
        assert len(watch.requests) >= 4
        for asked in watch.requests:
            assert asked.startswith((url, f"blob:{url}")), asked
        # Chromium itself notes each refused request.
        noted = "Failed to load resource"
        assert not [c for c in watch.complaints if noted not in c]
        watch.page.context.close()


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A picture of the built-in data, as a file."""
    path = tmp_path_factory.mktemp("pictures") / "Stérn <b>1.png"
    render("sketch", "star", 7).save(path)
    return path


def answers(model, path):
    """The model's own probabilities, float [4, C], by rule."""
    image = decode(path.read_bytes(), SIZE)
    image = resize(image, SIZE)[tf.newaxis]
    found = model.logits_by_rule(normalize(image, model.mean, model.std), RULES)
    return np.stack([tf.nn.softmax(found[rule])[0] for rule in RULES])


def percent(text):
    """What the page writes of a probability, as bounds."""
    number = float(re.search(r"\d+", text)[0]) / 100
    if "<" in text:
        return 0.0, number
    if ">" in text:
        return number, 1.0
    return number - 0.0051, number + 0.0051


def assert_bars(bars, probs):
    """Checks text and length of the bars of one prediction."""
    rows = bars.locator("li").all()
    shown = {row.locator(".label").inner_text(): row for row in rows}
    assert sorted(shown) == sorted(CLASSES)
    for name, p in zip(CLASSES, probs, strict=True):
        low, high = percent(shown[name].locator(".value").inner_text())
        assert low <= p <= high, name
        fill = shown[name].locator(".fill")
        width = float(fill.evaluate("e => parseFloat(e.style.width)"))
        assert width == pytest.approx(100 * p, abs=0.01)
    top = bars.locator("li.top .label").all_inner_texts()
    assert top == [CLASSES[probs.argmax()]]


def assert_shows(page, model, path):
    """Checks everything on the page against the model's own answer."""
    probs = answers(model, path)
    expect(page.locator("#result")).to_be_visible()
    expect(page.locator("#name")).to_contain_text(f"{path.name}, ")
    expect(page.locator("#error")).to_be_hidden()
    assert page.inner_text("#class") == CLASSES[probs[0].argmax()]
    low, high = percent(page.inner_text("#probability"))
    assert low <= probs[0].max() <= high
    assert_bars(page.locator("#classes"), probs[0])
    in_order = page.locator("#classes .label").all_inner_texts()
    assert in_order == [CLASSES[i] for i in np.argsort(-probs[0])]
    cards = page.locator(".card").all()
    assert len(cards) == len(DOMAINS)
    for card, domain, of_mask in zip(cards, DOMAINS, probs[1:], strict=True):
        assert card.locator("h3").inner_text() == domain
        name = CLASSES[of_mask.argmax()]
        assert card.locator(".says").inner_text().startswith(f"says {name},")
        assert_bars(card, of_mask)
        assert card.locator(".label").all_inner_texts() == in_order
    same = len({row.argmax() for row in probs[1:]}) == 1
    sentence = page.inner_text("#sentence")
    assert ("All 3 masks say" in sentence) == same
    assert ("agree" in page.inner_text("#level")) == same


def test_a_chosen_picture(open_page, model, picture):
    page = open_page()
    assert page.locator("#result").is_hidden()
    assert "5 classes apart, learned from a, b and c." in (
        page.inner_text("#model")
    )
    with page.expect_file_chooser() as chooser:
        page.click("#choose")
    chooser.value.set_files(picture)
    assert_shows(page, model, picture)
    expect(page.locator("#preview")).to_be_visible()
    assert page.locator("#preview").evaluate("e => e.naturalWidth") == 64
    assert page.inner_text("#name") == f"{picture.name}, 64 × 64 px"


@pytest.mark.parametrize("gesture", [DROP, PASTE], ids=["drop", "paste"])
def test_a_dropped_and_a_pasted_picture(open_page, model, picture, gesture):
    page = open_page()
    contents = base64.b64encode(picture.read_bytes()).decode()
    page.evaluate(gesture, [contents, picture.name])
    assert_shows(page, model, picture)


@pytest.mark.data
def test_a_photo(open_page, model):
    path = sorted((PACS / "photo" / "dog").iterdir())[0]
    page = open_page()
    page.set_input_files("#file", path)
    assert_shows(page, model, path)


def test_by_keyboard_alone(open_page, model, picture):
    page = open_page()
    # Chromium is told to hand choosers over before the first key, not at Enter,
    # which can be faster.
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "choose"
        outline = "getComputedStyle(document.activeElement).outlineWidth"
        assert page.evaluate(outline) == "3px"
        page.keyboard.press("Enter")
    chooser.value.set_files(picture)
    assert_shows(page, model, picture)


def test_what_is_no_picture(open_page, model, picture, tmp_path):
    page = open_page()
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    error = page.locator("#error")
    page.set_input_files("#file", text)
    expect(error).to_contain_text("this is no picture; JPEG, PNG, BMP, GIF")
    assert page.locator("#result").is_hidden()
    # A picture makes up for it, and what is no picture takes it away again.
    page.set_input_files("#file", picture)
    assert_shows(page, model, picture)
    large = tmp_path / "large.png"
    large.write_bytes(bytes(LIMIT + 1))
    page.set_input_files("#file", large)
    expect(error).to_have_text(
        "the file is too large; at most 0.2 MB are taken"
    )
    assert page.locator("#result").is_hidden()
    page.evaluate(
        "document.dispatchEvent(new ClipboardEvent('paste', "
        "{clipboardData: new DataTransfer(), bubbles: true}))"
    )
    expect(error).to_have_text("there is no picture to paste")


def test_a_picture_that_browsers_do_not_know(open_page, tmp_path):
    render("photo", "mug", 1).save(tmp_path / "mug.tiff")
    page = open_page()
    page.set_input_files("#file", tmp_path / "mug.tiff")
    expect(page.locator("#unseen")).to_be_visible()
    expect(page.locator("#class")).not_to_be_empty()


def test_the_last_of_many_pictures_wins(open_page, model, tmp_path):
    page = open_page()
    paths = [tmp_path / f"{index}.png" for index in range(6)]
    for index, path in enumerate(paths):
        render("photo", "mug", index).save(path)
        page.set_input_files("#file", path)
    assert_shows(page, model, paths[-1])


LUMINANCE = """() => {
  const rgb = (e) => getComputedStyle(e).backgroundColor.match(/[0-9.]+/g);
  return [document.body, document.querySelector(".panel")].map(
    (e) => rgb(e).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 765);
}"""
# Everything with text of its own: its contrast to what is behind it (WCAG).
CONTRASTS = """() => {
  const parts = (c) => c.match(/[0-9.]+/g).map(Number);
  const light = (c) => parts(c).slice(0, 3).map((v) => v / 255).map(
    (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    const c = getComputedStyle(e).backgroundColor;
    return parts(c)[3] === 0 ? behind(e.parentElement) : c;
  };
  return [...document.body.querySelectorAll("*")].filter(
    (e) => e.checkVisibility() && [...e.childNodes].some(
      (n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim()))
    .map((e) => {
      const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read(open_page, picture, scheme):
    page = open_page(color_scheme=scheme)
    page.set_input_files("#file", picture)
    expect(page.locator(".card")).to_have_count(3)
    expect(page.locator("#result.waiting")).to_have_count(0)
    for light in page.evaluate(LUMINANCE):
        assert light < 0.2 if scheme == "dark" else light > 0.9
    for level in ("agree", "waver", "unsure", "disagree"):
        page.evaluate(
            "level => agreement.className = `agreement ${level}`", level
        )
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 30
        for contrast, html in contrasts:
            assert contrast >= 4.5, html


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_sticks_out(open_page, picture, width):
    page = open_page(viewport={"width": width, "height": 800})
    page.set_input_files("#file", picture)
    expect(page.locator(".card")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_many_classes_with_long_names(open_page, model, picture):
    page = open_page(viewport={"width": 390, "height": 800})
    names = [f"a class with a very_long_name_{'x' * 40}_{i}" for i in range(99)]
    probs = dict(zip(names, [0.9] + [0.1 / 98] * 98, strict=True))
    one = {
        "class_name": names[0],
        "probability": 0.9,
        "probabilities": probs,
    }
    agreement = {"level": "agree", "title": "All", "text": "<img src=x> All."}
    parts = [{"domain": domain * 60, **one} for domain in "abc"]
    page.evaluate(
        "show",
        {**one, "per_domain": parts, "agreement": agreement},
    )
    assert page.locator("#classes li").count() == 10
    page.click("#more")
    assert page.locator("#classes li").count() == 99
    assert page.inner_text("#more") == "Show fewer"
    assert page.inner_text("#sentence") == "<img src=x> All."
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_several_pictures_and_their_table(open_page, model, tmp_path):
    paths = [tmp_path / f"{name}.png" for name in ("a", "=b", 'c",')]
    for i, path in enumerate(paths):
        render("photo", "mug", i).save(path)
    (tmp_path / "notes.txt").write_text("no picture")
    page = open_page()
    page.set_input_files("#file", [*paths, tmp_path / "notes.txt"])
    expect(page.locator("#progress")).to_have_text("4 pictures")
    names = page.locator("#rows th").all_inner_texts()
    assert names == ["a.png", "=b.png", 'c",.png', "notes.txt"]
    assert "this is no picture" in page.inner_text("#rows tr:nth-child(4)")
    assert_shows(page, model, paths[0])
    page.click("#rows tr:nth-child(3) button")
    assert_shows(page, model, paths[2])
    with page.expect_download() as download:
        page.click("#csv")
    with open(download.value.path(), newline="") as file:
        head, *rows = csv.reader(file)
    parts = [
        f"mask/{d}/{of}" for d in DOMAINS for of in ("class", "probability")
    ]
    assert head == [
        *("path", "class", "probability", *parts),
        *("votes", "agreement", "error"),
    ]
    assert [row[0] for row in rows] == ["a.png", "'=b.png", *names[2:]]
    for row, path in zip(rows[:3], paths, strict=True):
        probs = answers(model, path)
        assert row[1] == CLASSES[probs[0].argmax()] and row[-1] == ""
        assert float(row[2]) == pytest.approx(probs[0].max(), abs=1e-5)
    # One picture is shown alone again.
    page.set_input_files("#file", paths[1])
    assert_shows(page, model, paths[1])
    expect(page.locator("#many")).to_be_hidden()


def test_a_sample(open_page):
    page = open_page()
    expect(page.locator("#samples img")).to_have_attribute(
        "alt", "fish, sketch"
    )
    page.click("#samples button")
    expect(page.locator("#name")).to_have_text("fish, sketch, 64 × 64 px")
    expect(page.locator("#class")).not_to_be_empty()


def test_where_each_mask_looks(open_page, picture):
    page = open_page(viewport={"width": 390, "height": 800})
    page.set_input_files("#file", picture)
    expect(page.locator(".card")).to_have_count(3)
    assert page.locator("#maps figure").count() == 0
    page.click("#look")
    expect(page.locator("#maps canvas")).to_have_count(3)
    assert page.locator("#maps figcaption").all_inner_texts() == [*DOMAINS]
    alpha = page.evaluate(
        """[...document.querySelectorAll("#maps canvas")].map((c) => Math.max(
        ...c.getContext("2d").getImageData(0, 0, c.width, c.height).data.filter(
        (_, i) => i % 4 === 3)))"""
    )
    assert max(alpha) == 190
    found = page.locator("#maps canvas").first
    assert "most at the " in found.get_attribute("aria-label")
    assert "8 × 8 places" in page.inner_text("#looks-note")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # The next picture comes with its maps.
    page.set_input_files("#file", picture)
    expect(page.locator("#maps canvas")).to_have_count(3)


def test_a_server_that_went_away(open_page, picture):
    page = open_page()
    page.route("**/predict", lambda route: route.abort())
    page.set_input_files("#file", picture)
    expect(page.locator("#error")).to_contain_text("still running?")
