#!/bin/bash
# Builds shapely-2.1.2-cp314-cp314-pyemscripten_2026_0_wasm32.whl for Pyodide 314.0.3 (CPython 3.14, ABI 2026_0).
#
#   sudo third_party/shapely/build.sh [OUTPUT_FOLDER]          (default: ./dist)
#
# Where everything comes from (registries only, nothing is installed system-wide):
#   toolchain  Debian trixie's emscripten 3.1.69 + clang-19/lld-19/binaryen, unpacked into a private root and used by chroot
#   GEOS       Debian trixie's source package geos 3.13.1 (the GEOS that PyPI's own shapely 2.1.2 wheels carry), orig tarball
#   CPython    header files of Debian sid's libpython3.14-dev; its pyconfig.h is rewritten from Pyodide's own sysconfig data
#   shapely    PyPI's sdist 2.1.2;  Cython 3.3.1 (PyPI, pure-Python wheel)
#   Pyodide    PyPI's open-webui 0.12.4 wheel carries the numpy 2.4.3 wasm wheel (numpy's headers), python_stdlib.zip
#              (the sysconfig data) and pyodide.asm.wasm (to check every import against)
#
# Needs: root (chroot, mknod), amd64 Debian bookworm or later with apt, python3 >= 3.10 with pip, tar, bzip2, xz; ~4 GB disk.
# Knobs: W (scratch folder), JOBS, PIP, OPEN_WEBUI_WHEEL and PYTHON_HEADERS_DEB (already downloaded files), KEEP=1,
#        TESTS=1 (leave shapely/tests in the wheel), ROOTFS (an already unpacked toolchain root, reused as it is)
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC
OUT=$(realpath -m "${1:-dist}")
W=$(realpath -m "${W:-/tmp/shapely-wasm.$$}")
JOBS=${JOBS:-2}
PIP=${PIP:-python3 -m pip}
TESTS=${TESTS:-0}
EXT=.cpython-314-wasm32-emscripten.so

SHA_SHAPELY=2ed4ecb28320a433db18a5bf029986aa8afcfd740745e78847e330d5d94922a9
SHA_CYTHON=61abc7feedd20dac6c4ff7ab3a30e17136a067b242ab9253e2b4a6d9a72c2b61
SHA_GEOS=df2c50503295f325e7c8d7b783aca8ba4773919cde984193850cf9e361dfd28c
SHA_NUMPY=0cad9c1b91f0082e4f959bc0e0bf5835a2efbba6ab3b1e9d1fe6e7e564cca98e   # as in Pyodide's own lock file
KNOWN_PYHDR_DEB=ce226a5a09bd3739123b95c5a41688ee3110651e6b4f9b22973a27c7be2f64fa  # libpython3.14-dev 3.14.10-1 (sid moves on: only a warning)
KNOWN_TOOLS="binaryen=120-4 clang-19=1:19.1.7-3+b1 cmake=3.31.6-2 emscripten=3.1.69+dfsg-3 lld-19=1:19.1.7-3+b1 "

say() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }
die() { echo "build.sh: $*" >&2; exit 1; }
sha_is() { echo "$2  $1" | sha256sum -c --quiet - || die "$1 is not the file this recipe was written for"; }
[ "$(id -u)" = 0 ] || die "run it as root (it uses chroot and mknod; it mounts nothing)"
[ "$(dpkg --print-architecture)" = amd64 ] || die "written for amd64"
[ ! -e "$W" ] || die "$W already exists"
mkdir -p "$W" "$OUT"
[ "${KEEP:-0}" = 1 ] || trap 'rm -rf --one-file-system "$W"' EXIT   # nothing is ever mounted below W

say "private apt"
A=$W/apt; mkdir -p "$A"/{lists/partial,cache/archives/partial}; : >"$A/status"
KEY=/usr/share/keyrings/debian-archive-keyring.gpg
MIRROR=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | grep -m1 '/debian/$')}   # the mirror this machine already uses
[ -n "$MIRROR" ] || die "no Debian mirror in apt's sources: set DEBIAN_MIRROR"
cat >"$A/sources.list" <<E
deb     [signed-by=$KEY] $MIRROR trixie main
deb-src [signed-by=$KEY] $MIRROR trixie main
E
[ -n "${PYTHON_HEADERS_DEB:-}" ] || echo "deb [signed-by=$KEY] $MIRROR sid main" >>"$A/sources.list"
printf 'Package: *\nPin: release n=trixie\nPin-Priority: 700\n\nPackage: *\nPin: release n=sid\nPin-Priority: 100\n' >"$A/prefs"
cat >"$A/apt.conf" <<E
Dir::Etc::sourcelist "$A/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "$A/prefs";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::Lists "$A/lists";
Dir::State::status "$A/status";
Dir::Cache "$A/cache";
Acquire::Languages "none";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
E
export APT_CONFIG=$A/apt.conf
apt-get -q update

R=${ROOTFS:-$W/root}
if [ -z "${ROOTFS:-}" ]; then
  say "toolchain root"
  apt-get -qq -y --download-only install base-files bash coreutils dash findutils grep sed gzip tar diffutils \
    python3-minimal python3 nodejs cmake ninja-build emscripten
  mkdir "$R"
  unpack() { dpkg-deb --fsys-tarfile "$1" | tar -x -C "$R" --keep-directory-symlink \
    --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' --exclude='./usr/share/emscripten/test/*'; }
  unpack "$A"/cache/archives/base-files_*.deb               # first: it carries the merged-/usr links
  for d in "$A"/cache/archives/*.deb; do case $d in */base-files_*) ;; *) unpack "$d" ;; esac; done
  [ -e "$R/usr/bin/sh" ] || ln -s dash "$R/usr/bin/sh"
  mknod -m 666 "$R/dev/null" c 1 3; mknod -m 666 "$R/dev/zero" c 1 5; mknod -m 666 "$R/dev/urandom" c 1 9; mknod -m 666 "$R/dev/random" c 1 8
  TOOLS=$(for d in "$A"/cache/archives/{binaryen,clang-19,cmake,emscripten,lld-19}_*.deb; do dpkg-deb -W --showformat='${Package}=${Version} ' "$d"; done)
  [ "$TOOLS" = "$KNOWN_TOOLS" ] || echo "WARNING: tool versions differ from the known ones, so the bytes may: $TOOLS"
  rm -f "$A"/cache/archives/*.deb
fi
in_root() { chroot "$R" /usr/bin/env -i HOME=/root PATH=/usr/bin:/bin LC_ALL=C TZ=UTC PYTHONHASHSEED=0 SOURCE_DATE_EPOCH=1577836800 "$@"; }
rm -rf "$R/build"; mkdir "$R/build"; K=$R/build           # always /build inside the root, so no path of this machine gets into the output

say "sources"
D=$W/dl; mkdir "$D"
(cd "$D" && apt-get -qq source --download-only geos)
sha_is "$D/geos_3.13.1.orig.tar.bz2" $SHA_GEOS
if [ -n "${PYTHON_HEADERS_DEB:-}" ]; then cp "$PYTHON_HEADERS_DEB" "$D/libpython3.14-dev.deb"
else (cd "$D" && apt-get -qq download libpython3.14-dev/sid && mv libpython3.14-dev_*.deb libpython3.14-dev.deb); fi
echo "$KNOWN_PYHDR_DEB  $D/libpython3.14-dev.deb" | sha256sum -c --quiet - 2>/dev/null ||
  echo "WARNING: not the libpython3.14-dev this recipe was written with, so the bytes may differ: $(dpkg-deb -W --showformat='${Version}' "$D/libpython3.14-dev.deb")"
env -u APT_CONFIG $PIP download -q --no-deps --no-binary shapely -d "$D" shapely==2.1.2
env -u APT_CONFIG $PIP download -q --no-deps --only-binary :all: --platform any --python-version 3.13 -d "$D" cython==3.3.1
sha_is "$D/shapely-2.1.2.tar.gz" $SHA_SHAPELY
sha_is "$D/cython-3.3.1-py3-none-any.whl" $SHA_CYTHON
[ -n "${OPEN_WEBUI_WHEEL:-}" ] || { env -u APT_CONFIG $PIP download -q --no-deps --only-binary :all: --python-version 3.11 -d "$D" open-webui==0.12.4; OPEN_WEBUI_WHEEL=$(echo "$D"/open_webui-0.12.4-*.whl); }
tar -xjf "$D/geos_3.13.1.orig.tar.bz2" -C "$K" --no-same-owner
tar -xzf "$D/shapely-2.1.2.tar.gz" -C "$K" --no-same-owner
# Wasm checks the signature of every indirect call; 2.1.2's GetNumPoints has one argument too many for its ufunc loop
# (harmless natively, a fatal trap here; shapely's pull request 1679 describes the pattern)
U=$K/shapely-2.1.2/src/ufuncs.c
[ "$(grep -c '^static int GetNumPoints(void\* context, void\* geom, int n) {$' "$U")" = 1 ] || die "GetNumPoints not as expected"
sed -i 's/^static int GetNumPoints(void\* context, void\* geom, int n) {$/static int GetNumPoints(void* context, void* geom) {/' "$U"
dpkg-deb -x "$D/libpython3.14-dev.deb" "$W/pydeb"
mkdir "$K/pyinc" "$K/np" "$K/cython" "$W/pyodide"
cp -r "$W/pydeb/usr/include/python3.14/." "$K/pyinc/"
python3 - "$OPEN_WEBUI_WHEEL" "$W/pyodide" <<'E'
import sys, zipfile
z = zipfile.ZipFile(sys.argv[1]); p = 'open_webui/frontend/pyodide/'
for n in ('python_stdlib.zip', 'pyodide.asm.wasm', 'numpy-2.4.3-cp314-cp314-pyemscripten_2026_0_wasm32.whl'):
    open(f'{sys.argv[2]}/{n}', 'wb').write(z.read(p + n))
E
sha_is "$W/pyodide/numpy-2.4.3-cp314-cp314-pyemscripten_2026_0_wasm32.whl" $SHA_NUMPY
python3 -m zipfile -e "$W"/pyodide/numpy-*.whl "$K/np"
python3 -m zipfile -e "$D/cython-3.3.1-py3-none-any.whl" "$K/cython"

say "pyconfig.h for wasm32, from Pyodide's own sysconfig data"
python3 - "$W/pydeb/usr/include/x86_64-linux-gnu/python3.14/pyconfig.h" "$W/pyodide/python_stdlib.zip" "$K/pyinc/pyconfig.h" <<'E'
import re, sys, zipfile
template, stdlib, out = sys.argv[1:]
ns = {}
exec(zipfile.ZipFile(stdlib).read('_sysconfigdata__emscripten_wasm32-emscripten.py').decode(), ns)
v = ns['build_time_vars']
lines = []
for l in open(template):
    m = re.match(r'\s*#\s*define\s+(\w+)(?:\s.*)?$', l) or re.match(r'/\*\s*#undef\s+(\w+)\s*\*/', l)
    n = m and m.group(1)
    if n == 'Py_PYCONFIG_H': l += '#define _GNU_SOURCE 1\n'        # sysconfig does not record names with a leading underscore
    elif n:
        x = v.get(n)
        l = f'/* #undef {n} */\n' if x in (None, 0, '') and not (x == 0 and n.startswith(('HAVE_DECL_', 'SIZEOF_'))) else f'#define {n} {x}\n'
    lines.append(l)
text = ''.join(lines)
for must in ('SIZEOF_VOID_P 4', 'SIZEOF_LONG 4', 'SIZEOF_SIZE_T 4', 'SIZEOF_TIME_T 8', 'SIZEOF_WCHAR_T 4', 'PYLONG_BITS_IN_DIGIT 30'):
    assert f'#define {must}\n' in text, must
assert not re.search(r'#define (Py_DEBUG|Py_GIL_DISABLED|Py_TRACE_REFS|WITH_PYMALLOC) ', text)
open(out, 'w').write(text)
E

cat >"$K/build-inner.sh" <<'E'
set -eu
EXT=$1 JOBS=$2
ABI="-fPIC -fwasm-exceptions -sSUPPORT_LONGJMP=wasm"     # legacy wasm EH (try/catch), as in the main module; keep clear of exnref
cd /build
echo "-- cython"
(cd shapely-2.1.2 && PYTHONPATH=/build/cython python3 -m cython -3 -X freethreading_compatible=True -I /build/np shapely/_geos.pyx shapely/_geometry_helpers.pyx)
echo "-- GEOS"
mkdir geos-build && cd geos-build
emcmake cmake -G Ninja ../geos-3.13.1 -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DBUILD_TESTING=OFF \
  -DBUILD_GEOSOP=OFF -DBUILD_BENCHMARKS=OFF -DBUILD_DOCUMENTATION=OFF \
  -DCMAKE_C_FLAGS="$ABI" -DCMAKE_CXX_FLAGS="$ABI" -DCMAKE_CXX_FLAGS_RELEASE="-O2 -DNDEBUG -g0" >cmake.log 2>&1 || { tail -40 cmake.log; exit 1; }
ninja -j"$JOBS" geos_c >ninja.log 2>&1 || { tail -60 ninja.log; exit 1; }
echo "-- shapely's objects"
mkdir /build/obj; cd /build/shapely-2.1.2
for f in src/*.c shapely/_geos.c shapely/_geometry_helpers.c; do
  emcc $ABI -O2 -g0 -fno-strict-overflow -fvisibility=hidden -DNDEBUG -DPY_CALL_TRAMPOLINE \
    -DGEOS_USE_ONLY_R_API -DNPY_NO_DEPRECATED_API=0 -DNPY_TARGET_VERSION=NPY_1_20_API_VERSION \
    -Isrc -I/build/np/numpy/_core/include -I/build/pyinc -I/build/geos-build/capi -I/build/geos-build/include -I/build/geos-3.13.1/include \
    -c "$f" -o "/build/obj/$(basename "$f" .c).o"
done
echo "-- link"
mkdir /build/out; cd /build/out; O=/build/obj
LINK="$ABI -O2 -g0 -sWASM_BIGINT -sSIDE_MODULE=2"
# One GEOS for all three extensions (geometries and their typeinfo cross between them), exporting only what they use
llvm-nm-19 -u $O/*.o >/build/undefined.txt
sed -n 's/^ *U \(GEOS[A-Za-z0-9_]*\)$/_\1/p' /build/undefined.txt | sort -u >/build/exports.txt      # (no awk here: alternatives were never set up)
[ "$(wc -l </build/exports.txt)" -gt 150 ]
em++ $LINK -sEXPORTED_FUNCTIONS=@/build/exports.txt -Wl,--whole-archive /build/geos-build/lib/libgeos_c.a -Wl,--no-whole-archive /build/geos-build/lib/libgeos.a -o libgeos_c.so
emcc $LINK -sEXPORTED_FUNCTIONS=_PyInit_lib $O/c_api.o $O/coords.o $O/geos.o $O/lib.o $O/pygeom.o $O/pygeos.o $O/strtree.o $O/ufuncs.o $O/vector.o libgeos_c.so -o "lib$EXT"
emcc $LINK -sEXPORTED_FUNCTIONS=_PyInit__geos $O/_geos.o libgeos_c.so -o "_geos$EXT"
emcc $LINK -sEXPORTED_FUNCTIONS=_PyInit__geometry_helpers $O/_geometry_helpers.o libgeos_c.so -o "_geometry_helpers$EXT"
E
say "compile"
in_root /bin/sh /build/build-inner.sh "$EXT" "$JOBS"

say "wheel"
cp "$W/pyodide/pyodide.asm.wasm" "$K/main.wasm"; mkdir "$K/dist"
# (with the root's own Python and zlib, so that the archive's bytes do not hang on this machine's)
in_root python3 - /build /build/dist /build/main.wasm "$EXT" "$TESTS" <<'E'
import base64, hashlib, os, sys, zipfile
K, OUT, MAIN, EXT, TESTS = sys.argv[1:]
TAG, VER = 'cp314-cp314-pyemscripten_2026_0_wasm32', '2.1.2'
def rleb(b, i):
    r = s = 0
    while True:
        c = b[i]; i += 1; r |= (c & 0x7f) << s; s += 7
        if not c & 0x80: return r, i
def leb(n):
    r = b''
    while True:
        c = n & 0x7f; n >>= 7; r += bytes([c | (0x80 if n else 0)])
        if not n: return r
def name(b, i):
    n, i = rleb(b, i); return b[i:i + n].decode(), i + n
def limits(b, i):
    f, i = rleb(b, i); _, i = rleb(b, i)
    return rleb(b, i)[1] if f & 1 else i
def symbols(b):
    imports, exports, i = set(), set(), 8
    while i < len(b):
        sid = b[i]; n, i = rleb(b, i + 1); e = i + n
        if sid == 2:
            c, j = rleb(b, i)
            for _ in range(c):
                m, j = name(b, j); f, j = name(b, j); k = b[j]; j += 1
                if k == 0: _, j = rleb(b, j)
                elif k == 1: j = limits(b, j + 1)
                elif k == 2: j = limits(b, j)
                elif k == 3: j += 2
                elif k == 4: _, j = rleb(b, j + 1)
                imports.add(f)
        elif sid == 7:
            c, j = rleb(b, i)
            for _ in range(c):
                f, j = name(b, j); _, j = rleb(b, j + 1); exports.add(f)
        i = e
    return imports, exports
def add_rpath(b, *paths):
    "WASM_DYLINK_RUNTIME_PATH subsection into the leading dylink.0 section: lld 19 has no -rpath for wasm yet, Pyodide's loader reads it"
    assert b[:9] == b'\0asm\1\0\0\0\0'
    n, i = rleb(b, 9); body = b[i:i + n]; assert body[:9] == b'\x08dylink.0'
    p = leb(len(paths)) + b''.join(leb(len(x)) + x.encode() for x in paths)
    body += b'\x05' + leb(len(p)) + p
    return b[:9] + leb(len(body)) + body + b[i + n:]
out = {f: open(f'{K}/out/{f}', 'rb').read() for f in os.listdir(f'{K}/out')}
main, geos = symbols(open(MAIN, 'rb').read())[1], symbols(out['libgeos_c.so'])[1]
for f, b in out.items():          # nothing may be left to be found missing at run time
    imp, exp = symbols(b)
    missing = imp - exp - main - {'__memory_base', '__table_base'} - (set() if f == 'libgeos_c.so' else geos)
    assert not missing, (f, sorted(missing))
files = {'shapely.libs/libgeos_c.so': out['libgeos_c.so']}
for m in ('lib', '_geos', '_geometry_helpers'): files[f'shapely/{m}{EXT}'] = add_rpath(out[m + EXT], '$ORIGIN/../shapely.libs')
src = f'{K}/shapely-{VER}'
for d, _, fs in os.walk(f'{src}/shapely'):
    for f in fs:
        p = os.path.relpath(os.path.join(d, f), src)
        if f.endswith(('.py', '.pxd')) and (TESTS == '1' or not (p.startswith('shapely/tests/') or p == 'shapely/conftest.py')):
            files[p] = open(f'{src}/{p}', 'rb').read()
di = f'shapely-{VER}.dist-info'
files[f'{di}/METADATA'] = open(f'{src}/PKG-INFO', 'rb').read()
files[f'{di}/licenses/LICENSE.txt'] = open(f'{src}/LICENSE.txt', 'rb').read()
files[f'{di}/licenses/CREDITS.txt'] = open(f'{src}/CREDITS.txt', 'rb').read()
files[f'{di}/licenses/LICENSE_GEOS'] = open(f'{K}/geos-3.13.1/COPYING', 'rb').read()     # LGPL-2.1: GEOS stays a separate shared library
files[f'{di}/top_level.txt'] = b'shapely\n'
files[f'{di}/WHEEL'] = f'Wheel-Version: 1.0\nGenerator: shapely-wasm-build\nRoot-Is-Purelib: false\nTag: {TAG}\n'.encode()
digest = lambda b: base64.urlsafe_b64encode(hashlib.sha256(b).digest()).rstrip(b'=').decode()
files[f'{di}/RECORD'] = (''.join(f'{n},sha256={digest(files[n])},{len(files[n])}\n' for n in sorted(files)) + f'{di}/RECORD,,\n').encode()
whl = f'{OUT}/shapely-{VER}-{TAG}.whl'
with zipfile.ZipFile(whl, 'w') as z:
    for n in sorted(files, key=lambda n: (n.startswith(di), n)):
        zi = zipfile.ZipInfo(n, (2020, 1, 1, 0, 0, 0)); zi.compress_type = zipfile.ZIP_DEFLATED; zi.create_system = 3
        zi.external_attr = (0o100755 if n.endswith('.so') else 0o100644) << 16
        z.writestr(zi, files[n], compresslevel=9)
for n in sorted(out): print(hashlib.sha256(out[n]).hexdigest(), len(out[n]), n)
print(hashlib.sha256(open(whl, 'rb').read()).hexdigest(), os.path.getsize(whl), os.path.basename(whl))
E
cp "$K"/dist/*.whl "$OUT/"
say "done: $(echo "$OUT"/shapely-*.whl)"
exit 0      # (bash reads a script as it goes: never edit this file while it runs)
