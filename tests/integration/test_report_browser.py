"""Both pages in a real browser: nothing is asked of the network, the filter and the ratings work, output is inert.

Needs Chromium (Debian's package) and axe-core, which npm fetches once into .cache/; what is missing is named where a
test is skipped for it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from relearn.evaluation import attention, blind, ratings
from relearn.records import Prediction
from relearn.report import rating
from relearn.report.analysis import analyse
from relearn.report.page import Material, render
from tests.conftest import ROOT
from tests.integration.conftest import Clone
from tests.integration.test_reruns import ran
from tests.unit.report.material import HOSTILE, material, predictions

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

AXE = "4.11.0"
SEED = 1222
PAIRS = [("base", "2b"), ("2b", "2c"), ("base", "2c")]
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on PATH; apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's source, from npm."""
    folder = ROOT / ".cache" / "axe"
    package = folder / f"axe-core-{AXE}.tgz"
    if not package.is_file():
        if shutil.which("npm") is None:
            pytest.skip("no npm on PATH; apt-get install npm")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "pack", f"axe-core@{AXE}", "--silent"], cwd=folder, check=True, capture_output=True, timeout=120
        )
    with tarfile.open(package) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


class Watched:
    """A page, and everything it said, asked for or opened."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message) or dialog.dismiss())  # type: ignore[func-returns-value]

    def open(self, file: Path) -> Page:
        self.page.goto(file.as_uri())
        return self.page

    def quiet(self, file: Path) -> None:
        assert self.said == []
        assert set(self.asked) <= {file.as_uri()}


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    context = browser.new_context(offline=True, accept_downloads=True, viewport={"width": 1200, "height": 900})
    yield Watched(context)
    context.close()


def page_file(folder: Path, source: Material) -> Path:
    file = folder / "index.html"
    file.write_text(render(source, analyse(source.intervals, source.probes, source.words)), encoding="utf-8")
    return file


def rating_file(folder: Path, given: dict[str, list[Prediction]], per_task: int = 2) -> Path:
    file = folder / "rate.html"
    tasks = list(dict.fromkeys(row.task for row in given["base"] if row.task != "probe"))
    pairs = rating.choose_pairs(given, PAIRS, tasks, SEED, per_task=1)
    items = rating.mix_checks(rating.choose(given, tasks, SEED, per_task), pairs, SEED)
    file.write_text(rating.render(items), encoding="utf-8")
    return file


def test_the_page_is_quiet_and_its_filter_works(watched: Watched, tmp_path: Path) -> None:
    file = page_file(tmp_path, material())
    page = watched.open(file)
    shown = page.locator(".probe:visible")
    assert shown.count() == 3
    page.get_by_label("Which").select_option("gone")
    assert shown.count() == 1
    assert shown.locator("h3").inner_text() == "poem"
    assert page.locator("#shown").inner_text() == "1 of 3 shown"
    page.get_by_label("Which").select_option("back")
    assert shown.locator("h3").inner_text() == "scene"
    page.get_by_label("Kind").select_option("song")
    assert shown.count() == 0
    page.get_by_label("Which").select_option("")
    assert shown.locator("h3").inner_text() == "song"
    watched.quiet(file)


def test_without_javascript_every_probe_stands_there(browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file(tmp_path, material()).as_uri())
    assert page.locator(".probe:visible").count() == 3
    assert not page.locator("#filter").is_visible()
    context.close()


def test_hostile_output_does_nothing(watched: Watched, tmp_path: Path) -> None:
    file = page_file(tmp_path, material(hostile=True))
    page = watched.open(file)
    page.wait_for_timeout(200)
    assert page.evaluate("window.pwned") is None
    assert page.locator("body").is_visible()
    assert page.locator("img, iframe, a[href^='data:']").count() == 0
    text = page.locator(".probe pre").first.inner_text()
    assert "<script>window.pwned = 1</script>" in text
    assert "‮" not in text
    # Text that runs from right to left stays inside its own block.
    assert page.locator(".probe pre").first.evaluate("e => getComputedStyle(e).unicodeBidi") in ("isolate", "plaintext")
    watched.quiet(file)


def test_hostile_output_does_nothing_on_the_rating_page(watched: Watched, tmp_path: Path) -> None:
    file = rating_file(tmp_path, predictions(hostile=True))
    page = watched.open(file)
    page.wait_for_timeout(200)
    assert page.evaluate("window.pwned") is None
    assert "<script>window.pwned = 1</script>" in page.locator("#prompt").inner_text()
    assert page.locator("img, iframe, #answers a, #prompt a").count() == 0
    watched.quiet(file)


def test_an_injected_script_is_stopped_by_the_policy(watched: Watched, tmp_path: Path) -> None:
    """Even if escaping failed somewhere, no script but the page's own runs."""
    file = page_file(tmp_path, material())
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("</main>", "<script>window.pwned = 1</script></main>"), encoding="utf-8")
    page = watched.open(file)
    assert page.evaluate("window.pwned") is None
    assert any("Content Security Policy" in said for said in watched.said)


def rate(page: Page, helpful: int, correct: int) -> None:
    """Scores every answer of the item shown, or chooses the first; does what an attention check says."""
    texts = page.locator("#answers pre").all_inner_texts()
    asked = [number for number, text in enumerate(texts) if text.startswith("This is not an answer")]
    if page.locator("#choice fieldset").count():
        page.locator(f'input[name="better"][value="{("first", "second")[asked[0] if asked else 0]}"]').check()
        return
    for number, letter in enumerate("ABC"):
        wanted = re.findall(r"\d", texts[number]) if number in asked else [helpful, correct]
        page.locator(f'input[name="{letter}-helpfulness"][value="{wanted[0]}"]').check()
        page.locator(f'input[name="{letter}-correctness"][value="{wanted[1]}"]').check()


def test_ratings_survive_a_reload_and_reach_the_evaluation(watched: Watched, tmp_path: Path) -> None:
    given = predictions()
    file = rating_file(tmp_path, given)
    page = watched.open(file)
    page.get_by_label("Your name or initials").fill('Ada, "A"')
    for _ in range(3):
        rate(page, 4, 2)
        page.get_by_role("button", name="Next").click()
    # the renderer hands what it stores to the browser without waiting for it, and nobody reloads in the same instant
    page.wait_for_timeout(1000)
    page.reload()
    name = page.get_by_label("Your name or initials").input_value()
    progress, state = page.locator("#progress").inner_text(), page.locator("#state").inner_text()
    assert (name, progress, state) == (
        'Ada, "A"',
        "Instruction 4 of 13; 3 finished",
        "3 of 13 instructions are finished.",
    )
    for number in range(10):
        rate(page, 5, 1)
        if number < 9:
            page.get_by_role("button", name="Next").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    saved = tmp_path / "ratings" / download.value.suggested_filename
    saved.parent.mkdir()
    download.value.save_as(saved)
    assert saved.name == "ratings-Ada-A-.csv"
    given_ratings = ratings.read(saved.parent, blind.names(given, SEED), attention.list_checks(SEED))
    found = given_ratings.ratings
    assert given_ratings.inattentive == set()
    assert len(found) == 18
    assert {rated.rater for rated in found} == {'Ada, "A"'}
    assert sorted({rated.model for rated in found}) == ["2b", "2c", "base"]
    assert {(rated.helpfulness, rated.correctness) for rated in found} == {(4, 2), (5, 1)}
    assert len(given_ratings.preferences) == 3
    assert {one.prefers for one in given_ratings.preferences} == {-1}  # the first was chosen each time
    assert {one.model for one in given_ratings.preferences} <= {"2b", "2c", "base"}
    assert set(watched.asked) <= {file.as_uri()} | {url for url in watched.asked if url.startswith("blob:")}
    assert watched.said == []


@pytest.mark.slow
def test_ten_rated_items_run_only_the_evaluation_again(watched: Watched, run_clone: Clone) -> None:
    """The page that a run left, rated by two people; then `dvc repro`, as docs/experiments.md says."""
    page = watched.open(run_clone.folder / "report" / "rate.html")
    before = (run_clone.folder / "report" / "table_3a.md").read_text(encoding="utf-8")
    assert "human" not in before
    for rater in ("Ada", "Ben"):
        page.evaluate("localStorage.clear()")
        page.reload()
        page.get_by_label("Your name or initials").fill(rater)
        for number in range(10):
            rate(page, 1 + number % 5, 1 + (number + (rater == "Ben")) % 5)
            page.get_by_role("button", name="Next").click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Save as CSV").click()
        download.value.save_as(run_clone.folder / "data" / "ratings" / download.value.suggested_filename)
    assert ran(run_clone.run("dvc", "repro").stdout) == ["eval_3a", "report"]
    table = (run_clone.folder / "report" / "table_3a.md").read_text(encoding="utf-8")
    assert "human" in table
    assert "α" in table
    assert "α" in (run_clone.folder / "report" / "index.html").read_text(encoding="utf-8")
    assert ran(run_clone.run("dvc", "repro").stdout) == []


def test_a_rater_without_a_name_is_asked_for_one(watched: Watched, tmp_path: Path) -> None:
    page = watched.open(rating_file(tmp_path, predictions()))
    rate(page, 3, 3)
    page.get_by_role("button", name="Save as CSV").click()
    assert "name or initials first" in page.locator("#state").inner_text()
    assert page.evaluate("document.activeElement.id") == "rater"


def test_rating_works_by_keyboard_alone(watched: Watched, tmp_path: Path) -> None:
    page = watched.open(rating_file(tmp_path, predictions()))
    page.get_by_label("Your name or initials").focus()
    page.keyboard.type("K")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "A-helpfulness":
            break
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.querySelector('input[name=A-helpfulness]:checked').value") == "2"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_axe_finds_nothing_serious_and_nothing_is_cut_off(
    browser: Browser, axe: str, tmp_path: Path, scheme: str, width: int
) -> None:
    for file in (page_file(tmp_path, material(hostile=True)), rating_file(tmp_path, predictions())):
        context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(file.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        grave = [
            f"{problem['id']}: {problem['nodes'][0]['html'][:200]}"
            for problem in found["violations"]
            if problem["impact"] in ("serious", "critical")
        ]
        assert grave == [], file.name
        context.close()


def test_the_printed_page_is_black_on_white_with_every_probe_open(browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(page_file(tmp_path, material()).as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert not page.locator("nav").is_visible()
    assert page.pdf()[:5] == b"%PDF-"
    context.close()


def test_hostile_is_hostile() -> None:
    """The attack in the fixture would work where nothing stood against it."""
    assert "<script>" in HOSTILE
    assert "\u202e" in HOSTILE
