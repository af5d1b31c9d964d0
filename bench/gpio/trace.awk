# SPDX-License-Identifier: Apache-2.0
# The kernel's trace: after a mark "SYSTEM LEVEL", the entry of the edge's interrupt, then the output that is set to that level.
# Prints "SYSTEM output NS"; exit code 1 when an edge has no output, or an output is another line than before.

# "comm-1 [000] d.h1. 123.456789: EVENT: ...": a comm can have blanks. Whole seconds apart: a double has 15 digits.
match($0, / [0-9]+\.[0-9]+: /) {
	split(substr($0, RSTART + 1, RLENGTH - 3), at, ".")
	us = (at[1] % 100000) * 1000000 + at[2]
	split(substr($0, RSTART + RLENGTH), word, " ")
}
word[1] == "tracing_mark_write:" {
	lost += waits
	system_name = word[2]; level = word[3]; edge = 0; waits = 1
}
word[1] == "irq_handler_entry:" && waits && !edge { edge = us }
word[1] == "gpio_value:" && word[3] == "set" && edge && waits && word[4] == level {
	waits = 0
	if (!(system_name in number)) number[system_name] = word[2]
	if (number[system_name] != word[2]) { print "trace: " system_name " sets line " word[2] >"/dev/stderr"; exit 1 }
	if (++n[system_name] > warm && system_name !~ /^start_/) print system_name, "output", (us - edge) * 1000
}
{ word[1] = "" }
END {
	if (lost + waits) { print "trace: " lost + waits " edges without an output" >"/dev/stderr"; exit 1 }
}
