"""Screenshots of the report's pages for docs/images/: phone and desktop width, light and dark.

    python -m tests.screenshots     # after dvc repro

Needs Chromium on PATH. The pages are shown as they are in report/.
"""

from __future__ import annotations

import shutil

from playwright.sync_api import Page, sync_playwright

from tests.conftest import ROOT

SIZES = {"desktop": (1200, 1250), "phone": (390, 844)}
IMAGES = ROOT / "docs" / "images"


def take(page: Page, name: str, anchor: str | None) -> None:
    """What the window shows, from the anchor on."""
    page.evaluate("anchor => document.getElementById(anchor || 'main').scrollIntoView()", anchor)
    if anchor is None:
        page.evaluate("window.scrollTo(0, 0)")
    page.screenshot(path=IMAGES / f"{name}.png")
    print(f"docs/images/{name}.png")


def main() -> None:
    """Writes the images."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,  # type: ignore[arg-type]
                )
                page = context.new_page()
                page.goto((ROOT / "report" / "index.html").as_uri())
                take(page, f"report-{size}-{scheme}", None)
                if size == "desktop" and scheme == "light":
                    take(page, "report-figures", "trade")
                    take(page, "report-probes", "probes")
                page.goto((ROOT / "report" / "rate.html").as_uri())
                if (size, scheme) in (("desktop", "light"), ("phone", "dark")):
                    take(page, f"rate-{size}-{scheme}", None)
                context.close()
        browser.close()


if __name__ == "__main__":
    main()
