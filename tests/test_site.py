"""The documentation builds without a warning, needs no network to read, and has every page in its nav."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from weaklink.reference import PAGES

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; mkdocs in strict mode takes every warning for an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert (run.returncode, run.stdout + run.stderr) == (0, "")
    return folder


def test_every_page_is_built_and_in_the_nav(site: Path) -> None:
    """Those of docs/, those made from the code, and the changelog."""
    docs = ROOT / "docs"
    wanted = {path.relative_to(docs).with_suffix(".html").as_posix() for path in docs.rglob("*.md")}
    wanted |= {f"reference/{name}.html" for name in PAGES} | {"CHANGELOG.html"}
    index = (site / "index.html").read_text(encoding="utf-8")
    linked = set(re.findall(r'<a href="([^"#]+\.html)" class="md-nav__link', index)) | {"index.html"}
    assert wanted <= linked
    assert all((site / path).exists() for path in wanted)


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    """Scripts, styles, fonts and pictures are all in the folder."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:script|img|iframe)[^>]* src="?(https?:[^">]+)', text)
        fetched += re.findall(r'<link[^>]*rel="?(?:stylesheet|preconnect|icon)"?[^>]*href="?(https?:[^">]+)', text)
        fetched += re.findall(r'<link[^>]*href="?(https?:[^">]+)"?[^>]*rel="?(?:stylesheet|preconnect|icon)', text)
        assert fetched == [], page
