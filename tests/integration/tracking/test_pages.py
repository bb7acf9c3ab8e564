"""MLflow's pages in a real browser: are the weights there for a person to compare?

Screenshots land in the folder of the test, or in ``CES_ML_SCREENSHOTS``: look at them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from ces_ml.datasets import make_event_history
from ces_ml.tracking import Tracker, open_store
from ces_ml.training import TrainingConfig, record, train
from ces_ml.weights import WeightSet

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
playwright.expect.set_options(timeout=120_000)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]

CONFIG = """
outcome: {task: conversion, event: subscription_started, horizon: 14d}
as_of: 14d after trial_started
counts:
  - {events: [login, demo_booked, support_ticket], window: 28d, half_life: 14d, transform: log1p}
evaluation: {ceiling: false}
"""
MODE = "workflowType=machine_learning"
EVENTS = ("login", "demo_booked", "support_ticket")


@dataclass
class Trained:
    """Three runs in a store: their ids and weight sets, and the pages that show them."""

    store: str
    runs: list[str]
    weight_sets: list[WeightSet]
    first_page: str = ""

    @property
    def base(self) -> str:
        return self.first_page.partition("/#")[0]

    @property
    def experiment(self) -> str:
        found = re.search(r"experiments/(\d+)/runs", self.first_page)
        assert found is not None
        return found[1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("pages")
    tracker = Tracker(folder / "mlflow.db", "pages")
    events = make_event_history(1500, seed=2).events
    done = Trained(tracker.store, [], [])
    for k, alpha in enumerate((1e-4, 1e-2, 1e-1)):
        body = yaml.safe_load(CONFIG) | {"name": f"trial {k}", "model": {"alpha": alpha}}
        result = train(TrainingConfig.parse(body), events)
        done.runs.append(record(result, tracker, register_as="trial").run_id)
        done.weight_sets.append(result.weight_set)
    tracker.promote(done.runs[1], "trial", "champion", reason="calm", override="of the test")
    return done


@pytest.fixture(scope="module")
def served(trained: Trained) -> Iterator[Trained]:
    """Start ``ces-ml ui`` in a process group of its own; what it prints first is the page."""
    port = _free_port()
    command = [sys.executable, "-m", "ces_ml.cli.main", "ui", "--no-open"]
    command += ["--store", trained.store, "--port", str(port)]
    pages = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert pages.stdout is not None
        trained.first_page = pages.stdout.readline().strip()
        assert trained.first_page.startswith(f"http://127.0.0.1:{port}/#/experiments/"), trained
        children = _processes_that_name(trained.store) - {pages.pid}
        assert children or not Path("/proc").is_dir()
        yield trained
        pages.send_signal(signal.SIGTERM)
        assert pages.wait(60) == 0
        assert not _processes_that_name(trained.store)
    finally:
        pages.kill()


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _processes_that_name(text: str) -> set[int]:
    """Ids of running processes with `text` in their command; none where there is no /proc."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if text.encode() in command:
            found.add(int(path.parent.name))
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"] if root else []
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any, served: Trained, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open a page as a browser that was never here before; see `picture` for what it saw."""
    context = browser.new_context(viewport={"width": 1600, "height": 1100})
    context.set_default_timeout(120_000)
    page = context.new_page()
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    folder = Path(os.environ.get("CES_ML_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def visit(path: str, name: str, *, sees: Callable[[Any], None]) -> Any:
        page.goto(path if path.startswith("http") else f"{served.base}/{path}")
        try:
            sees(page)
        finally:
            page.screenshot(path=folder / f"{name}.png")
        return page

    yield visit
    context.close()
    outside = {url for url in asked if not url.startswith((served.base, "data:", "blob:"))}
    assert not outside


def seen(page: Any, text: str | re.Pattern[str], **options: Any) -> None:
    """Wait until `text` stands in the page and a person can see it."""
    there = page.get_by_text(text, **options).first
    # At once, in the page: what is drawn anew between two steps of the driver would be lost.
    there.evaluate("element => element.scrollIntoView({block: 'center', inline: 'nearest'})")
    playwright.expect(there).to_be_visible()


#: Whether the text of an element stands where nothing hides it, and what stands in its line.
LINE_OF = """
(text) => {
  const middle = (box) => [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  const words = [...document.querySelectorAll('[role=grid] *, [role=treegrid] *')]
    .filter((element) => [...element.childNodes].some(
      (node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim()));
  const shown = words.filter((element) => {
    const top = document.elementFromPoint(...middle(element.getBoundingClientRect()));
    return top !== null && (top.contains(element) || element.contains(top));
  });
  const found = shown.find((element) => element.textContent.trim() === text);
  if (!found) return null;
  const height = (element) => middle(element.getBoundingClientRect())[1];
  return shown.filter((element) => Math.abs(height(element) - height(found)) < 8)
    .map((element) => element.textContent.trim());
}
"""
#: While a table moves, the mouse reaches none of its cells, and names trail behind values.
AT_REST = """
async () => {
  const moving = '.ReactVirtualized__Grid__innerScrollContainer[style*="pointer-events: none"]';
  do {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  } while (document.querySelector(moving));
}
"""


def point_beside(page: Any, cell: Any) -> None:
    """Move the mouse over the values of a table, to the right of a cell with a name."""
    box = cell.bounding_box()
    page.mouse.move(box["x"] + 400, box["y"] + box["height"] / 2)


def line_of(page: Any, text: str, *, right: int = 0, down: int = 0) -> list[str]:
    """Turn the mouse's wheel until `text` is in sight; return what is beside it.

    MLflow's tables draw only what is in sight: no row and no column is there before.
    """
    for _ in range(100):
        line = page.evaluate(LINE_OF, text)
        if line is not None:
            return list(line)
        page.mouse.wheel(right, down)
        page.evaluate(AT_REST)
        page.mouse.wheel(min(right, 1), min(down, 1))  # names go where values were one turn ago
        page.evaluate(AT_REST)
    raise AssertionError(f"{text!r} is nowhere in the table")


def test_the_first_page_is_the_experiment_with_its_three_runs(visit, served: Trained) -> None:
    def sees(page: Any) -> None:
        for k in range(3):
            seen(page, f"trial {k}", exact=True)
        seen(page, "roc_auc", exact=True)  # a column that MLflow does not show without the view
        seen(page, "Model registry")  # the mode for models, not the one for language models

    visit(served.first_page, "experiment", sees=sees)


def test_the_table_of_the_first_page_goes_on_with_the_weights(visit, served: Trained) -> None:
    def sees(page: Any) -> None:
        seen(page, "trial 0", exact=True)
        point_beside(page, page.get_by_text("trial 0", exact=True))
        for event in EVENTS:
            assert line_of(page, f"weight/{event}", right=60)
            for weight_set in served.weight_sets:
                value = page.get_by_text(repr(weight_set.weights[event])[:8]).first
                playwright.expect(value).to_be_visible()

    visit(served.first_page, "columns", sees=sees)


def test_the_view_opens_with_a_section_of_weights(visit, served: Trained) -> None:
    def sees(page: Any) -> None:
        for event in EVENTS:
            seen(page, f"weight/{event}", exact=True)
        seen(page, re.compile("^Metrics"))
        seen(page, re.compile("^Weights"))

    visit(f"{served.first_page}&compareRunsMode=CHART", "weights", sees=sees)


def test_the_charts_of_the_experiment_hold_one_for_every_weight(visit, served: Trained) -> None:
    url = f"#/experiments/{served.experiment}/runs?{MODE}&compareRunsMode=CHART"
    visit(url, "charts", sees=lambda page: seen(page, re.compile("^weight$")))


def test_the_page_of_a_run_shows_its_weights_to_the_last_digit(visit, served: Trained) -> None:
    def sees(page: Any) -> None:
        for event in EVENTS:
            seen(page, f"weight/{event}", exact=True)
            seen(page, repr(served.weight_sets[0].weights[event])[:8])

    visit(f"#/experiments/{served.experiment}/runs/{served.runs[0]}?{MODE}", "run", sees=sees)


def test_comparing_runs_shows_their_weights_side_by_side(visit, served: Trained) -> None:
    runs, experiments = (quote(json.dumps(x)) for x in (served.runs, [served.experiment]))

    def sees(page: Any) -> None:
        seen(page, "average_precision", exact=True)
        names = page.get_by_role("grid")
        point_beside(page, names.get_by_text("average_precision", exact=True).first)
        for event in EVENTS:
            beside = line_of(page, f"weight/{event}", down=150)
            values = [f"{w.weights[event]:.3f}".rstrip("0") for w in served.weight_sets]
            assert beside == [f"weight/{event}", *values]

    visit(f"#/compare-runs?runs={runs}&experiments={experiments}&{MODE}", "compare", sees=sees)


def test_the_registry_shows_the_champion_and_why_it_is_one(visit, served: Trained) -> None:
    def sees(page: Any) -> None:
        for text in ("Version 1", "Version 2", "Version 3", "champion", "promoted_because"):
            seen(page, text)

    visit(f"#/models/trial?{MODE}", "registry", sees=sees)


def test_two_versions_of_the_registry_are_compared_by_their_weights(visit, served: Trained) -> None:
    def sees(page: Any) -> None:
        for version in ("Version 1", "Version 2"):
            row = page.get_by_role("row").filter(has_text=version)
            row.get_by_role("checkbox").check(force=True)  # seen once the mouse is over it
        page.get_by_test_id("compareButton").click()
        seen(page, "Comparing 2 Versions")
        for event in EVENTS:
            seen(page, f"weight/{event}", exact=True)
            for weight_set in served.weight_sets[:2]:
                seen(page, f"{weight_set.weights[event]:.3f}".rstrip("0"), exact=True)

    visit(f"#/models/trial?{MODE}", "versions", sees=sees)


def test_the_server_of_the_pages_changes_nothing_in_the_store(served: Trained) -> None:
    store = open_store(served.store)
    experiment = store.client.get_experiment(served.experiment)
    assert experiment.artifact_location.startswith("file:")
