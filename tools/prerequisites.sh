#!/bin/sh
# Checks what must be on the machine before anything can be installed. Prints the Python to use.
set -eu

fail() {
  echo "error: $*" >&2
  exit 1
}

python=
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || fail "Python 3.11 or newer is needed, found $({ ${PYTHON:-python3} --version 2>&1 || echo none; } | head -n 1):" \
  "install it (Debian 12 and Ubuntu 24.04 have it as python3) or name one: make start PYTHON=/path/to/python3"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  fail "$python cannot make virtual environments: run \`sudo apt-get install -y python3-venv\` and try again"

command -v node >/dev/null || fail "Node.js 20 or newer is needed and no \`node\` was found: see https://nodejs.org/"
node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' ||
  fail "Node.js 20 or newer is needed, found $(node --version): see https://nodejs.org/"
command -v npm >/dev/null || fail "npm is needed, it comes with Node.js: on Debian run \`sudo apt-get install -y npm\`"

echo "$python"
