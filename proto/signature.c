/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout (shared facts, read off what wasmsign2 writes); lengths and counts are LEB128:
 *
 *	01 01 01                        version, content type Wasm, hash function SHA-256
 *	count of sets, then each:       length, { count, hashes of 32 bytes, count of signatures,
 *	  then each:                    length, { length, key id, 01 = Ed25519, 64, signature } }
 *
 * Signed are "wasmsig" 01 01 01 and the set's hashes. A hash is over all bytes from the end of the
 * signature section to the end of a `signature_delimiter` section, or of the module. A set counts
 * here only when its last hash reaches the end of the module.
 */
#include "proto/signature.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/own.h"
#include "base/wr.h"
#include "proto/envelope.h"

#define SECTION_SIGNATURE "signature"
#define SECTION_DELIMITER "signature_delimiter"

enum {
	HASH_BYTES = crypto_hash_sha256_BYTES,
	SIGNATURE_BYTES = crypto_sign_BYTES,
	ALG_ED25519 = 1,
	SIGNATURE_LEAST_BYTES = 1 + 1 + 1 + 1 + SIGNATURE_BYTES, /* without key id */
	SET_LEAST_BYTES = 1 + 1 + 1,
	FILE_PUBLIC = 0x01,
	FILE_SECRET = 0x81,
	OPENSSH_BYTES = 4 + 11 + 4 + SIG_PUBLIC_BYTES,
	KEY_IDS_SHOWN = 4,
	OWN_SECTION_BYTES_MAX = 256, /* of the section that sig_sign writes */
};
_Static_assert(SIG_PUBLIC_BYTES == crypto_sign_PUBLICKEYBYTES, "Ed25519");
_Static_assert(SIG_SECRET_BYTES == crypto_sign_SECRETKEYBYTES, "Ed25519");

static const uint8_t spec[3] = { 1, 1, 1 };
static const char message_prefix[] = "wasmsig";

int sig_init(void)
{
	return sodium_init() < 0 ? -EIO : 0;
}

/* ---- keys ---- */

int sig_keygen(struct sig_secret *ret_secret, struct sig_public *ret_public)
{
	return crypto_sign_keypair(ret_public->key, ret_secret->key) == 0 ? 0 : -EIO;
}

static void key_id(const struct sig_public *pk, uint8_t ret_id[SIG_KEY_ID_BYTES])
{
	static const uint8_t text[] = { 'k', 'e', 'y', '_', 'i', 'd' };
	crypto_auth_hmacsha256_state h;
	uint8_t mac[crypto_auth_hmacsha256_BYTES];
	(void)crypto_auth_hmacsha256_init(&h, pk->key, sizeof(pk->key));
	(void)crypto_auth_hmacsha256_update(&h, text, sizeof(text));
	(void)crypto_auth_hmacsha256_final(&h, mac);
	memcpy(ret_id, mac, SIG_KEY_ID_BYTES);
}

void sig_key_id(const struct sig_public *pk, char ret_hex[SIG_KEY_ID_TEXT])
{
	uint8_t id[SIG_KEY_ID_BYTES];
	key_id(pk, id);
	(void)sodium_bin2hex(ret_hex, SIG_KEY_ID_TEXT, id, sizeof(id));
}

/* A point that signatures can be checked with: on the curve, canonical, not of small order (with
 * such a key anybody can sign). */
static int public_take(const uint8_t *bytes, struct sig_public *ret, struct why *why)
{
	if (crypto_core_ed25519_is_valid_point(bytes) != 1)
		return why_set(why, -E_INVALID, "these 32 bytes are no Ed25519 public key");
	memcpy(ret->key, bytes, SIG_PUBLIC_BYTES);
	return 0;
}

/* "ssh-ed25519 BASE64 comment" */
static int openssh_parse(struct span file, struct sig_public *ret, struct why *why)
{
	static const char kind[] = "ssh-ed25519";
	uint8_t blob[OPENSSH_BYTES];
	size_t len;
	const char *text = (const char *)file.at + sizeof(kind); /* the space counts for its NUL */
	size_t left = file.len - sizeof(kind), word = 0;
	while (word < left && text[word] != ' ' && text[word] != '\r' && text[word] != '\n')
		word++;
	if (sodium_base642bin(blob, sizeof(blob), text, word, NULL, &len, NULL,
			      sodium_base64_VARIANT_ORIGINAL) != 0)
		len = 0;
	/* SSH's numbers are big endian. */
	static const uint8_t head[] = { 0,   0,   0,   11,  's', 's', 'h', '-', 'e', 'd',
					'2', '5', '5', '1', '9', 0,   0,   0,   32 };
	if (len != sizeof(blob) || memcmp(blob, head, sizeof(head)) != 0)
		return why_set(why, -E_INVALID, "the OpenSSH key is malformed");
	return public_take(blob + sizeof(head), ret, why);
}

int sig_public_parse(struct span file, struct sig_public *ret, struct why *why)
{
	static const char ssh[] = "ssh-ed25519 ";
	if (file.len == 1 + SIG_PUBLIC_BYTES && file.at[0] == FILE_PUBLIC)
		return public_take(file.at + 1, ret, why);
	if (file.len > sizeof(ssh) && memcmp(file.at, ssh, sizeof(ssh) - 1) == 0)
		return openssh_parse(file, ret, why);
	if (file.len == 1 + SIG_SECRET_BYTES && file.at[0] == FILE_SECRET)
		return why_set(
			why, -E_INVALID,
			"this is a secret key; give the public one (FILE.pub), and keep this one "
			"to yourself");
	return why_set(why, -E_INVALID,
		       "not a public key: a file of 33 bytes that begins with 01, or a line "
		       "\"ssh-ed25519 ...\", is needed");
}

int sig_secret_parse(struct span file, struct sig_secret *ret, struct why *why)
{
	if (file.len == 1 + SIG_PUBLIC_BYTES && file.at[0] == FILE_PUBLIC)
		return why_set(why, -E_INVALID,
			       "this is a public key; signing needs the secret one (FILE.key)");
	if (file.len != 1 + SIG_SECRET_BYTES || file.at[0] != FILE_SECRET)
		return why_set(
			why, -E_INVALID,
			"not a secret key: a file of 65 bytes that begins with 81 is needed");
	struct sig_public pk;
	struct sig_secret sk;
	(void)crypto_sign_seed_keypair(pk.key, sk.key, file.at + 1);
	bool same = sodium_memcmp(sk.key, file.at + 1, sizeof(sk.key)) == 0;
	if (same)
		memcpy(ret->key, sk.key, sizeof(sk.key));
	sodium_memzero(&sk, sizeof(sk));
	if (!same)
		return why_set(why, -E_INVALID, "the key's two halves do not belong together");
	return 0;
}

/* ---- what a module carries ---- */

struct one_signature {
	struct span key_id, bytes;
};

struct set {
	struct span hashes;
	struct rd signatures; /* checked: walking them cannot fail */
	uint32_t nsignatures;
};

/* The hashes that this module really has: at each delimiter, and at its end. */
struct rolling {
	uint8_t hash[SIG_HASHES_MAX][HASH_BYTES];
	size_t n;
};

static bool signature_next(struct rd *r, struct one_signature *ret)
{
	struct span body = rd_span(r, rd_leb_u32(r));
	struct rd b = rd_from(body.at, body.len);
	ret->key_id = rd_span(&b, rd_leb_u32(&b));
	uint8_t alg = rd_u8(&b);
	uint32_t len = rd_leb_u32(&b);
	ret->bytes = rd_span(&b, len);
	if (!rd_done(&b) || alg != ALG_ED25519 || len != SIGNATURE_BYTES)
		rd_fail(r, -E_SIGNATURE);
	return rd_ok(r);
}

static bool set_next(struct rd *r, struct set *ret)
{
	struct span body = rd_span(r, rd_leb_u32(r));
	struct rd b = rd_from(body.at, body.len);
	uint32_t nhashes = rd_leb_count(&b, HASH_BYTES);
	ret->hashes = rd_span(&b, (size_t)nhashes * HASH_BYTES);
	ret->nsignatures = rd_leb_count(&b, SIGNATURE_LEAST_BYTES);
	ret->signatures = b;
	struct one_signature s;
	for (uint32_t i = 0; i < ret->nsignatures && signature_next(&b, &s); i++)
		;
	if (!rd_done(&b) || nhashes == 0 || nhashes > SIG_HASHES_MAX)
		rd_fail(r, -E_SIGNATURE);
	return rd_ok(r);
}

/* Positions *ret_sets at the first set. The whole payload is checked here, once. */
static int payload_open(struct span payload, struct rd *ret_sets, uint32_t *ret_nsets,
			struct why *why)
{
	struct rd r = rd_from(payload.at, payload.len);
	struct span head = rd_span(&r, sizeof(spec));
	if (!rd_ok(&r) || memcmp(head.at, spec, sizeof(spec)) != 0)
		return why_set(why, -E_SIGNATURE,
			       "the signature is of a kind that is not known here; Ed25519 over "
			       "SHA-256, version 1, is needed");
	uint32_t nsets = rd_leb_count(&r, SET_LEAST_BYTES);
	if (!rd_ok(&r) || nsets > SIG_HASHES_MAX)
		return why_set(why, -E_SIGNATURE, "the signature section is malformed");
	*ret_sets = r;
	*ret_nsets = nsets;
	uint32_t total = 0;
	struct set set;
	for (uint32_t i = 0; i < nsets && set_next(&r, &set); i++) {
		if (set.nsignatures > SIG_SIGNATURES_MAX - total)
			return why_set(why, -E_SIGNATURE, "more than %d signatures",
				       SIG_SIGNATURES_MAX);
		total += set.nsignatures;
	}
	if (!rd_done(&r))
		return why_set(why, -E_SIGNATURE, "the signature section is malformed");
	return 0;
}

/* One walk over the module: its signature section's payload, and its hashes. */
static int module_walk(struct span module, struct span *ret_payload, struct rolling *ret,
		       struct why *why)
{
	struct envelope e;
	struct section s;
	crypto_hash_sha256_state running, copy;
	size_t hashed = 0; /* up to this offset; 0 = no signature section so far */
	int more = envelope_open(&e, module.at, module.len, why);
	if (more < 0)
		return more;
	ret->n = 0;
	(void)crypto_hash_sha256_init(&running);
	while ((more = envelope_next(&e, &s, why)) > 0) {
		size_t end = module.len - e.rest.left;
		bool is_signature = s.id == 0 && span_eq(s.name, SECTION_SIGNATURE);
		if (is_signature && s.offset != ENVELOPE_HEADER_BYTES)
			return why_set(why, -E_SIGNATURE,
				       "at offset 0x%zx: a signature section that is not the first "
				       "and only one",
				       s.offset);
		if (is_signature) {
			*ret_payload = s.payload;
			hashed = end;
		}
		if (hashed == 0 || s.id != 0 || !span_eq(s.name, SECTION_DELIMITER))
			continue;
		if (ret->n >= SIG_HASHES_MAX - 1)
			return why_set(why, -E_SIGNATURE, "more than %d signature delimiters",
				       SIG_HASHES_MAX - 1);
		(void)crypto_hash_sha256_update(&running, module.at + hashed, end - hashed);
		hashed = end;
		copy = running;
		(void)crypto_hash_sha256_final(&copy, ret->hash[ret->n++]);
	}
	if (more < 0)
		return more;
	if (hashed == 0)
		return why_set(why, -E_SIGNATURE, "the module is not signed");
	if (hashed < module.len || ret->n == 0) {
		(void)crypto_hash_sha256_update(&running, module.at + hashed, module.len - hashed);
		(void)crypto_hash_sha256_final(&running, ret->hash[ret->n++]);
	}
	return 0;
}

/* Either the one hash of everything, or every hash that the module's delimiters call for. */
static bool covers_all(struct span hashes, const struct rolling *have)
{
	if (hashes.len == HASH_BYTES)
		return sodium_memcmp(hashes.at, have->hash[have->n - 1], HASH_BYTES) == 0;
	return hashes.len == have->n * HASH_BYTES &&
	       sodium_memcmp(hashes.at, have->hash, hashes.len) == 0;
}

/* ---- verifying ---- */

struct verdict {
	bool found;
	size_t key;
	bool covered;  /* a set speaks of exactly these bytes */
	bool forged;   /* a trusted key is named, but its signature does not match */
	unsigned nids; /* signatures seen over these bytes */
	struct wr ids; /* their key ids, for people */
};

static void note_id(struct verdict *v, struct span id)
{
	char hex[SIG_KEY_ID_TEXT] = "(none)";
	size_t shown = id.len < SIG_KEY_ID_BYTES ? id.len : SIG_KEY_ID_BYTES;
	if (shown > 0)
		(void)sodium_bin2hex(hex, sizeof(hex), id.at, shown);
	if (v->nids < KEY_IDS_SHOWN)
		wr_fmt(&v->ids, "%s%s", v->nids ? ", " : "", hex);
	v->nids++;
}

static void try_keys(const struct one_signature *s, struct span message,
		     const struct sig_public *keys, size_t n, struct verdict *v)
{
	uint8_t id[SIG_KEY_ID_BYTES];
	for (size_t i = 0; i < n; i++) {
		key_id(&keys[i], id);
		bool named =
			s->key_id.len == sizeof(id) && memcmp(s->key_id.at, id, sizeof(id)) == 0;
		if (s->key_id.len > 0 && !named)
			continue;
		if (crypto_sign_verify_detached(s->bytes.at, message.at, message.len,
						keys[i].key) == 0) {
			v->found = true;
			v->key = i;
			return;
		}
		v->forged = v->forged || named;
	}
}

static void try_set(const struct set *set, const struct sig_public *keys, size_t n,
		    struct verdict *v)
{
	uint8_t message[sizeof(message_prefix) + sizeof(spec) + SIG_HASHES_MAX * HASH_BYTES];
	struct wr w = wr_into(message, sizeof(message));
	wr_str(&w, message_prefix);
	wr_bytes(&w, spec, sizeof(spec));
	wr_bytes(&w, set->hashes.at, set->hashes.len);
	ENSURE(wr_ok(&w));
	struct rd r = set->signatures;
	struct one_signature s;
	v->covered = true;
	for (uint32_t i = 0; i < set->nsignatures && !v->found && signature_next(&r, &s); i++) {
		note_id(v, s.key_id);
		try_keys(&s, (struct span){ message, w.len }, keys, n, v);
	}
}

int sig_verify(struct span module, const struct sig_public *keys, size_t n, size_t *ret_index,
	       struct why *why)
{
	struct span payload;
	struct rolling have;
	struct rd sets;
	uint32_t nsets;
	int err = module_walk(module, &payload, &have, why);
	if (err == 0)
		err = payload_open(payload, &sets, &nsets, why);
	if (err < 0)
		return err;
	char ids[KEY_IDS_SHOWN * (SIG_KEY_ID_TEXT + 2)] = "";
	struct verdict v = { .ids = wr_into(ids, sizeof(ids) - 1) };
	struct set set;
	for (uint32_t i = 0; i < nsets && !v.found && set_next(&sets, &set); i++) {
		if (covers_all(set.hashes, &have))
			try_set(&set, keys, n, &v);
	}
	if (v.found) {
		*ret_index = v.key;
		return 0;
	}
	if (!v.covered)
		return why_set(
			why, -E_SIGNATURE,
			"the module was changed after it was signed, or only a part of it was "
			"signed");
	if (v.forged)
		return why_set(why, -E_SIGNATURE, "the signature does not match the key it names");
	return why_set(why, -E_TRUST, "no trusted key has signed it; it is signed by key %.*s%s",
		       (int)v.ids.len, ids, v.nids > KEY_IDS_SHOWN ? ", ..." : "");
}

int sig_list(struct span module, struct sig_seen *ret, size_t cap, size_t *ret_n, struct why *why)
{
	struct span payload;
	struct rolling have;
	struct rd sets;
	uint32_t nsets;
	int err = module_walk(module, &payload, &have, why);
	if (err == 0)
		err = payload_open(payload, &sets, &nsets, why);
	if (err < 0)
		return err;
	size_t n = 0;
	struct set set;
	struct one_signature s;
	for (uint32_t i = 0; i < nsets && set_next(&sets, &set); i++) {
		bool covers = covers_all(set.hashes, &have);
		for (uint32_t k = 0; k < set.nsignatures && n < cap; k++) {
			if (!signature_next(&set.signatures, &s))
				break;
			ret[n++] = (struct sig_seen){ .key_id = s.key_id, .covers = covers };
		}
	}
	*ret_n = n;
	return 0;
}

/* ---- signing ---- */

/* The signature section over these bytes (the module after its header). */
static void section_write(struct span rest, const struct sig_secret *sk, struct wr *out)
{
	uint8_t message[sizeof(message_prefix) - 1 + sizeof(spec) + HASH_BYTES];
	uint8_t *hash = message + sizeof(message) - HASH_BYTES;
	memcpy(message, message_prefix, sizeof(message_prefix) - 1);
	memcpy(message + sizeof(message_prefix) - 1, spec, sizeof(spec));
	(void)crypto_hash_sha256(hash, rest.at, rest.len);
	uint8_t signature[SIGNATURE_BYTES], id[SIG_KEY_ID_BYTES];
	struct sig_public pk;
	(void)crypto_sign_detached(signature, NULL, message, sizeof(message), sk->key);
	memcpy(pk.key, sk->key + SIG_SECRET_BYTES - SIG_PUBLIC_BYTES, SIG_PUBLIC_BYTES);
	key_id(&pk, id);

	const uint32_t one = 1 + sizeof(id) + 1 + 1 + sizeof(signature);
	const uint32_t set = 1 + HASH_BYTES + 1 + 1 + one;
	const uint32_t name = sizeof(SECTION_SIGNATURE) - 1;
	_Static_assert(1 + sizeof(id) + 1 + 1 + sizeof(signature) < 0x80, "lengths of one byte");
	_Static_assert(1 + HASH_BYTES + 1 + 1 + 1 + SIG_KEY_ID_BYTES + 2 + SIGNATURE_BYTES < 0x80,
		       "lengths of one byte");
	wr_u8(out, 0);
	wr_leb_u32(out, 1 + name + sizeof(spec) + 1 + 1 + set);
	wr_leb_u32(out, name);
	wr_str(out, SECTION_SIGNATURE);
	wr_bytes(out, spec, sizeof(spec));
	wr_leb_u32(out, 1);
	wr_leb_u32(out, set);
	wr_leb_u32(out, 1);
	wr_bytes(out, hash, HASH_BYTES);
	wr_leb_u32(out, 1);
	wr_leb_u32(out, one);
	wr_leb_u32(out, sizeof(id));
	wr_bytes(out, id, sizeof(id));
	wr_u8(out, ALG_ED25519);
	wr_leb_u32(out, sizeof(signature));
	wr_bytes(out, signature, sizeof(signature));
}

int sig_sign(struct span module, const struct sig_secret *sk, uint8_t **ret_bytes, size_t *ret_len,
	     struct why *why)
{
	struct envelope e;
	struct section s;
	int more = envelope_open(&e, module.at, module.len, why);
	if (more < 0)
		return more;
	size_t room = module.len + OWN_SECTION_BYTES_MAX;
	/* The sections are gathered first, behind the room that the new one may take. */
	OWN_FREE uint8_t *bytes = malloc(room);
	if (!bytes)
		return why_set(why, -ENOMEM, "out of memory for %zu bytes", room);
	struct wr rest = wr_into(bytes + OWN_SECTION_BYTES_MAX, module.len);
	while ((more = envelope_next(&e, &s, why)) > 0) {
		size_t end = module.len - e.rest.left;
		if (s.id != 0 || !span_eq(s.name, SECTION_SIGNATURE))
			wr_bytes(&rest, module.at + s.offset, end - s.offset);
	}
	if (more < 0)
		return more;
	uint8_t own[OWN_SECTION_BYTES_MAX];
	struct wr w = wr_into(own, sizeof(own));
	wr_bytes(&w, module.at, ENVELOPE_HEADER_BYTES);
	section_write((struct span){ rest.buf, rest.len }, sk, &w);
	ENSURE(wr_ok(&w) && wr_ok(&rest));
	memmove(bytes + w.len, rest.buf, rest.len);
	memcpy(bytes, own, w.len);
	/* What no verifier would accept (too many delimiters) is not handed out as signed. */
	struct sig_public pk;
	size_t index;
	memcpy(pk.key, sk->key + SIG_SECRET_BYTES - SIG_PUBLIC_BYTES, SIG_PUBLIC_BYTES);
	int err = sig_verify((struct span){ bytes, w.len + rest.len }, &pk, 1, &index, why);
	if (err < 0)
		return err;
	*ret_len = w.len + rest.len;
	*ret_bytes = ptr_steal(&bytes);
	return 0;
}
