/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of native code in STATE_DIR/code. Code is never believed because it lies there: each
 * file carries a keyed BLAKE2b (the device's key, STATE_DIR/device.key) over the code and over what
 * it was made from, so a file that was changed, copied from another device, or made from other Wasm,
 * by another compiler or for another CPU is not loaded but compiled again from the stored Wasm.
 *
 *	"PNSTCODE", u32 format, u32 ABI, u16 n hash[n], u16 n compiler[n], u16 n cpu[n],
 *	u64 code bytes, MAC (32 bytes, over all before it and the code), code
 *
 * What protects: whoever can write the directory but not read the key (a restored backup, another
 * service, a disk in other hands for a while) cannot make us run native code that we did not make.
 * Whoever reads the key is us. The registry is not sealed: whoever can write it can trust a key of
 * his own, or name another module that lies in modules/, and that runs, as any Wasm, in the sandbox.
 * The code of an older version of a function is as good as that of the newest: which one runs is
 * what the registry says.
 *
 * Beside it, when [compile] reuse_objects says so, are the objects that the code was linked from
 * (magic "PNSTOBJS", else the same): the next version's compile takes those that fit. One is never
 * taken for the other.
 *
 * All calls but open and close may run on any thread at the same time: nothing here changes.
 */
#ifndef GATEWAY_SEAL_H
#define GATEWAY_SEAL_H

#include <stddef.h>

#include "base/util.h"
#include "base/why.h"

enum { SEAL_TEXT_MAX = 128, SEAL_CODE_BYTES_MAX = 512 << 20, SEAL_OBJECTS_BYTES_MAX = 32 << 20 };

enum seal_kind { SEAL_CODE, SEAL_OBJECTS };

struct seal;

/* Reads the device key, or makes one at the first start. -E_INVALID when the file is no key of
 * ours, -EPERM when others could read it. */
int seal_open(const char *state_dir, struct seal **ret, struct why *why) MUST_USE;
void seal_close(struct seal *s);

/* What it is, and what it was made from. Each text shorter than SEAL_TEXT_MAX. */
struct seal_id {
	const char *hash;     /* SHA-256 of the Wasm in hex; also the file's name */
	const char *compiler; /* seal_compiler_id() */
	const char *cpu;      /* seal_cpu_id() */
	enum seal_kind kind;
};

/* -E_LIMIT: it is larger than its kind may be. */
int seal_put(const struct seal *s, const struct seal_id *id, int fd, struct why *why) MUST_USE;
/* A sealed memfd with exactly what was put, close-on-exec, the caller's.
 * -ENOENT: nothing cached; -ESTALE: made by another compiler or for another CPU or ABI;
 * -E_SIGNATURE: not sealed by this device, or changed since. */
int seal_get(const struct seal *s, const struct seal_id *id, int *ret_fd, struct why *why) MUST_USE;
/* Both kinds; what is not there is fine. */
void seal_remove(const struct seal *s, const char *hash);

/* "aarch64-<digest of what /proc/cpuinfo says of the instruction set>": code made for one CPU must
 * not meet another (an SD card moves from one board to the next). */
void seal_cpu_id(char ret[SEAL_TEXT_MAX]);
/* Penstock's version, the compiler's file and Debian's LLVM: an upgrade of one gives another id. */
void seal_compiler_id(const char *compiler_path, char ret[SEAL_TEXT_MAX]);

#endif
