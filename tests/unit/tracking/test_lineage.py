from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ces_ml.tracking import git_tags

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="asks the git program")


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "churn.yaml").write_text("name: churn\n")
    (tmp_path / "configs").mkdir()
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_a_clean_folder_is_known_by_its_commit(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    expected = {"git.commit": commit, "mlflow.source.git.commit": commit, "git.dirty": "false"}
    assert git_tags(repository) == expected
    assert git_tags(repository / "configs") == expected


def test_a_changed_file_makes_it_dirty_and_an_unknown_one_does_not(repository: Path) -> None:
    (repository / "mlflow.db").write_text("new")
    assert git_tags(repository)["git.dirty"] == "false"
    (repository / "churn.yaml").write_text("name: other\n")
    assert git_tags(repository)["git.dirty"] == "true"


def test_a_folder_without_a_commit_has_no_tags(tmp_path: Path) -> None:
    assert git_tags(tmp_path / "missing") == {}
    git(tmp_path, "init", "-q")
    assert git_tags(tmp_path) == {}


def test_a_machine_without_git_has_no_tags(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert git_tags(repository) == {}


def test_a_hook_s_own_repository_is_not_taken_for_the_folder_s(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    assert git_tags(elsewhere) == {}


def test_a_program_that_the_repository_names_is_not_run(repository: Path) -> None:
    trap = repository / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch '{repository}/sprung'\n")
    trap.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(trap))
    assert git_tags(repository)["git.dirty"] == "false"
    assert not (repository / "sprung").exists()
    git(repository, "status")  # the trap works: without our care git runs it
    assert (repository / "sprung").exists()
