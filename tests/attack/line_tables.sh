#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A hostile .debug_line through the compiler and a trap: a real module's line table with bytes flipped, cut, and the fuzzer's kept
# seeds in its place. The trap is the same trap each time, and what is said of it stays short and without raw control characters.
# Would fail: with lines that are believed (a file's index over the end), the trap becomes a crash of who reports it.
. tests/programs/lib.sh

echo 'int x; int main(void) { if (!x) __builtin_trap(); return 0; }' >"$T/t.c"
clang-19 --target=wasm32-wasi -O0 -g "$T/t.c" -o "$T/t.wasm" || { not_ok build "clang refuses it"; exit 1; }
cat >"$T/make.py" <<'E_PY'
import random, sys
data, out, kind = open(sys.argv[1], 'rb').read(), sys.argv[2], sys.argv[3]
def leb(n):
    o = b''
    while n > 127:
        o += bytes([n & 127 | 128]); n >>= 7
    return o + bytes([n])
def read(at):
    n = shift = 0
    while True:
        b = data[at]; n |= (b & 127) << shift; shift += 7; at += 1
        if b < 128: return n, at
at, result = 8, data[:8]
while at < len(data):
    n, body = read(at + 1)
    part = data[body:body + n]
    if data[at] == 0 and part[1:12] == b'.debug_line':
        table = bytearray(part[12:])
        if kind.isdigit():
            r = random.Random(int(kind))
            for _ in range(1 + int(kind) % 8): table[r.randrange(len(table))] = r.choice([0, 1, 127, 128, 255, r.randrange(256)])
            if int(kind) % 5 == 0: table = table[:r.randrange(len(table))]
        else: table = open(kind, 'rb').read()
        part = part[:12] + bytes(table)
    result += data[at:at + 1] + leb(len(part)) + part
    at = body + n
open(out, 'wb').write(result)
E_PY
bad='' n=0
for kind in {1..16} tests/fuzz/corpus/dwarf_line/*; do
	python3 "$T/make.py" "$T/t.wasm" "$T/m.wasm" "$kind" && ! cmp -s "$T/t.wasm" "$T/m.wasm" || bad+=" $kind: not made"
	timeout -s KILL 10 "$P" run "$T/m.wasm" >"$T/out" 2>&1 </dev/null
	rc=$?
	n=$((n + 1))
	[ $rc = 134 ] && grep -q 'trap: unreachable' "$T/out" || bad+=" $kind: exit code $rc, $(head -c 100 "$T/out")"
	[ "$(stat -c %s "$T/out")" -le 8192 ] || bad+=" $kind: $(stat -c %s "$T/out") bytes"
	! LC_ALL=C grep -qaP '[\x00-\x08\x0b-\x1f\x7f]' "$T/out" || bad+=" $kind: a control character"
done
if [ -z "$bad" ]; then ok "$n line tables"; else not_ok "$n line tables" "$bad"; fi
"$P" run "$T/t.wasm" >"$T/out" 2>&1 </dev/null
if grep -q 't\.c:1' "$T/out"; then ok "the honest one says the line"; else not_ok "the honest one says the line" "$(head -c 200 "$T/out")"; fi
