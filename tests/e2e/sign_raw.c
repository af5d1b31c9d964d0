/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sign_raw KEY IN OUT: signs whatever bytes are in IN. `penstock sign` refuses modules that no
 * gateway would take; whether the gateway refuses them too is what the tests want to know.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "proto/signature.h"

static uint8_t *load(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "re");
	uint8_t *bytes = malloc(64 << 20);

	if (!f || !bytes) {
		perror(path);
		exit(1);
	}
	*ret_len = fread(bytes, 1, 64 << 20, f);
	fclose(f);
	return bytes;
}

int main(int argc, char **argv)
{
	struct sig_secret secret;
	struct why why = { 0 };
	uint8_t *signed_bytes;
	size_t key_len, len, signed_len;

	if (argc != 4 || sig_init() < 0)
		return 64;
	uint8_t *key = load(argv[1], &key_len), *bytes = load(argv[2], &len);
	if (sig_secret_parse((struct span){ key, key_len }, &secret, &why) < 0 ||
	    sig_sign((struct span){ bytes, len }, &secret, &signed_bytes, &signed_len, &why) < 0) {
		fprintf(stderr, "sign_raw: %s\n", why.text);
		return 1;
	}
	FILE *f = fopen(argv[3], "we");
	bool ok = f && fwrite(signed_bytes, 1, signed_len, f) == signed_len && fclose(f) == 0;
	free(signed_bytes);
	free(bytes);
	free(key);
	return ok ? 0 : 1;
}
