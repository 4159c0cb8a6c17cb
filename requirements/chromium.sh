#!/bin/sh
# Finds Chromium, or installs it: by apt where root, by Playwright elsewhere. $1 is the environment's bin folder.
set -eu
if "$1/python" -c 'from web2code.rendering.chromium import find_chromium; find_chromium()' 2>/dev/null; then
    exit 0
fi
echo "installing Chromium (once)"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-liberation fonts-dejavu-core >/dev/null
else
    "$1/playwright" install chromium
fi
