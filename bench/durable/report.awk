# SPDX-License-Identifier: Apache-2.0
# Files RESULTS/ROUND.BROKER.SYSTEM and RESULTS/once (KEY=VALUE lines) become a table and, in the file `json`, one flat object of
# numbers. Variables: rounds, seconds, systems, waiting, json.

FNR == 1 { n = split(FILENAME, path, "/"); split(path[n], part, "."); at = part[2] "," part[3] }
{ split($0, kv, "=") }
path[n] == "once" { once[kv[1]] = kv[2]; next }
{ list[at "," kv[1]] = list[at "," kv[1]] " " kv[2] }

# The middle one of a list of numbers, or of a pair the mean.
function median(key,    v, n, i, j, t) {
	n = split(list[key], v, " ")
	if (n == 0) return ""
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
	return n % 2 ? v[(n + 1) / 2] + 0 : (v[n / 2] + v[n / 2 + 1]) / 2
}
function sum(key,    v, n, t) { n = split(list[key], v, " "); for (t = 0; n > 0; n--) t += v[n]; return t }
function cell(width, digits, value) { return value == "" ? sprintf("%" width "s", "-") : sprintf("%" width "." digits "f", value) }
function out(key, value) { if (value != "") object = object (object == "" ? "" : ",\n") "\t\"" key "\": " value }
function ratio(a, b, factor) { return a == "" || b == "" || b == 0 ? "" : sprintf("%.4g", a / b * (factor ? factor : 1)) }
function get(m, s, key) { return median(m "," s "," key) }

function row(m, s,    n) {
	n = sum(m "," s ",flood_n")
	print sprintf("  %-22s", title[s]) cell(8, 0, get(m, s, "single_p50_us")) cell(8, 0, get(m, s, "single_p99_us")) \
		cell(10, 0, get(m, s, "flood_msgs_s")) cell(8, 2, ratio(get(m, s, "flood_msgs_s"), get(m, "native", "flood_msgs_s"))) \
		cell(9, 0, get(m, s, "flood_p50_us")) cell(9, 0, get(m, s, "flood_p99_us")) cell(7, 1, get(m, s, "flood_cpu_us")) \
		cell(8, 3, ratio(sum(m "," s ",flood_commits"), n)) cell(8, 4, ratio(sum(m "," s ",flood_syncs"), n))
}

function numbers(m, s,    tail) {
	tail = m == "tuned" ? "" : "_default_broker"
	out(s "_msgs_s" tail, get(m, s, "flood_msgs_s"))
	out(s "_p50_us" tail, get(m, s, "single_p50_us"))
	out(s "_p99_us" tail, get(m, s, "single_p99_us"))
	out(s "_cpu_us" tail, get(m, s, "flood_cpu_us"))
	if (s == "power") out("syncs_per_event" tail, ratio(sum(m "," s ",flood_syncs"), sum(m "," s ",flood_n")))
	if (s == "process") out("commits_per_event" tail, ratio(sum(m "," s ",flood_commits"), sum(m "," s ",flood_n")))
}

function aim(text, value, limit, digits, unit, least) {
	if (value == "") return
	printf "  %-13s %s: %s%s, aim %s %s\n", ((least ? value >= limit : value <= limit) ? "reached" : "NOT REACHED"), text, \
		cell(1, digits, value), unit, (least ? "at least" : "at most"), cell(1, digits, limit)
}

function lost(    i, m, k, n) {
	for (i = 1; i <= nsystems; i++)
		for (m = 1; m <= 2; m++)
			for (k = 1; k <= 2; k++) {
				n = sum(mode_[m] "," name[i] "," phase[k] "_lost")
				if (n > 0) printf "  LOST          %d alerts: %s, %s broker\n", n, title[name[i]], mode_[m]
				if (n > 0 && name[i] != "native") failed = 1
				n = sum(mode_[m] "," name[i] "," phase[k] "_strange")
				if (n > 0) printf "  TWICE         %d alerts: %s, %s broker\n", n, title[name[i]], mode_[m]
			}
}

END {
	title["native"] = "native C client"; title["off"] = "penstock, off"
	title["process"] = "penstock, process"; title["power"] = "penstock, power"
	mode_[1] = "tuned"; mode_[2] = "default"; split("single flood", phase, " ")
	heading["tuned"] = "mosquitto with set_tcp_nodelay true"; heading["default"] = "mosquitto as Debian ships it"
	nsystems = split(systems, name, " ")
	printf "QoS 1 in, function, QoS 1 out; medians of %d round%s, %d s in all. One at a time: p50, p99 in microseconds. With 1,000 in flight:\n", rounds, (rounds > 1 ? "s" : ""), seconds
	print "events a second, and that over the native client's; latency; CPU microseconds of all processes, commits and syncs, for each event."
	for (m = 1; m <= 2; m++) {
		printf "\n%s\n  %-22s%8s%8s%10s%8s%9s%9s%7s%8s%8s\n", heading[mode_[m]], "", "p50", "p99", "events/s", "ratio", "p50", "p99", "CPU", "commits", "syncs"
		for (i = 1; i <= nsystems; i++) { row(mode_[m], name[i]); numbers(mode_[m], name[i]) }
	}
	if ("size_events" in once) {
		printf "\nThe journal after %d events: %.1f MB (keep_bytes, keep_hours: as they come)\n", once["size_events"], once["size_bytes"] / 1e6
		printf "Start with %d events waiting: subscribed after %.0f ms, all of them run after %.0f ms\n", waiting, once["waiting_start_ms"], once["waiting_done_ms"]
		out("size_events", once["size_events"]); out("size_bytes", once["size_bytes"])
		out("start_100k_ms", once["waiting_start_ms"]); out("done_100k_ms", once["waiting_done_ms"])
	}
	print "\nAims"
	for (m = 1; m <= 2; m++)
		aim("events/s against native, process, " mode_[m] " broker", ratio(get(mode_[m], "process", "flood_msgs_s"), get(mode_[m], "native", "flood_msgs_s")), 0.7, 2, "", 1)
	if (get("tuned", "off", "single_p50_us") != "" && get("tuned", "process", "single_p50_us") != "")
		for (m = 1; m <= 2; m++)
			aim("a lone event, process over off, " mode_[m] " broker", get(mode_[m], "process", "single_p50_us") - get(mode_[m], "off", "single_p50_us"), 40, 0, " us")
	lost()
	print "{\n" object "\n}" >json
	printf "\nAll numbers: %s\n", json
	exit failed
}
