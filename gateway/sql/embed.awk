# SPDX-License-Identifier: Apache-2.0
# Turns the named pieces of an SQL file into rows of a C table:
#	-- name: key_put
#	INSERT ...
# becomes SQL(key_put, "INSERT ...\n"). Comment lines stay out of the program.
function flush() {
	if (name != "")
		printf "SQL(%s,%s)\n", name, text
}
/^-- name: / { flush(); name = $3; text = ""; next }
/^--/ || /^[ \t]*$/ { next }
{
	gsub(/\\/, "\\\\")
	gsub(/"/, "\\\"")
	text = text "\n\t\"" $0 "\\n\""
}
END { flush() }
