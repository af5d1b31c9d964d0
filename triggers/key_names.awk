# SPDX-License-Identifier: Apache-2.0
# The preprocessor's list of <linux/input-event-codes.h>, in its order, to rows of triggers/key_names.c: first one name
# for each number, then the others for the same (KEY_SCREENLOCK is KEY_COFFEE, BTN_MISC begins with BTN_0).
BEGIN { print "/* made by triggers/key_names.awk */" }
$1 != "#define" || $2 !~ /^(KEY|BTN)_[A-Z0-9_]+$/ { next }
$2 ~ /^KEY_(RESERVED|MIN_INTERESTING|MAX|CNT)$/ { next }
$3 ~ /^(0x[0-9a-f]+|[0-9]+)$/ {
	if ($3 in at)
		other[++others] = name[at[$3]]
	else
		at[$3] = ++names
	name[at[$3]] = $2
	next
}
{ other[++others] = $2 }
END {
	for (i = 1; i <= names; i++) printf "{ \"%s\", %s },\n", name[i], name[i]
	for (i = 1; i <= others; i++) printf "{ \"%s\", %s },\n", other[i], other[i]
}
