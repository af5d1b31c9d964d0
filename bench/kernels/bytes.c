/* SPDX-License-Identifier: Apache-2.0 */
/* Integers, bytes and branches. */
#include <stdbool.h>
#include <string.h>

#include "bench/kernels/kernel.h"

/* Counts words in a hash table with open addressing; each word is hashed byte by byte */
enum { HASH_KEYS = 40000, HASH_KEY_BYTES = 20, HASH_SLOTS = 1 << 16, HASH_ROUNDS = 28 };
struct hash {
	uint8_t key[HASH_KEYS][HASH_KEY_BYTES];
	uint32_t slot[HASH_SLOTS], count[HASH_SLOTS]; /* slot: 1 + number of its key, 0 is free */
};

static void hash_fill(void *state)
{
	struct hash *s = state;
	fill_bytes(s->key, sizeof(s->key), 51);
	for (int i = 0; i < HASH_KEYS; i += 3)
		memcpy(s->key[i], s->key[i / 7], HASH_KEY_BYTES);
}

static uint32_t hash_of(const uint8_t *p)
{
	uint32_t h = 2166136261;
	for (int i = 0; i < HASH_KEY_BYTES; i++)
		h = (h ^ p[i]) * 16777619;
	return h ^ h >> 15;
}

static bool same_key(const uint8_t *a, const uint8_t *b)
{
	int i = 0;
	while (i < HASH_KEY_BYTES && a[i] == b[i])
		i++;
	return i == HASH_KEY_BYTES;
}

APART void hash(uint8_t key[][HASH_KEY_BYTES], uint32_t *slot, uint32_t *count)
{
	for (uint32_t i = 0; i < HASH_KEYS; i++) {
		uint32_t at = hash_of(key[i]) % HASH_SLOTS;
		while (slot[at] != 0 && !same_key(key[slot[at] - 1], key[i]))
			at = (at + 1) % HASH_SLOTS;
		slot[at] = slot[at] ? slot[at] : i + 1;
		count[at]++;
	}
}

static void hash_run(void *state)
{
	struct hash *s = state;
	for (int r = 0; r < HASH_ROUNDS; r++)
		hash(s->key, s->slot, s->count);
}
KERNEL(hash);

/* Quicksort with the median of three, insertion sort for the short ends */
enum { SORT_N = 400000, SORT_SHORT = 16 };
struct sort {
	uint32_t v[SORT_N];
};

static void sort_fill(void *state)
{
	fill_words(((struct sort *)state)->v, SORT_N, 52);
}

static void insertion_sort(uint32_t *v, int n)
{
	for (int i = 1; i < n; i++) {
		uint32_t x = v[i];
		int j = i;
		for (; j > 0 && v[j - 1] > x; j--)
			v[j] = v[j - 1];
		v[j] = x;
	}
}

static uint32_t median(uint32_t a, uint32_t b, uint32_t c)
{
	if (a > b)
		return b > c ? b : a > c ? c : a;
	return a > c ? a : b > c ? c : b;
}

static void sort(uint32_t *v, int n)
{
	while (n > SORT_SHORT) {
		uint32_t pivot = median(v[0], v[n / 2], v[n - 1]);
		int i = 0, j = n - 1;
		while (i <= j) {
			while (v[i] < pivot)
				i++;
			while (v[j] > pivot)
				j--;
			if (i <= j) {
				uint32_t t = v[i];
				v[i++] = v[j];
				v[j--] = t;
			}
		}
		sort(v, j + 1);
		v += i;
		n -= i;
	}
	insertion_sort(v, n);
}

static void sort_run(void *state)
{
	sort(((struct sort *)state)->v, SORT_N);
}
KERNEL(sort);

/* Horspool's search for words in a text of few letters */
enum { SEARCH_BYTES = 1 << 20, SEARCH_WORDS = 26, SEARCH_ROUNDS = 2, SEARCH_WORD_BYTES = 9 };
struct search {
	uint8_t text[SEARCH_BYTES], word[SEARCH_WORDS][SEARCH_WORD_BYTES];
	uint32_t found[SEARCH_WORDS], last[SEARCH_WORDS];
};

static void search_fill(void *state)
{
	struct search *s = state;
	fill_bytes(s->text, SEARCH_BYTES, 53);
	for (int i = 0; i < SEARCH_BYTES; i++)
		s->text[i] = "etaoinsh rdlucm "[s->text[i] & 15];
	for (int w = 0; w < SEARCH_WORDS; w++)
		memcpy(s->word[w], s->text + 39000 * w + 12345, SEARCH_WORD_BYTES);
}

APART uint32_t search(const uint8_t *text, uint32_t n, const uint8_t *word, uint32_t *last)
{
	uint32_t skip[256], found = 0;
	for (int c = 0; c < 256; c++)
		skip[c] = SEARCH_WORD_BYTES;
	for (uint32_t i = 0; i < SEARCH_WORD_BYTES - 1; i++)
		skip[word[i]] = SEARCH_WORD_BYTES - 1 - i;
	for (uint32_t at = 0; at + SEARCH_WORD_BYTES <= n;) {
		uint32_t i = SEARCH_WORD_BYTES;
		while (i > 0 && text[at + i - 1] == word[i - 1])
			i--;
		if (i == 0) {
			found++;
			*last = at;
		}
		at += skip[text[at + SEARCH_WORD_BYTES - 1]];
	}
	return found;
}

static void search_run(void *state)
{
	struct search *s = state;
	for (int i = 0; i < SEARCH_WORDS * SEARCH_ROUNDS; i++) {
		int w = i % SEARCH_WORDS;
		s->found[w] = search(s->text, SEARCH_BYTES, s->word[w], &s->last[w]);
	}
}
KERNEL(search);

/* One pass over JSON text: strings, numbers, depth */
enum { JSON_BYTES = 2 << 20, JSON_ROUNDS = 10 };
struct json {
	char text[JSON_BYTES];
	uint32_t strings, string_bytes, depth, deepest, words;
	int64_t sum;
};

static void json_fill(void *state)
{
	static const char *const parts[] = {
		"{\"id\":4711,\"name\":\"pump \\\"7\\\" north\",\"ok\":true}",
		"[1,-20,300,-4000,50000]",
		"{\"t\":{\"value\":2150,\"unit\":\"mC\"},\"history\":[[1,2],[3,[4,5]],[]]}",
		"null",
		"\"a longer piece of text, as people write them into notes\"",
	};
	struct json *s = state;
	uint32_t which[JSON_BYTES / 1024];
	size_t at = 0;
	s->text[at++] = '[';
	fill_words(which, sizeof(which) / sizeof(*which), 54);
	for (size_t i = 0; at < JSON_BYTES - 128; i++) {
		const char *part = parts[(which[i % 2048] >> i % 17) % 5];
		size_t n = strlen(part);
		memcpy(s->text + at, part, n);
		s->text[at + n] = ',';
		at += n + 1;
	}
	s->text[at - 1] = ']';
}

static const char *json_string(const char *p, uint32_t *bytes)
{
	const char *from = p;
	while (*p != '"')
		p += *p == '\\' ? 2 : 1;
	*bytes += (uint32_t)(p - from);
	return p + 1;
}

static const char *json_number(const char *p, int64_t *sum)
{
	bool negative = *p == '-';
	int64_t v = 0;
	for (p += negative; *p >= '0' && *p <= '9'; p++)
		v = v * 10 + (*p - '0');
	*sum += negative ? -v : v;
	return p;
}

APART void json(const char *p, struct json *s)
{
	for (;;) {
		char c = *p;
		switch (c) {
		case '\0':
			return;
		case '"':
			s->strings++;
			p = json_string(p + 1, &s->string_bytes);
			break;
		case '{':
		case '[':
			s->depth++;
			s->deepest = s->depth > s->deepest ? s->depth : s->deepest;
			p++;
			break;
		case '}':
		case ']':
			s->depth--;
			p++;
			break;
		case 't':
		case 'f':
		case 'n':
			s->words++;
			p += c == 'f' ? 5 : 4;
			break;
		case '-':
		case '0' ... '9':
			p = json_number(p, &s->sum);
			break;
		default:
			p++;
			break;
		}
	}
}

static void json_run(void *state)
{
	struct json *s = state;
	for (int r = 0; r < JSON_ROUNDS; r++)
		json(s->text, s);
}
KERNEL(json);

/* AES-128 in counter mode, by tables */
enum { AES_ROUNDS = 10, AES_BLOCKS = 640000 };
struct aes {
	uint32_t table[4][256], key[4 * (AES_ROUNDS + 1)], sum[4];
	uint8_t box[256];
};

static uint8_t doubled(uint8_t x)
{
	return (uint8_t)(x << 1 ^ (x & 0x80 ? 0x1b : 0));
}

static uint32_t rotated(uint32_t x, unsigned bits)
{
	return bits ? x << bits | x >> (32 - bits) : x;
}

/* The S-box: the inverse in GF(2^8) (3 generates the field, 0xf6 is its inverse), then a rotation sum. */
static void aes_boxes(struct aes *s)
{
	uint8_t p = 1, q = 1;
	do {
		p = (uint8_t)(p ^ doubled(p));
		q ^= (uint8_t)(q << 1);
		q ^= (uint8_t)(q << 2);
		q ^= (uint8_t)(q << 4);
		q ^= q & 0x80 ? 0x09 : 0;
		uint32_t twice = (uint32_t)q << 8 | q;
		s->box[p] = (uint8_t)(0x63 ^ q ^ twice >> 7 ^ twice >> 6 ^ twice >> 5 ^ twice >> 4);
	} while (p != 1);
	s->box[0] = 0x63;
	for (int i = 0; i < 256; i++) {
		uint8_t x = s->box[i], x2 = doubled(x);
		uint32_t column = (uint32_t)x2 << 24 | (uint32_t)x << 16 | (uint32_t)x << 8 |
				  (uint32_t)(x2 ^ x);
		for (unsigned t = 0; t < 4; t++)
			s->table[t][i] = rotated(column, 32 - 8 * t);
	}
}

static uint32_t aes_substituted(const struct aes *s, uint32_t w)
{
	return (uint32_t)s->box[w >> 24] << 24 | (uint32_t)s->box[w >> 16 & 255] << 16 |
	       (uint32_t)s->box[w >> 8 & 255] << 8 | s->box[w & 255];
}

static void aes_fill(void *state)
{
	struct aes *s = state;
	uint8_t constant = 1;
	aes_boxes(s);
	for (uint32_t i = 0; i < 4; i++)
		s->key[i] = 0x00010203 + 0x04040404 * i;
	for (int i = 4; i < 4 * (AES_ROUNDS + 1); i++) {
		uint32_t w = s->key[i - 1];
		if (i % 4 == 0) {
			w = aes_substituted(s, rotated(w, 8)) ^ (uint32_t)constant << 24;
			constant = doubled(constant);
		}
		s->key[i] = s->key[i - 4] ^ w;
	}
}

APART void aes_block(const struct aes *s, const uint32_t in[4], uint32_t out[4])
{
	uint32_t a[4], b[4];
	for (int i = 0; i < 4; i++)
		a[i] = in[i] ^ s->key[i];
	for (int round = 1; round < AES_ROUNDS; round++) {
		for (int i = 0; i < 4; i++)
			b[i] = s->table[0][a[i] >> 24] ^ s->table[1][a[(i + 1) % 4] >> 16 & 255] ^
			       s->table[2][a[(i + 2) % 4] >> 8 & 255] ^
			       s->table[3][a[(i + 3) % 4] & 255] ^ s->key[4 * round + i];
		for (int i = 0; i < 4; i++)
			a[i] = b[i];
	}
	for (int i = 0; i < 4; i++)
		out[i] = aes_substituted(s, (a[i] & 0xff000000) | (a[(i + 1) % 4] & 0xff0000) |
						    (a[(i + 2) % 4] & 0xff00) |
						    (a[(i + 3) % 4] & 0xff)) ^
			 s->key[4 * AES_ROUNDS + i];
}

static void aes_run(void *state)
{
	struct aes *s = state;
	uint32_t in[4] = { 0x00112233, 0x44556677, 0x8899aabb, 0xccddeeff }, out[4];
	for (uint32_t i = 0; i < AES_BLOCKS; i++) {
		aes_block(s, in, out);
		for (int w = 0; w < 4; w++)
			s->sum[w] = rotated(s->sum[w], 1) ^ out[w];
		in[3]++;
	}
}
KERNEL(aes);
