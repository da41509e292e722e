"""``make test-latest``: deprecations of other packages are shown, our own stay errors."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WARNING = {
    "shown": (("transformers.cache", "DeprecationWarning"), ("transformers.cache", "FutureWarning")),
    "fatal": (
        ("transformers.cache", "UserWarning"),
        ("omnisila.models.decoding", "DeprecationWarning"),
        ("omnisila.models.decoding", "FutureWarning"),
        ("tests.unit.test_pool", "PendingDeprecationWarning"),
    ),
}


def test_deprecations_in_other_packages_alone_are_shown(tmp_path: Path) -> None:
    tests = [
        f"def test_{ends}_{number}():\n    exec('import warnings; warnings.warn(\"old\", {kind})', "
        f"{{'__name__': {module!r}}})\n"
        for ends, warned in WARNING.items()
        for number, (module, kind) in enumerate(warned)
    ]
    (tmp_path / "test_it.py").write_text("\n".join(tests))
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "-rfE"]
    command += ["-p", "no:cacheprovider", "--show-deprecations", str(tmp_path / "test_it.py")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    failed = [line.partition("::")[2].split()[0] for line in ended.stdout.splitlines() if line.startswith("FAILED")]
    assert failed == [f"test_fatal_{number}" for number in range(4)], ended.stdout + ended.stderr
