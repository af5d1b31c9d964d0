# SPDX-License-Identifier: Apache-2.0
# awk -f make-day.awk /dev/null > day.csv: a working day of five temperature sensors, one reading in five minutes
# each, the same at each run. boiler-1 overheats over midday, compressor-1 for a quarter of an hour at night.
function noise()
{
	seed = (seed * 1103 + 12345) % 65536
	return seed / 65536 - 0.5
}
function bump(t, middle, width, height)
{
	return height * exp(-((t - middle) / width) ^ 2)
}
BEGIN {
	seed = 2024
	print "time,sensor,celsius"
	for (i = 0; i < 288; i++) {
		t = i / 12
		work = bump(t, 9.5, 2.6, 1) + bump(t, 14.6, 2.4, 1)
		c["boiler-1"] = 61 + 24 * work + bump(t, 11.3, 0.7, 15) + 1.6 * noise()
		c["boiler-2"] = 58 + 22 * work + 1.4 * noise()
		c["compressor-1"] = 45 + 27 * work + bump(t, 22.3, 0.16, 51) + 2.2 * noise()
		c["cold-store"] = 3.5 + bump(t, 6.2, 0.3, 2.5) + 0.6 * noise()
		c["hall-3"] = 15.5 + 5.5 * bump(t, 14, 5, 1) + 0.5 * noise()
		n = split("boiler-1 boiler-2 compressor-1 cold-store hall-3", name, " ")
		for (k = 1; k <= n; k++)
			printf("%02d:%02d,%s,%.1f\n", int(t), (i % 12) * 5, name[k], c[name[k]])
	}
}
