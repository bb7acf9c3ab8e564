"""The JavaScript module and the card in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from ces_ml.exporters import render
from ces_ml.report import weight_card_page
from ces_ml.weights import WeightSet

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    program = next(path for path in found if path)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        page.heard = []
        page.on("pageerror", lambda error: page.heard.append(str(error)))
        page.on("dialog", lambda dialog: page.heard.append(dialog.message) or dialog.dismiss())
        yield page
        browser.close()


def test_the_module_checks_itself_inside_a_script_element(page: Any, hostile: WeightSet) -> None:
    source = render(hostile, "javascript")
    last = 'window.found = [selfCheck(), scoreEvents([], "2024-01-01").band];'
    page.set_content(f'<script type="module">{source}\n{last}</script>')
    assert page.evaluate("window.found") == [22, hostile.bands[0].name]
    assert page.heard == []


def test_the_card_runs_nothing_and_fits_its_width(page: Any, hostile: WeightSet) -> None:
    page.set_viewport_size({"width": 900, "height": 1200})
    page.set_content(weight_card_page(hostile))
    assert page.title().startswith("Weight card: </script>")
    assert page.evaluate("document.scripts.length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 900
    assert page.heard == []
