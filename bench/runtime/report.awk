# SPDX-License-Identifier: Apache-2.0
# Lines KEY P50 P99, or KEY VALUE, of several rounds -> a table, and `json`: one flat object of numbers.
{
	n[$1]++
	p50[$1, n[$1]] = $2
	p99[$1, n[$1]] = $3
}

function median(of, key, i, j, t, v) {
	for (i = 1; i <= n[key]; i++)
		v[i] = of[key, i]
	for (i = 2; i <= n[key]; i++)
		for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) {
			t = v[j]
			v[j] = v[j - 1]
			v[j - 1] = t
		}
	return v[int((n[key] + 1) / 2)]
}

function line(text, key) {
	printf "%-62s %10.3f %10.3f\n", text, median(p50, key) / 1000, median(p99, key) / 1000
}

function number(name, value) {
	printf "%s\n  \"%s\": %s", (numbers++ ? "," : "{"), name, value >json
}

END {
	printf "%-62s %10s %10s\n", "one event: fresh instance, call, result, clean-up; microseconds", "p50", "p99"
	line("  empty function, 2 pages of 64 KiB", "instantiate")
	line("  2 pages, writes to 1 of 4 KiB", "2_pages_1_dirty")
	line("  2 pages, grows by a third and writes to 2 of 4 KiB there", "2_pages_grow")
	line("  2 pages, writes to 1; the pool is empty", "2_pages_cold")
	line("  1 MiB, writes to 1", "1_MiB_1_dirty")
	line("  1 MiB, writes to 64", "1_MiB_64_dirty")
	line("  16 MiB, writes to 1", "16_MiB_1_dirty")
	line("  16 MiB, writes to 64, always the same", "16_MiB_64_dirty")
	line("  16 MiB, writes to 64, others each time", "16_MiB_64_random")
	line("  JSON message: parse, convert, build", "json")
	line("    the same natively, the function alone", "json_native")
	line("  node: empty function", "node_instantiate")
	line("  node: JSON message", "node_json")
	print "parts"
	line("  context switch", "switch")
	line("  host call (event_payload of 0 bytes)", "calls")
	print "what the machine takes for"
	line("  reading the clock", "floor_clock")
	line("  getcontext()", "floor_getcontext")
	line("  clearing 128 KiB", "floor_memset_128_KiB")
	line("  touching a page and giving it back", "floor_madvise_1")
	line("  16 pages", "floor_madvise_16")
	line("  8 GiB of address space and back", "floor_mmap_8_GiB")
	line("  fork and wait", "floor_fork_wait")
	ratio = median(p50, "workers1_ns") / median(p50, "workers2_ns")
	mb = median(p50, "sleeping_kb") / 1024
	apart = median(p50, "workers1_ns") / median(p50, "apart_ns")
	printf "two workers do %.2f times the work of one; two processes of one worker each, %.2f\n", ratio, apart
	printf "10,000 sandboxes asleep in one process: %.0f MB resident and %.0f MB of page tables, after %.2f s;\n", mb,
		median(p50, "sleeping_pte_kb") / 1024, median(p50, "asleep_ns") / 1e9
	printf "woken up all at a time: the first result %.1f ms later, the last %.1f ms, with %.1f ms of processor time\n",
		median(p50, "awake_first_ns") / 1e6, median(p50, "awake_all_ns") / 1e6, median(p50, "awake_cpu_ns") / 1e6
	number("instantiate_p50_us", median(p50, "instantiate") / 1000)
	number("instantiate_p99_us", median(p99, "instantiate") / 1000)
	number("json_p50_us", median(p50, "json") / 1000)
	number("json_p99_us", median(p99, "json") / 1000)
	number("switch_ns", median(p50, "switch"))
	number("hostcall_ns", median(p50, "calls"))
	number("workers2_ratio", ratio)
	number("sleeping_10000_mb", mb)
	printf "\n}\n" >json
}
