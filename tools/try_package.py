"""Uses a built wheel and a source distribution as a stranger would.

`python -m tools.try_package dist` (or `make package`) installs each into an environment of its own,
with the versions of dist/constraints.txt, and there, in another folder, migrates, loads and looks.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from importlib.metadata import files
from pathlib import Path
from subprocess import PIPE

ROOT = Path(__file__).parents[1]
OF_THE_CHECKOUT = (".ci/", ".pre-commit-config.yaml")
"""What a source distribution does without."""
TYPED = "import visitpay, pathlib; pathlib.Path(visitpay.__file__).with_name('py.typed').stat()"


def main(dist: Path) -> None:
    """Try what lies in a folder; ends the process with 1 where something is lacking."""
    (wheel,), (source,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    if lacking := set(tracked()) - set(packed(source)):
        sys.exit(f"{source.name} lacks {', '.join(sorted(lacking))}")
    if copied := [str(each) for each in files("visitpay") or () if "versions" in each.parts]:
        sys.exit(f"the editable install holds copies: {', '.join(copied)}")
    for package in (wheel, source):
        with tempfile.TemporaryDirectory(prefix="visitpay-") as folder:
            use(install(package, dist / "constraints.txt", Path(folder)), Path(folder))
        print(f"{package.name}: migrated, loaded, looked")


def tracked() -> Iterable[str]:
    """Return the files of the checkout."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return (name for name in listed.stdout.splitlines() if not name.startswith(OF_THE_CHECKOUT))


def packed(source: Path) -> Iterable[str]:
    """Return the files of a source distribution, without its first folder."""
    with tarfile.open(source) as archive:
        return [name.partition("/")[2] for name in archive.getnames()]


def install(package: Path, constraints: Path, folder: Path) -> Path:
    """Install a package into a new environment; return the folder of its programs."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    programs = folder / "venv" / "bin"
    command = [programs / "pip", "install", "--quiet", "--disable-pip-version-check", package]
    # The environment, unlike an option, is minded by the build of the source distribution, too.
    pinned = os.environ | {"PIP_CONSTRAINT": str(constraints.resolve())}
    subprocess.run([str(each) for each in command], env=pinned, check=True)
    return programs


def use(programs: Path, folder: Path) -> None:
    """Migrate a new database, load a feed of two days, and see that the books hold it."""
    database = {"VISITPAY_DATABASE_URL": f"sqlite:///{folder}/visitpay.db"}

    def run(program: str, *arguments: object) -> str:
        command = [str(programs / program), *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, env=database, stdout=PIPE, text=True, check=True)
        return str(done.stdout)

    run("python", "-c", TYPED)
    run("visitpay", "sample", "landing", "--visits", 50, "--days", 2)
    run("visitpay", "migrate")
    run("visitpay", "load", "landing")
    status = json.loads(run("visitpay", "status", "landing", "--json"))
    loaded = sum(entity["loaded"] for entity in status["entities"])
    if (loaded, status["files_waiting"]) != (6, []):
        sys.exit(f"{loaded} files are loaded, {status['files_waiting']} wait")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
