/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Module signatures in the format of WebAssembly/tool-conventions Signatures.md as wasmsign2 0.2.6
 * writes it, Ed25519 over SHA-256 (shared/facts/wasm-signatures.md has the layout and what went
 * wrong elsewhere). Whole-module meaning only: the signature section is first and alone, it covers
 * every byte after itself, the 8 header bytes are pinned.
 */
#ifndef PROTO_SIGNATURE_H
#define PROTO_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rd.h"
#include "base/why.h"

enum {
	SIG_PUBLIC_BYTES = 32,
	SIG_SECRET_BYTES = 64,    /* seed || public key, as in libsodium */
	SIG_KEY_ID_BYTES = 12,    /* HMAC-SHA256(key = public key, "key_id"), cut */
	SIG_KEY_ID_TEXT = 24 + 1, /* in hex, with NUL */
	SIG_HASHES_MAX = 64,
	SIG_SIGNATURES_MAX = 256,
};

struct sig_public {
	uint8_t key[SIG_PUBLIC_BYTES];
};

struct sig_secret {
	uint8_t key[SIG_SECRET_BYTES]; /* sodium_memzero() it when done */
};

/* Once per process, before anything else here. -EIO when libsodium cannot start. */
int sig_init(void) MUST_USE;

int sig_keygen(struct sig_secret *ret_secret, struct sig_public *ret_public) MUST_USE;
void sig_key_id(const struct sig_public *pk, char ret_hex[SIG_KEY_ID_TEXT]);

/* Key files: 0x01 || public (33 bytes), 0x81 || seed || public (65); an OpenSSH "ssh-ed25519 ..."
 * public line is accepted too. -E_INVALID with the reason. */
int sig_public_parse(struct span file, struct sig_public *ret, struct why *why) MUST_USE;
int sig_secret_parse(struct span file, struct sig_secret *ret, struct why *why) MUST_USE;

/* A malloc'd copy of the module with one signature section in front; an earlier one is replaced. */
int sig_sign(struct span module, const struct sig_secret *sk, uint8_t **ret_bytes, size_t *ret_len,
	     struct why *why) MUST_USE;

/* Does a signature by one of keys[0..n) cover the whole module? Returns 0 and the index of the key;
 * -E_INVALID: not a module; -E_SIGNATURE: none there, malformed, a second section, or bytes that
 * were changed; -E_TRUST: well-formed, but none of the signatures is by one of the keys (why names
 * the key ids it has). */
int sig_verify(struct span module, const struct sig_public *keys, size_t n, size_t *ret_index,
	       struct why *why) MUST_USE;

/* What a module carries, believed or not, for people who inspect it: up to cap signatures. Errors
 * as of sig_verify. */
struct sig_seen {
	struct span key_id; /* in the module; may be empty */
	bool covers;        /* it speaks of all of the module's bytes */
};
int sig_list(struct span module, struct sig_seen *ret, size_t cap, size_t *ret_n,
	     struct why *why) MUST_USE;

#endif
