# SPDX-License-Identifier: Apache-2.0
# Lines ROUND VARIANT KERNEL CHECKSUM NANOSECONDS -> a table of times over native, and a flat JSON object.

{
	if (!($3 in sum)) {
		order[++kernels] = $3
		sum[$3] = $4
	} else if (sum[$3] != $4) {
		printf "bench-kernels: %s computes something else than native: %s, not %s\n", $2 " " $3, $4, sum[$3] >"/dev/stderr"
		wrong = 1
	}
	ns[$2, $3, ++count[$2, $3]] = $5
}

function median(variant, kernel, n, i, j, x, v) {
	n = count[variant, kernel]
	for (i = 1; i <= n; i++) {
		x = ns[variant, kernel, i]
		for (j = i - 1; j >= 1 && v[j] > x; j--)
			v[j + 1] = v[j]
		v[j + 1] = x
	}
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}

function put(name, value) {
	pairs = pairs (pairs == "" ? "" : ",\n") sprintf("  \"%s\": %.4f", name, value)
}

function line(title, table, i) {
	printf "%-14s%9s", title, ""
	for (i = 2; i <= nvariants; i++)
		printf "%9.3f", table[names[i]]
	print ""
}

# What issue 3 asks for: "VARIANT=NUMBER ..."; a dash where it asks for nothing.
function goals(title, text, list, n, i, of) {
	n = split(text, list, /[ =]/)
	for (i = 1; i < n; i += 2)
		of[list[i]] = list[i + 1]
	printf "%-14s%9s", title, ""
	for (i = 2; i <= nvariants; i++)
		printf "%9s", names[i] in of ? of[names[i]] : "-"
	print ""
}

END {
	if (wrong)
		exit 1
	nvariants = split(variants, names, " ")
	printf "%-14s%9s", "", "native ms"
	for (i = 2; i <= nvariants; i++)
		printf "%9s", names[i]
	printf "   (CPU time over native clang -O3; median of %d)\n", rounds
	for (k = 1; k <= kernels; k++) {
		kernel = order[k]
		base = median("native", kernel)
		printf "%-14s%9.1f", kernel, base / 1e6
		for (i = 2; i <= nvariants; i++) {
			v = names[i]
			ratio = median(v, kernel) / base
			printf "%9.3f", ratio
			total[v] += ratio
			logs[v] += log(ratio)
			worst[v] = ratio > worst[v] ? ratio : worst[v]
			put(kernel "_" v, ratio)
		}
		print ""
	}
	for (i = 2; i <= nvariants; i++) {
		v = names[i]
		mean[v] = total[v] / kernels
		geomean[v] = exp(logs[v] / kernels)
		put(v "_mean", mean[v])
		put(v "_geomean", geomean[v])
		put(v "_worst", worst[v])
	}
	put("kernels", kernels)
	put("rounds", rounds)
	print ""
	line("mean", mean)
	goals("  goal", "scalar=0.960 default=1.100 simd=0.980 check=1.250")
	line("geometric", geomean)
	line("worst", worst)
	goals("  goal", "scalar=1.250 default=1.900 simd=1.200")
	print "{\n" pairs "\n}" >json
}
