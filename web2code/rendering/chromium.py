"""Which Chromium renders, and the flags that cut it off from everything."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import psutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chromium-headless-shell")

FLAGS = (
    # No name resolves and no address is reached, loopback included.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    # The same pixels on every machine that has the same fonts.
    "--disable-gpu",
    "--disable-lcd-text",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    # Frames are drawn with the page around them, not whenever a process of their own is ready.
    "--disable-site-isolation-trials",
    # Pictures are decoded before a frame is drawn, and an animated one stays at its first frame. Scripts are off in the
    # whole browser: switched off for the page alone, they still ran in a sandboxed frame with a process of its own.
    "--disable-checker-imaging",
    "--blink-settings=imageAnimationPolicy=2,scriptEnabled=false,mediaControlsEnabled=false",
)


@cache
def find_chromium() -> str:
    """Path of the Chromium on PATH, or else of Playwright's own.

    Raises:
        ValueError: there is none.
    """
    for name in NAMES:
        if path := shutil.which(name):
            return path
    browsers = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache" / "ms-playwright"))
    for pattern in ("chromium-*/chrome-linux*/chrome", "chromium-*/chrome-mac*/*.app/Contents/MacOS/*"):
        if found := sorted(browsers.glob(pattern)):
            return str(found[-1])
    raise ValueError(
        "no Chromium on PATH: install it with 'apt-get install chromium' or 'playwright install chromium' and run again"
    )


def alone(folder: Path) -> dict[str, str | float | bool]:
    """An environment in which Chromium finds no program to hand addresses to: a page may lead to `mailto:`.

    What stands for them is in `folder`.
    """
    os.symlink(shutil.which("false") or "/bin/false", folder / "xdg-open")
    return {**os.environ, "PATH": os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)])}


def folders_of(pid: int) -> list[Path]:
    """The temporary folders of a running Chromium: its profile, and where it listens for others with that profile."""
    option = "--user-data-dir="
    profile = next(Path(part.removeprefix(option)) for part in psutil.Process(pid).cmdline() if part.startswith(option))
    listening = (profile / "SingletonSocket").resolve().parent
    return [profile, listening] if listening.parent == profile.parent.resolve() else [profile]


@cache
def chromium_version() -> str:
    """What the browser says of itself: its version is part of what a rendering depends on."""
    output = subprocess.run([find_chromium(), "--version"], capture_output=True, text=True, timeout=60, check=True)
    return output.stdout.strip()
