#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A new version of a large function takes what has not changed from the compile of the one before, when the operator wants that.
. tests/e2e/lib.sh

# large FILE ANSWER: forty functions, one after the other, straight on; the twentieth makes the difference
large() {
	awk -v answer="$2" 'BEGIN {
		print "#include <penstock.h>\n#define F __attribute__((noinline)) static"
		for (f = 0; f < 40; f++) {
			printf "F unsigned f%d(unsigned s)\n{\n", f
			for (i = 0; i < 650; i++)
				printf "s = (s ^ 0x%xu) * 0x%xu;\n", 0x10000000 + f * 70001 + i * 1009, 0x20000001 + f * 30011 * 2 + i * 2026
			print f == 20 ? "return s | 1 ? " answer " : s;\n}" : "return s;\n}"
		}
		print "PENSTOCK_ON_EVENT int on_event(void)\n{\nunsigned char said[2] = { 0, 10 };\nvolatile unsigned s = 1;"
		for (f = 0; f < 40; f++)
			printf f == 20 ? "said[0] = (unsigned char)f%d(s);\n" : "s = f%d(s);\n", f
		print "return penstock_emit(\"\", said, 2);\n}"
	}' >"$1"
}

# upload VERSION: says what the command line says
upload() {
	printf '{"name":"large","version":"%s","abi":1}\n' "$1" >"$D/v.json"
	"$B/penstock" sign --key "$D/author.key" --manifest "$D/v.json" -o "$D/v.wasm" "$D/$1.wasm" >/dev/null &&
		cli deploy --grant "$D/v.wasm" 2>&1
}
answer() { cli invoke large --topic t --payload x --json 2>/dev/null | jq -r '.effects[0].payload'; }
kept() { find "$D/state/code" -name '*.objects'; }

begin '[compile]' 'reuse_objects = yes'
for v in 1.0.0:a 1.1.0:b 1.2.0:c; do
	large "$D/${v%:*}.c" "'${v#*:}'"
	clang-19 --target=wasm32-wasi -O1 -Isdk/include -c -o "$D/v.o" "$D/${v%:*}.c" &&
		clang-19 --target=wasm32-wasi -mexec-model=reactor -Wl,--strip-debug -o "$D/${v%:*}.wasm" "$D/v.o" ||
		die "cannot build large"
done

said=$(upload 1.0.0)
check "reuse/the first version is compiled whole" "$said" grep -q 'compiled  in [0-9]* ms$' <<<"$said"
check "reuse/its objects are kept, for us alone" "$(ls -l "$D/state/code")" [ "$(stat -c %a "$(kept)")" = 600 ]
said=$(upload 1.1.0)
check "reuse/the second takes what has not changed" "$said" grep -qE ', reused [1-9][0-9]* of [0-9]+ chunks$' <<<"$said"
check "reuse/and what has changed is the new one" "$(answer)" [ "$(answer)" = b ]

for f in $(kept); do printf X | dd of="$f" bs=1 seek=5000 conv=notrunc status=none; done
said=$(upload 1.2.0)
check "reuse/objects that were changed are not taken" "$said" grep -q 'compiled  in [0-9]* ms$' <<<"$said"
check "reuse/which the log says" "$(tail -n 3 "$D/gateway.log")" grep -q 'objects of the version before are not used' "$D/gateway.log"
check "reuse/and the version is all right" "$(answer)" [ "$(answer)" = c ]

cli remove large >"$D/removed" 2>&1
check "reuse/they go with the function" "$(kept; cat "$D/removed")" [ -z "$(kept)" ]

gateway_stop
sed -i '/reuse_objects/d' "$D/penstock.conf"
gateway_start || die "does not start again"
said=$(upload 1.2.0)
check "reuse/unless the operator wants it, nothing is kept" "$said; $(kept)" [ -n "$(answer)" ] && [ -z "$(kept)" ]
