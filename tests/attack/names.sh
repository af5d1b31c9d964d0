#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Names of 60,000 bytes, with control characters, with terminal escapes and with invalid UTF-8: of functions in the name section,
# of imports, of exports. What is said of them has no raw control character in it; refusals and traps stay short.
# Would fail: with a name printed by %s, the terminal of who looks at it does what the module says.
. tests/programs/lib.sh

# said NAME MOST: what lies in $T/out has at most so many bytes, and is harmless to a terminal
said() {
	local bytes bad
	bytes=$(stat -c %s "$T/out")
	bad=$(LC_ALL=C grep -acP '[\x00-\x08\x0b-\x1f\x7f]' "$T/out")
	check "$1: says something, at most $2 bytes" "$bytes bytes" [ "$bytes" -gt 0 -a "$bytes" -le "$2" ]
	check "$1: no control character" "$(LC_ALL=C grep -aP '[\x00-\x08\x0b-\x1f\x7f]' "$T/out" | head -n 1 | od -c | head -n 3 | tr '\n' ' ')" [ "$bad" = 0 ]
	check "$1: it is UTF-8" "$(head -c 200 "$T/out" | od -c | head -n 3 | tr '\n' ' ')" iconv -f UTF-8 -t UTF-8 -o /dev/null "$T/out"
}
check() {
	local name=$1 reason=$2
	shift 2
	if "$@" 2>/dev/null; then ok "$name"; else not_ok "$name" "$reason"; fi
}
cat >"$T/make.py" <<'E_PY'
import sys
def leb(n):
    out = b''
    while n > 127:
        out += bytes([n & 127 | 128]); n >>= 7
    return out + bytes([n])
def vec(b): return leb(len(b)) + b
def section(i, b): return bytes([i]) + vec(b)
where, kind, path = sys.argv[1:]
name = {'long': b'n' * 60000, 'long-control': b'\x1b\x07' * 30000, 'wide': '\u00e9'.encode() * 30000, 'control': b'a\x1b[31m\r\n\x07\x00b\x7f\xc2\x9b2J',
        'invalid': b'a\xff\xfe\xc0\x80\xed\xa0\x80b'}[kind]
body = section(1, leb(1) + b'\x60\x00\x00')
if where == 'import':
    body += section(2, leb(1) + vec(b'penstock') + vec(name) + b'\x00\x00')
if where == 'module':
    body += section(2, leb(1) + vec(name) + vec(b'x') + b'\x00\x00')
if where not in ('import', 'module'):
    exports = [b'_start'] + ([name] if where == 'export' else [])
    body += section(3, leb(1) + b'\x00')
    body += section(5, b'\x01\x00\x01')
    body += section(7, leb(len(exports) + 1) + b''.join(vec(e) + b'\x00\x00' for e in exports) + vec(b'memory') + b'\x02\x00')
    body += section(10, leb(1) + vec(b'\x00\x00\x0b'))
if where == 'names':
    body += section(0, vec(b'name') + b'\x01' + vec(leb(1) + b'\x00' + vec(name)))
if where == 'custom':
    body += section(0, vec(name) + b'x')
open(path, 'wb').write(b'\0asm\1\0\0\0' + body)
E_PY
for where in import module export names custom; do
	for kind in long long-control wide control invalid; do
		python3 "$T/make.py" $where $kind "$T/m.wasm" || not_ok "$where $kind" "not made"
		timeout -s KILL 10 "$P" run "$T/m.wasm" >"$T/out" 2>&1 </dev/null
		rc=$?
		case $where:$kind in
		import:* | module:* | *:invalid) want='65|134' ;;
		*) want=134 ;;
		esac
		check "$where $kind: refused or trapped as said" "exit code $rc, not $want: $(head -c 200 "$T/out")" grep -qxE "$want" <<<"$rc"
		said "$where $kind, run" 8192
		timeout -s KILL 10 "$P" inspect "$T/m.wasm" >"$T/out" 2>&1 </dev/null
		rc=$?
		check "$where $kind: inspect ends by itself" "exit code $rc" [ $rc -lt 128 ]
		said "$where $kind, inspect" 500000 # a list of all names, whole, some twice; a byte becomes at most four
	done
done
