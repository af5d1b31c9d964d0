#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# synthetic.sh N: C of N functions that nobody could tell from ordinary ones by their instructions: loops, a switch, tables, calls.
for ((i = 0; i < $1; i++)); do
	callee=$((i % 8 ? i - 1 : i / 8 * 7))
	cat <<-C
		unsigned t$i[$((i % 90 + 10))];
		unsigned f$i(unsigned a, unsigned b)
		{
			unsigned s = a * $((i * 2654435761 % 65521))u + b;
			for (unsigned j = 0; j < b % $((i % 90 + 10)); j++) {
				t$i[j] += s ^ (j * $((i * 7 + 1))u);
				s = s * 1664525u + (t$i[j] >> $((i % 13 + 3)));
				if (s & $((1 << (i % 9))))
					s ^= a >> (j & 7);
			}
			switch (s % 7) {
			case 0: s += t$i[$((i % 9))]; break;
			case 1: s ^= t$i[$((i % 7))] * 3; break;
			case 2: s -= b / (a | 1); break;
			case 3: s = s << 3 | s >> 29; break;
			case 4: s = (unsigned)((float)s * $((i % 17 + 1)).5f); break;
			default: s += $((i * 31 % 1000));
			}
			for (unsigned j = 0; s & 0xff00 && j < 9; j++)
				s -= s >> (j + 1) ^ t$i[j];
			return s$([ "$callee" -lt "$i" ] && echo " + (a & 1 ? f$callee(a >> 1, s) : 0)");
		}
	C
done
echo "unsigned (*const all[])(unsigned, unsigned) = {"
for ((i = 0; i < $1; i++)); do echo "f$i,"; done
echo "}; int main(int argc, char **argv) { (void)argv; return (int)all[argc % $1]((unsigned)argc, 5) & 1; }"
