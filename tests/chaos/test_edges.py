"""The build with a switch, by which workers die or freeze at an edge of a commit."""

import signal
import subprocess
import sys
from pathlib import Path

from chaos import edges

ROOT = Path(edges.__file__).parents[1]


def test_the_switch_strikes_once_at_the_edge_that_it_is_set_to() -> None:
    """A process of its own: it dies at the second of three, and says so."""
    code = "from chaos.edges import Switch; s = Switch(2, 9); s.passed(); print('one', flush=True); s.passed(); print('two')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (run.returncode, run.stdout.split()) == (-signal.SIGKILL, ["one"])
    assert '"event": "strike"' in run.stderr


def test_the_product_has_no_switch() -> None:
    """Nothing of the laboratory is imported by the package that is shipped."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "services").rglob("*.py")]
    assert not [text for text in sources if "import chaos" in text or "from chaos" in text]
