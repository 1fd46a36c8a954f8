"""Which code a result is of."""

import subprocess
import sys
from pathlib import Path

import weaklink
from weaklink.evaluation.provenance import sources

ROOT = Path(weaklink.__file__).parent
RUN = "weaklink.evaluation.one_run"


def test_all_that_a_run_loads_is_named_and_what_only_serves_is_not() -> None:
    """Else a result would stay that of the present code after a change that moves its figures, or be thrown away for a change of the console."""
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, {RUN}; print(*(name for name in sys.modules if name.split('.')[0] == 'weaklink'))"],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    found = sources(RUN, ROOT)
    assert len(loaded) > 100
    assert set(loaded) <= set(found)
    assert not any(
        name.startswith(("weaklink.cli", "weaklink.console.app", "weaklink.stream.runner")) for name in found
    )
    assert found["weaklink.campaigns.cluster_loops"] == ROOT / "campaigns" / "cluster_loops.py"


def test_imports_of_functions_packages_and_names_are_followed(tmp_path: Path) -> None:
    """And what is no module of Weaklink is none."""
    root = tmp_path / "weaklink"
    files = {
        "__init__.py": "",
        "a.py": "import json\nfrom weaklink.b import thing\n",
        "b/__init__.py": "thing = 1\n",
        "b/c.py": "",
        "d.py": "def f():\n    from weaklink.b import c\n    import weaklink.e.f\n",
        "e/__init__.py": "from weaklink import a\n",
        "e/f.py": "",
        "unused.py": "",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    every = {"weaklink", "weaklink.a", "weaklink.b", "weaklink.b.c", "weaklink.d", "weaklink.e", "weaklink.e.f"}
    assert set(sources("weaklink.d", root)) == every
    assert set(sources("weaklink.a", root)) == {"weaklink", "weaklink.a", "weaklink.b"}
