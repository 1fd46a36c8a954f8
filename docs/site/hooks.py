"""What mkdocs does beyond its own: reference pages from the code, the changelog, and a nav that takes pages as they come.

Every Markdown file below docs/ is in the nav: where mkdocs.yml puts it, else under Decisions or More.
"""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from weaklink.reference import PAGES

ROOT = Path(__file__).resolve().parents[2]


def generated() -> dict[str, str]:
    """Pages that are not files below docs/: path -> Markdown."""
    pages = {f"reference/{name}.md": make() for name, make in PAGES.items()}
    return pages | {"CHANGELOG.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")}


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages, and lay out the nav."""
    for path, text in generated().items():
        files.append(File.generated(config, path, content=text))
    present = {file.src_uri for file in files.documentation_pages()}
    nav = config["nav"]
    named = paths_in(nav)
    decisions = sorted((path for path in present - named if path.startswith("decisions/")), reverse=True)
    more = sorted(path for path in present - named if not path.startswith("decisions/"))
    config["nav"] = nav + ([{"Decisions": decisions}] if decisions else []) + ([{"More": more}] if more else [])
    return files


def paths_in(nav: list[Any]) -> set[str]:
    """Every page that the nav names."""
    found: set[str] = set()
    for entry in nav:
        below = entry if isinstance(entry, str) else next(iter(entry.values()))
        found |= {below} if isinstance(below, str) else paths_in(below)
    return found
