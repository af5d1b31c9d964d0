# SPDX-License-Identifier: Apache-2.0
# Files RESULTS/ROUND.BROKER.SYSTEM.qosN (KEY=VALUE lines of load) and .rss (NAME KB lines) become a table and, in the file
# `json`, one flat object of numbers. Variables: rounds, seconds, systems, json, idle (another flat object, taken over).

FNR == 1 { n = split(FILENAME, path, "/"); split(path[n], part, "."); mode = part[2]; system_ = part[3]; kind = part[4] }
kind == "rss" { add("rss," system_ "," $1, $2 / 1024); if (!seen[system_, $1]++) procs[system_] = procs[system_] " " $1; next }
{ split($0, kv, "="); add(mode "," system_ "," kind "," kv[1], kv[2]) }

function add(key, value) { list[key] = list[key] " " value }

# The middle one of a list of numbers, or of a pair the mean.
function median(key,    v, n, i, j, t) {
	n = split(list[key], v, " ")
	if (n == 0) return ""
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
	return n % 2 ? v[(n + 1) / 2] + 0 : (v[n / 2] + v[n / 2 + 1]) / 2
}

function get(m, s, q, key) { return median(m "," s ",qos" q "," key) }
function sum(m, s, q, key,    v, n, t) { n = split(list[m "," s ",qos" q "," key], v, " "); for (t = 0; n > 0; n--) t += v[n]; return t }
function cell(width, digits, value) { return value == "" ? sprintf("%" width "s", "-") : sprintf("%" width "." digits "f", value) }
function out(key, value) { if (value != "") object = object (object == "" ? "" : ",\n") "\t\"" key "\": " value }

function row(m, s,    q, line) {
	line = sprintf("  %-17s", title[s])
	for (q = 0; q <= 1; q++)
		line = line cell(8, 0, get(m, s, q, "single_p50_us")) cell(7, 0, get(m, s, q, "single_p99_us")) \
			cell(7, 0, get(m, s, q, "single_p999_us")) cell(8, 0, get(m, s, q, "sparse_p50_us")) \
			cell(9, 0, get(m, s, q, "flood_msgs_s")) cell(7, 1, get(m, s, q, "flood_cpu_us")) (q ? "" : "  |")
	print line
}

function numbers(m, s,    q, k, name, id) {
	for (q = 0; q <= 1; q++)
		for (k = 1; k <= nkeys; k++) {
			id = "qos" q (m == "tuned" ? "_" : "_default_broker_") key[k, "as"] ending[s]
			out(id, get(m, s, q, key[k, "from"]))
		}
}

# aim TEXT VALUE LIMIT UNIT: "reached" when the value is at most the limit
function aim(text, value, limit, digits, unit) {
	if (value == "" || limit == "") return
	printf "  %-13s %s: %s %s, aim at most %s\n", (value <= limit ? "reached" : "NOT REACHED"), text, cell(1, digits, value), unit, cell(1, digits, limit)
}

function times(value, factor) { return value == "" ? "" : value * factor }

function aims(    t) {
	t = "tuned"
	print "\nAims"
	aim("p50, QoS 0, against Node-RED", get(t, "penstock", 0, "single_p50_us"), get(t, "nodered", 0, "single_p50_us"), 0, "us")
	aim("p50, QoS 0, against 1.3 x the native client", get(t, "penstock", 0, "single_p50_us"), times(get(t, "native", 0, "single_p50_us"), 1.3), 0, "us")
	aim("p99, QoS 0, against a third of Node-RED's", get(t, "penstock", 0, "single_p99_us"), times(get(t, "nodered", 0, "single_p99_us"), 1 / 3), 0, "us")
	aim("p50, QoS 1, default broker", get("default", "penstock", 1, "single_p50_us"), 150, 0, "us")
	aim("CPU a message, QoS 0", get(t, "penstock", 0, "flood_cpu_us"), 17, 1, "us")
	aim("CPU a message, QoS 1, against Node-RED", get(t, "penstock", 1, "flood_cpu_us"), get(t, "nodered", 1, "flood_cpu_us"), 1, "us")
	aim("idle memory (PSS)", from_idle["idle_pss_mb"], 25, 1, "MB")
	aim("start to subscribed", from_idle["start_ms"], 150, 1, "ms")
}

function losses(    i, m, q, n) {
	for (i = 1; i <= nsystems; i++)
		for (m = 1; m <= 2; m++)
			for (q = 0; q <= 1; q++) {
				n = sum(mode_[m], name[i], q, "flood_lost") + sum(mode_[m], name[i], q, "single_lost") + sum(mode_[m], name[i], q, "sparse_lost")
				if (n > 0) printf "  LOST          %d alerts: %s, QoS %d, %s broker\n", n, title[name[i]], q, mode_[m]
				if (n > 0 && q == 1 && name[i] == "penstock") failed = 1
				n = sum(mode_[m], name[i], q, "flood_strange") + sum(mode_[m], name[i], q, "single_strange")
				if (n > 0) printf "  TWICE         %d alerts: %s, QoS %d, %s broker\n", n, title[name[i]], q, mode_[m]
			}
}

END {
	title["penstock"] = "penstock"; title["native"] = "native C client"; title["nodered"] = "Node-RED"; title["broker"] = "mosquitto alone"
	ending["penstock"] = ""; ending["native"] = "_native"; ending["nodered"] = "_nodered"; ending["broker"] = "_broker"
	mode_[1] = "tuned"; mode_[2] = "default"
	heading["tuned"] = "mosquitto with set_tcp_nodelay true"; heading["default"] = "mosquitto as Debian ships it"
	nkeys = split("p50_us p99_us p999_us sparse_p50_us msgs_s cpu_us cpu_single_us", as, " ")
	split("single_p50_us single_p99_us single_p999_us sparse_p50_us flood_msgs_s flood_cpu_us single_cpu_us", from, " ")
	for (k = 1; k <= nkeys; k++) { key[k, "as"] = as[k]; key[k, "from"] = from[k] }
	nsystems = split(systems, name, " ")
	while ((getline line < idle) > 0)
		if (split(line, q, /[",: \t]+/) >= 3) from_idle[q[2]] = q[3]

	printf "Sensor message -> alert, medians of %d round%s, %d s in all. One at a time, in microseconds: p50, p99, p99.9; sparse: p50 with\n", rounds, (rounds > 1 ? "s" : ""), seconds
	print "pauses of 5 ms, as sensors send. With 1,000 in flight: messages a second, and CPU microseconds a message of the system."
	for (m = 1; m <= 2; m++) {
		printf "\n%s\n  %-17s%46s  |%46s\n", heading[mode_[m]], "", "QoS 0", "QoS 1"
		line = sprintf("%8s%7s%7s%8s%9s%7s", "p50", "p99", "p99.9", "sparse", "msg/s", "CPU")
		printf "  %-17s%s  |%s\n", "", line, line
		for (i = 1; i <= nsystems; i++) { row(mode_[m], name[i]); numbers(mode_[m], name[i]) }
	}
	print "\nMemory after the run, RSS in MB"
	for (i = 1; i <= nsystems; i++) {
		n = split(procs[name[i]], p, " "); total = 0; line = ""
		for (j = 1; j <= n; j++) {
			mb = median("rss," name[i] "," p[j]); total += mb; line = line sprintf("  %s %.1f", p[j], mb)
			if (name[i] == "penstock") { id = p[j]; gsub(/-/, "_", id); out("rss_" id "_mb", sprintf("%.1f", mb)) }
		}
		printf "  %-17s%8.1f  =%s\n", title[name[i]], total, line
		out("rss_mb" ending[name[i]], sprintf("%.1f", total))
	}
	for (k in from_idle) out(k, from_idle[k])
	losses()
	aims()
	print "{\n" object "\n}" >json
	printf "\nAll numbers: %s\n", json
	exit failed
}
