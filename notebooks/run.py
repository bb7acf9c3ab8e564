"""Run every notebook from top to bottom, in a folder of its own; fail where a cell fails."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

try:
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
except ImportError:
    sys.exit("The notebooks need the development tools: run `make notebooks`.")


def main() -> int:
    """Run the notebooks beside this file and return the exit code."""
    failed = 0
    for path in sorted(Path(__file__).parent.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}})
            try:
                client.execute()
            except CellExecutionError as error:
                failed += 1
                print(f"{path.name}: FAILED\n{error}", file=sys.stderr)
                continue
        print(f"{path.name}: {sum(c.cell_type == 'code' for c in notebook.cells)} cells ran")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
