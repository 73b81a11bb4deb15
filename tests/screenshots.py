"""The picture of the report's first screen in docs/images/, as README.md shows it.

    python -m tests.screenshots [REPORT]     # the folder that holds index.html; by default report/

Needs Chromium on PATH.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.conftest import ROOT

IMAGE = ROOT / "docs" / "images" / "report.png"
COLOURS = 128  # of the palette: text and lines need few, and the file becomes a third


def main() -> None:
    """Writes the image."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "report"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto((folder / "index.html").resolve().as_uri())
        shot = page.screenshot()
        browser.close()
    IMAGE.parent.mkdir(parents=True, exist_ok=True)
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(IMAGE, optimize=True)
    print(IMAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
