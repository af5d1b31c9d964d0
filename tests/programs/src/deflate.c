/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compresses stdin with LZ77 and a canonical Huffman code, decompresses it again, compares, and
 * prints sizes, SHA-256 of everything, CRC-32 and Adler-32. Bit fiddling, big tables, 32- and 64-bit
 * shifts and rotates.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- SHA-256 ---- */

static uint32_t k256[64], h256[8];

static uint32_t ror(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* The constants are the fractions of roots of primes: computed here by integer search. */
static uint32_t root_fraction(unsigned prime, int root)
{
	/* floor(prime^(1/root) * 2^32) by bisection over 36 bits */
	unsigned __int128 lo = 0, hi = (unsigned __int128)1 << 36, goal = (unsigned __int128)prime << 32 * root;
	if (root == 2) {
		while (hi - lo > 1) {
			unsigned __int128 mid = (lo + hi) / 2;
			if (mid * mid <= goal) lo = mid; else hi = mid;
		}
		return (uint32_t)lo;
	}
	while (hi - lo > 1) {
		unsigned __int128 mid = (lo + hi) / 2;
		if (mid * mid * mid <= goal) lo = mid; else hi = mid;
	}
	return (uint32_t)lo;
}

static void sha_init(void)
{
	unsigned n = 0;
	for (unsigned p = 2; n < 64; p++) {
		bool prime = true;
		for (unsigned d = 2; d * d <= p; d++)
			prime &= p % d != 0;
		if (!prime)
			continue;
		k256[n] = root_fraction(p, 3);
		if (n < 8)
			h256[n] = root_fraction(p, 2);
		n++;
	}
}

static void sha_block(uint32_t s[8], const uint8_t *p)
{
	uint32_t w[64], v[8];
	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
	for (int i = 16; i < 64; i++) {
		uint32_t a = ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3;
		uint32_t b = ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10;
		w[i] = w[i - 16] + a + w[i - 7] + b;
	}
	memcpy(v, s, sizeof(v));
	for (int i = 0; i < 64; i++) {
		uint32_t t1 = v[7] + (ror(v[4], 6) ^ ror(v[4], 11) ^ ror(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k256[i] + w[i];
		uint32_t t2 = (ror(v[0], 2) ^ ror(v[0], 13) ^ ror(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
		memmove(v + 1, v, 7 * sizeof(*v));
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		s[i] += v[i];
}

static void sha_print(const char *name, const uint8_t *p, size_t len)
{
	uint32_t s[8];
	uint8_t tail[128] = { 0 };
	size_t rest = len % 64, blocks = rest < 56 ? 1 : 2;
	memcpy(s, h256, sizeof(s));
	for (size_t i = 0; i + 64 <= len; i += 64)
		sha_block(s, p + i);
	if (rest)
		memcpy(tail, p + len - rest, rest);
	tail[rest] = 0x80;
	for (int i = 0; i < 8; i++)
		tail[blocks * 64 - 1 - (size_t)i] = (uint8_t)((uint64_t)len * 8 >> 8 * i);
	for (size_t i = 0; i < blocks; i++)
		sha_block(s, tail + 64 * i);
	printf("%-12s %8zu bytes  ", name, len);
	for (int i = 0; i < 8; i++)
		printf("%08x", s[i]);
	putchar('\n');
}

/* ---- bits ---- */

struct bits { uint8_t *buf; size_t cap, len; uint64_t acc; int n; };

static void put_bits(struct bits *b, uint32_t v, int n)
{
	b->acc |= (uint64_t)v << b->n;
	for (b->n += n; b->n >= 8; b->n -= 8, b->acc >>= 8) {
		if (b->len == b->cap && !(b->buf = realloc(b->buf, b->cap = b->cap * 2 + 1024)))
			exit(9);
		b->buf[b->len++] = (uint8_t)b->acc;
	}
}

static uint32_t get_bits(struct bits *b, int n)
{
	while (b->n < n) {
		b->acc |= (uint64_t)(b->len < b->cap ? b->buf[b->len] : 0) << b->n;
		b->len++;
		b->n += 8;
	}
	uint32_t v = (uint32_t)(b->acc & ((UINT64_C(1) << n) - 1));
	b->acc >>= n;
	b->n -= n;
	return v;
}

/* ---- canonical Huffman: symbols 0..255 literals, 256 end, 257.. = match of length sym - 254 ---- */

enum { SYMS = 512, END = 256, WINDOW = 32768, MAX_MATCH = 250, MAX_BITS = 24 };

static uint8_t code_len[SYMS];
static uint32_t code[SYMS];

static void make_lengths(const uint32_t freq[SYMS])
{
	struct { uint64_t w; int up; } node[2 * SYMS];
	int n = SYMS;
	bool used[2 * SYMS] = { false };
	for (int i = 0; i < SYMS; i++)
		node[i].w = freq[i], node[i].up = -1;
	for (;;) {
		int a = -1, b = -1;
		for (int i = 0; i < n; i++) {
			if (used[i] || node[i].w == 0)
				continue;
			if (a < 0 || node[i].w < node[a].w)
				b = a, a = i;
			else if (b < 0 || node[i].w < node[b].w)
				b = i;
		}
		if (b < 0)
			break;
		node[n].w = node[a].w + node[b].w;
		node[n].up = -1;
		node[a].up = node[b].up = n;
		used[a] = used[b] = true;
		n++;
	}
	for (int i = 0; i < SYMS; i++) {
		code_len[i] = 0;
		if (node[i].w)
			for (int p = node[i].up; p >= 0; p = node[p].up)
				code_len[i]++;
		if (code_len[i] > MAX_BITS)
			exit(9);
	}
}

static void make_codes(void)
{
	uint32_t next = 0;
	for (int l = 1; l <= MAX_BITS; l++, next <<= 1)
		for (int i = 0; i < SYMS; i++)
			if (code_len[i] == l) {
				uint32_t c = next++, r = 0;
				for (int k = 0; k < l; k++, c >>= 1)
					r = r << 1 | (c & 1);
				code[i] = r;
			}
}

static int get_symbol(struct bits *b)
{
	uint32_t c = 0;
	for (int l = 1; l <= MAX_BITS; l++) {
		c |= get_bits(b, 1) << (l - 1);
		for (int i = 0; i < SYMS; i++)
			if (code_len[i] == l && code[i] == c)
				return i;
	}
	exit(9);
}

/* ---- LZ77 with hash chains ---- */

struct token { uint16_t sym; uint16_t dist; };

static size_t tokenise(const uint8_t *in, size_t len, struct token *out)
{
	static int32_t head[65536], prev[WINDOW];
	size_t n = 0;
	memset(head, -1, sizeof(head));
	for (size_t i = 0; i < len;) {
		size_t best = 0, dist = 0;
		uint32_t h = i + 3 <= len ? ((in[i] | (uint32_t)in[i + 1] << 8 | (uint32_t)in[i + 2] << 16) * 2654435761u) >> 16 : 0;
		int32_t at = i + 3 <= len ? head[h] : -1;
		for (int tries = 0; at >= 0 && i - (size_t)at < WINDOW && tries < 64; tries++, at = prev[at % WINDOW]) {
			size_t m = 0;
			while (m < MAX_MATCH && i + m < len && in[(size_t)at + m] == in[i + m])
				m++;
			if (m > best)
				best = m, dist = i - (size_t)at;
		}
		size_t step = best >= 4 ? best : 1;
		out[n++] = best >= 4 ? (struct token){ (uint16_t)(254 + best), (uint16_t)dist } : (struct token){ in[i], 0 };
		for (size_t k = 0; k < step; k++, i++)
			if (i + 3 <= len) {
				h = ((in[i] | (uint32_t)in[i + 1] << 8 | (uint32_t)in[i + 2] << 16) * 2654435761u) >> 16;
				prev[i % WINDOW] = head[h];
				head[h] = (int32_t)i;
			}
	}
	out[n++] = (struct token){ END, 0 };
	return n;
}

int main(void)
{
	size_t cap = 1 << 16, len = 0, n;
	uint8_t *in = malloc(cap);
	uint32_t freq[SYMS] = { 0 }, crc = ~0u, a = 1, b = 0;
	while ((n = fread(in + len, 1, cap - len, stdin)) > 0)
		if ((len += n) == cap && !(in = realloc(in, cap *= 2)))
			return 9;
	sha_init();
	sha_print("input", in, len);
	struct token *tok = calloc(len + 1, sizeof(*tok));
	size_t ntok = tokenise(in, len, tok);
	for (size_t i = 0; i < ntok; i++)
		freq[tok[i].sym]++;
	make_lengths(freq);
	make_codes();
	struct bits w = { 0 };
	for (size_t i = 0; i < ntok; i++) {
		put_bits(&w, code[tok[i].sym], code_len[tok[i].sym]);
		if (tok[i].dist)
			put_bits(&w, tok[i].dist, 15);
	}
	put_bits(&w, 0, 7);
	sha_print("compressed", w.buf, w.len);
	uint8_t *out = malloc(len + MAX_MATCH + 1);
	size_t got = 0;
	struct bits r = { .buf = w.buf, .cap = w.len };
	for (int s; (s = get_symbol(&r)) != END;) {
		if (s < 256) {
			out[got++] = (uint8_t)s;
			continue;
		}
		size_t dist = get_bits(&r, 15);
		for (int k = 0; k < s - 254 && got < len; k++, got++)
			out[got] = out[got - dist];
	}
	sha_print("restored", out, got);
	for (size_t i = 0; i < len; i++) {
		crc ^= in[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
		a = (a + in[i]) % 65521;
		b = (b + a) % 65521;
	}
	printf("crc32 %08x adler32 %08x %zu tokens, %.2f bits a byte\n", ~crc, b << 16 | a, ntok, 8.0 * (double)w.len / (double)(len ? len : 1));
	return got == len && memcmp(in, out, len) == 0 ? 0 : 1;
}
