/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures: what wasmsign2 made verifies, what we make has its layout, and nothing else passes.
 * The vectors lie beside this file; the tests run in the root of the repository.
 */
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/wr.h"
#include "proto/signature.h"

enum { FILE_MAX = 1024 };

struct file {
	uint8_t bytes[FILE_MAX];
	size_t len;
};

static bool load(const char *name, struct file *f)
{
	char path[4096];
	(void)snprintf(path, sizeof(path), "tests/unit/proto/signatures/%s", name);
	FILE *in = fopen(path, "rb");
	if (!in)
		return false;
	f->len = fread(f->bytes, 1, sizeof(f->bytes), in);
	assert_int_equal(fclose(in), 0);
	return true;
}

static struct file vector(const char *name)
{
	struct file f;
	if (!load(name, &f))
		fail_msg("%s is missing", name);
	return f;
}

static struct span span_of(const struct file *f)
{
	return (struct span){ f->bytes, f->len };
}

static struct sig_public public_of(const struct file *f)
{
	struct sig_public pk;
	assert_int_equal(sig_public_parse(span_of(f), &pk, NULL), 0);
	return pk;
}

static int verify(struct span module, const struct sig_public *keys, size_t n)
{
	/* An exact copy on the heap, so that ASan sees a read beyond it. */
	uint8_t *copy = malloc(module.len ? module.len : 1);
	size_t index = SIZE_MAX;
	memcpy(copy, module.at, module.len);
	int err = sig_verify((struct span){ copy, module.len }, keys, n, &index, NULL);
	free(copy);
	if (err == 0)
		assert_true(index < n);
	return err;
}

static const char *const signed_vectors[] = { "m.simple.wasm", "m.multi.wasm", "m.nokid.wasm" };

static const uint8_t tiny[] = { 0, 'a', 's', 'm', 1, 0, 0, 0, 0, 5, 1, 'x', 1, 2, 3 };
static const struct span tiny_module = { tiny, sizeof(tiny) };

/* ---- with the vectors ---- */

static void each_vector_verifies_with_its_key(void **state)
{
	(void)state;
	struct file pk = vector("pk");
	struct sig_public keys[2] = { { { 0 } }, public_of(&pk) };
	struct sig_secret unused;
	assert_int_equal(sig_keygen(&unused, &keys[0]), 0);
	for (size_t i = 0; i < ARRAY_LEN(signed_vectors); i++) {
		struct file m = vector(signed_vectors[i]);
		size_t index;
		assert_int_equal(sig_verify(span_of(&m), keys, 2, &index, NULL), 0);
		assert_int_equal(index, 1);
	}
}

static void another_key_is_not_trusted_and_the_reason_names_the_right_one(void **state)
{
	(void)state;
	struct file pk = vector("pk");
	char id[SIG_KEY_ID_TEXT];
	const struct sig_public right = public_of(&pk);
	sig_key_id(&right, id);
	struct sig_public other;
	struct sig_secret unused;
	assert_int_equal(sig_keygen(&unused, &other), 0);
	for (size_t i = 0; i < ARRAY_LEN(signed_vectors); i++) {
		struct file m = vector(signed_vectors[i]);
		struct why why = { 0 };
		size_t index;
		assert_int_equal(sig_verify(span_of(&m), &other, 1, &index, &why), -E_TRUST);
		assert_non_null(strstr(why.text, i == 2 ? "(none)" : id));
		assert_int_equal(sig_verify(span_of(&m), NULL, 0, &index, NULL), -E_TRUST);
	}
}

static void any_changed_byte_is_refused(void **state)
{
	(void)state;
	struct file pk = vector("pk");
	const struct sig_public key = public_of(&pk);
	for (size_t i = 0; i < ARRAY_LEN(signed_vectors); i++) {
		struct file m = vector(signed_vectors[i]);
		for (size_t at = 0; at < m.len; at++) {
			uint8_t good = m.bytes[at];
			for (unsigned change = 1; change < 256; change++) {
				m.bytes[at] = good ^ (uint8_t)change;
				if (verify(span_of(&m), &key, 1) == 0)
					fail_msg("%s: byte %zu ^ %u", signed_vectors[i], at,
						 change);
			}
			m.bytes[at] = good;
		}
		assert_int_equal(verify(span_of(&m), &key, 1), 0);
	}
}

static void any_truncation_and_any_addition_is_refused(void **state)
{
	(void)state;
	struct file pk = vector("pk");
	const struct sig_public key = public_of(&pk);
	for (size_t i = 0; i < ARRAY_LEN(signed_vectors); i++) {
		struct file m = vector(signed_vectors[i]);
		for (size_t cut = 0; cut < m.len; cut++)
			assert_true(verify((struct span){ m.bytes, cut }, &key, 1) < 0);
		/* what wasmsign2's verify_multi lets pass: a trailing custom section */
		memcpy(m.bytes + m.len, "\0\2\1x", 4);
		assert_int_equal(verify((struct span){ m.bytes, m.len + 4 }, &key, 1),
				 -E_SIGNATURE);
	}
}

static void a_second_signature_section_is_refused(void **state)
{
	(void)state;
	struct file pk = vector("pk"), m = vector("m.simple.wasm");
	const struct sig_public key = public_of(&pk);
	const size_t section = 3 + 0x81; /* id, two bytes of size, payload */
	struct file twice = m;
	memcpy(twice.bytes + 8 + section, m.bytes + 8, m.len - 8);
	twice.len += section;
	assert_int_equal(verify(span_of(&twice), &key, 1), -E_SIGNATURE);
	struct file last = m;
	memcpy(last.bytes + m.len, m.bytes + 8, section);
	last.len += section;
	assert_int_equal(verify(span_of(&last), &key, 1), -E_SIGNATURE);
}

static void an_unsigned_module_is_named_as_such(void **state)
{
	(void)state;
	struct why why = { 0 };
	size_t index;
	assert_int_equal(sig_verify(tiny_module, NULL, 0, &index, &why), -E_SIGNATURE);
	assert_non_null(strstr(why.text, "not signed"));
}

static void what_we_sign_is_what_wasmsign2_writes(void **state)
{
	(void)state;
	struct file sk = vector("sk"), m = vector("m.wasm"), want = vector("m.simple.wasm");
	struct sig_secret secret;
	assert_int_equal(sig_secret_parse(span_of(&sk), &secret, NULL), 0);
	uint8_t *bytes;
	size_t len;
	assert_int_equal(sig_sign(span_of(&m), &secret, &bytes, &len, NULL), 0);
	assert_int_equal(len, want.len);
	/* Ed25519 is deterministic, so even the signature is the same. */
	assert_memory_equal(bytes, want.bytes, len);
	free(bytes);
}

/* ---- without ---- */

static void what_we_sign_verifies_and_signing_again_replaces(void **state)
{
	(void)state;
	struct sig_secret a, b;
	struct sig_public pa, pb;
	assert_int_equal(sig_keygen(&a, &pa), 0);
	assert_int_equal(sig_keygen(&b, &pb), 0);
	uint8_t *one, *two;
	size_t len, again, n;
	assert_int_equal(sig_sign(tiny_module, &a, &one, &len, NULL), 0);
	assert_int_equal(verify((struct span){ one, len }, &pa, 1), 0);
	assert_int_equal(sig_sign((struct span){ one, len }, &b, &two, &again, NULL), 0);
	assert_int_equal(again, len);
	assert_int_equal(verify((struct span){ two, len }, &pb, 1), 0);
	assert_int_equal(verify((struct span){ two, len }, &pa, 1), -E_TRUST);
	struct sig_seen seen[4];
	assert_int_equal(sig_list((struct span){ two, len }, seen, 4, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_true(seen[0].covers);
	free(one);
	free(two);
}

/* A module of parts between delimiters, signed over the hashes in `which`. */
static size_t multi(const struct sig_secret *sk, const char *which, uint8_t *out, size_t cap)
{
	uint8_t rest[256], message[256], sig[64], payload[512];
	size_t end[3];
	struct wr r = wr_into(rest, sizeof(rest)), m = wr_into(message, sizeof(message));
	for (unsigned i = 0; i < 2; i++) {
		wr_bytes(&r, i ? "\0\2\1y" : "\0\2\1x", 4);
		wr_u8(&r, 0);
		wr_leb_u32(&r, 36);
		wr_leb_u32(&r, 19);
		wr_str(&r, "signature_delimiter");
		wr_bytes(&r, "0123456789abcdef", 16);
		end[i] = r.len;
	}
	wr_bytes(&r, "\0\2\1z", 4);
	end[2] = r.len;
	wr_bytes(&m, "wasmsig\1\1\1", 10);
	for (const char *c = which; *c; c++) {
		uint8_t hash[32];
		crypto_hash_sha256(hash, rest, end[*c - '0']);
		wr_bytes(&m, hash, sizeof(hash));
	}
	crypto_sign_detached(sig, NULL, message, m.len, sk->key);
	struct wr p = wr_into(payload, sizeof(payload));
	wr_bytes(&p, "\x09signature\1\1\1\1", 14);
	size_t hashes = m.len - 10;
	wr_leb_u32(&p, (uint32_t)(1 + hashes + 1 + 1 + 67));
	wr_leb_u32(&p, (uint32_t)strlen(which));
	wr_bytes(&p, message + 10, hashes);
	wr_bytes(&p, "\1\x43\0\1\x40", 5);
	wr_bytes(&p, sig, sizeof(sig));
	struct wr w = wr_into(out, cap);
	wr_bytes(&w, tiny, 8);
	wr_u8(&w, 0);
	wr_leb_u32(&w, (uint32_t)p.len);
	wr_bytes(&w, payload, p.len);
	wr_bytes(&w, rest, r.len);
	assert_true(wr_ok(&w) && wr_ok(&r) && wr_ok(&m) && wr_ok(&p));
	return w.len;
}

static void only_signatures_over_the_whole_module_count(void **state)
{
	(void)state;
	static const struct {
		const char *which;
		int want;
	} row[] = {
		{ "012", 0 },
		{ "2", 0 },
		{ "0", -E_SIGNATURE },
		{ "1", -E_SIGNATURE },
		{ "01", -E_SIGNATURE },
		{ "02", -E_SIGNATURE },
		{ "210", -E_SIGNATURE },
		{ "0122", -E_SIGNATURE },
	};
	struct sig_secret sk;
	struct sig_public pk;
	assert_int_equal(sig_keygen(&sk, &pk), 0);
	uint8_t bytes[1024];
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		size_t len = multi(&sk, row[i].which, bytes, sizeof(bytes));
		assert_int_equal(verify((struct span){ bytes, len }, &pk, 1), row[i].want);
	}
}

/* A module with n signatures by nobody. */
static struct span crowded(unsigned n, uint8_t *bytes, size_t cap)
{
	static const uint8_t one[69] = { 67, 0, 1, 64 };
	uint8_t hash[32];
	const uint32_t count = n < 128 ? 1 : 2,
		       set = 1 + 32 + count + n * (uint32_t)sizeof(one) - n;
	struct wr w = wr_into(bytes, cap), size = wr_into(hash, sizeof(hash));
	wr_leb_u32(&size, set);
	wr_bytes(&w, tiny, 8);
	wr_u8(&w, 0);
	wr_leb_u32(&w, (uint32_t)(10 + 4 + size.len + set));
	wr_bytes(&w, "\x09signature\1\1\1\1", 14);
	wr_leb_u32(&w, set);
	wr_u8(&w, 1);
	crypto_hash_sha256(hash, tiny + 8, sizeof(tiny) - 8);
	wr_bytes(&w, hash, sizeof(hash));
	wr_leb_u32(&w, n);
	for (unsigned i = 0; i < n; i++)
		wr_bytes(&w, one, sizeof(one) - 1);
	wr_bytes(&w, tiny + 8, sizeof(tiny) - 8);
	assert_true(wr_ok(&w));
	return (struct span){ bytes, w.len };
}

static void signatures_without_end_are_not_all_tried(void **state)
{
	(void)state;
	static uint8_t bytes[32768];
	struct sig_secret sk;
	struct sig_public pk;
	assert_int_equal(sig_keygen(&sk, &pk), 0);
	assert_int_equal(verify(crowded(SIG_SIGNATURES_MAX, bytes, sizeof(bytes)), &pk, 1),
			 -E_TRUST);
	assert_int_equal(verify(crowded(SIG_SIGNATURES_MAX + 1, bytes, sizeof(bytes)), &pk, 1),
			 -E_SIGNATURE);
}

static void key_files_are_read_and_mixed_up_ones_named(void **state)
{
	(void)state;
	uint8_t pub[33] = { 0x01 }, sec[65] = { 0x81 };
	struct sig_secret sk;
	struct sig_public pk, got;
	assert_int_equal(sig_keygen(&sk, &pk), 0);
	memcpy(pub + 1, pk.key, 32);
	memcpy(sec + 1, sk.key, 64);
	assert_int_equal(sig_public_parse((struct span){ pub, 33 }, &got, NULL), 0);
	assert_memory_equal(got.key, pk.key, 32);
	assert_int_equal(sig_secret_parse((struct span){ sec, 65 }, &sk, NULL), 0);

	uint8_t blob[51] = { 0,   0,   0,   11,  's', 's', 'h', '-', 'e', 'd',
			     '2', '5', '5', '1', '9', 0,   0,   0,   32 };
	char base64[128], line[256];
	memcpy(blob + 19, pk.key, 32);
	sodium_bin2base64(base64, sizeof(base64), blob, 51, sodium_base64_VARIANT_ORIGINAL);
	int n = snprintf(line, sizeof(line), "ssh-ed25519 %s me@laptop\n", base64);
	const struct span ssh = { (const uint8_t *)line, (size_t)n };
	memset(&got, 0, sizeof(got));
	assert_int_equal(sig_public_parse(ssh, &got, NULL), 0);
	assert_memory_equal(got.key, pk.key, 32);
	for (size_t cut = 0; cut < 12 + strlen(base64); cut++)
		assert_int_equal(sig_public_parse((struct span){ ssh.at, cut }, &got, NULL),
				 -E_INVALID);

	struct why why = { 0 };
	assert_int_equal(sig_public_parse((struct span){ sec, 65 }, &got, &why), -E_INVALID);
	assert_non_null(strstr(why.text, "secret"));
	why.text[0] = '\0';
	assert_int_equal(sig_secret_parse((struct span){ pub, 33 }, &sk, &why), -E_INVALID);
	assert_non_null(strstr(why.text, "public"));
	sec[64] ^= 1;
	assert_int_equal(sig_secret_parse((struct span){ sec, 65 }, &sk, NULL), -E_INVALID);
	memset(pub + 1, 0, 32); /* of small order: anybody can sign for it */
	assert_int_equal(sig_public_parse((struct span){ pub, 33 }, &got, NULL), -E_INVALID);
}

static int setup(void **state)
{
	(void)state;
	return sig_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_vector_verifies_with_its_key),
		cmocka_unit_test(another_key_is_not_trusted_and_the_reason_names_the_right_one),
		cmocka_unit_test(any_changed_byte_is_refused),
		cmocka_unit_test(any_truncation_and_any_addition_is_refused),
		cmocka_unit_test(a_second_signature_section_is_refused),
		cmocka_unit_test(an_unsigned_module_is_named_as_such),
		cmocka_unit_test(what_we_sign_is_what_wasmsign2_writes),
		cmocka_unit_test(what_we_sign_verifies_and_signing_again_replaces),
		cmocka_unit_test(only_signatures_over_the_whole_module_count),
		cmocka_unit_test(signatures_without_end_are_not_all_tried),
		cmocka_unit_test(key_files_are_read_and_mixed_up_ones_named),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
