# SPDX-License-Identifier: Apache-2.0
# Makes the text of a module (wasm2wat's, an instruction a line) deterministic: what arithmetic leaves in a NaN is up to
# the engine, so every instruction that may make one is followed by a call that makes it the canonical one.
{ lines[++n] = $0 }
END {
	op = "\\.(add|sub|mul|div|sqrt|min|max|ceil|floor|trunc|nearest|demote_f64|promote_f32|demote_f64x2_zero|promote_low_f32x4)\\)*$"
	for (last = n; last > 0 && lines[last] !~ /\)$/; last--)
		;
	sub(/\)$/, "", lines[last])
	for (i = 1; i <= n; i++) {
		if (lines[i] !~ ("^ *(f32|f64|f32x4|f64x2)" op)) {
			print lines[i]
			continue
		}
		# The last instruction of a function has its parenthesis behind it.
		match(lines[i], /\)*$/)
		split(lines[i], word, ".")
		gsub(/ /, "", word[1])
		print substr(lines[i], 1, RSTART - 1) " call $nan_" word[1] substr(lines[i], RSTART)
	}
	split("f32 f64 f32x4 f64x2", types, " ")
	quiet["f32"] = "f32.const nan"
	quiet["f64"] = "f64.const nan"
	quiet["f32x4"] = "v128.const i32x4 0x7fc00000 0x7fc00000 0x7fc00000 0x7fc00000"
	quiet["f64x2"] = "v128.const i64x2 0x7ff8000000000000 0x7ff8000000000000"
	for (i = 1; i <= 4; i++) {
		t = types[i]
		v = i > 2 ? "v128" : t
		print "(func $nan_" t " (param " v ") (result " v ")"
		print "local.get 0 " quiet[t] " local.get 0 local.get 0 " t ".eq " (i > 2 ? "v128.bitselect" : "select") ")"
	}
	print ")"
}
