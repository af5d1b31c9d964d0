/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.rsc of a Revolution Pi, as PiCtory writes it: which name stands for which bits of the process image. It is
 * read, never written.
 *
 *	Devices[] { name, bmk, position, offset, inp, out, mem }; each of the last three holds
 *	"0": [name, default, length in bits, offset in the device, exported, order, comment, bit]
 *
 * Numbers come as numbers or as texts, as the driver takes them. Anything else that does not fit is an error with file
 * and place: a name that pointed elsewhere than the driver thinks would switch something else.
 */
#ifndef TRIGGERS_PICTORY_H
#define TRIGGERS_PICTORY_H

#include <stdint.h>

#include "base/rd.h"
#include "base/why.h"
#include "proto/picontrol_abi.h"

enum {
	PICTORY_FILE_BYTES = 8 << 20,
	PICTORY_VARIABLES_MAX = 16384,
	PICTORY_NAME_BYTES = 127,
	PICTORY_DEVICE_BYTES = 95, /* what is longer is cut: it is only for people */
	PICTORY_IMAGE_BYTES = KB_IMAGE_BYTES,
};

/* MEMORY: a setting of a module. Nobody listens to those or sets them here, and some are texts: only their names are read. */
enum pictory_area { PICTORY_INPUT, PICTORY_OUTPUT, PICTORY_MEMORY };

struct pictory_variable {
	const char *name;   /* UTF-8 */
	const char *device; /* "RevPi DIO, position 32" */
	enum pictory_area area;
	uint16_t offset; /* in the image: offset * 8 + bit + bits <= PICTORY_IMAGE_BYTES * 8 */
	uint8_t bit;     /* 0 where bits is not 1 */
	uint16_t bits;   /* 1, or a multiple of 8; MEMORY: 0, as offset and bit */
};

struct pictory; /* immutable */

/* file: for messages. -E_CONFIG with file, place and reason; -ENOMEM */
int pictory_parse(const char *file, struct span bytes, struct pictory **ret,
		  struct why *why) MUST_USE;
/* Also -errno of the file. */
int pictory_load(const char *file, struct pictory **ret, struct why *why) MUST_USE;
void pictory_free(struct pictory *p); /* NULL is fine */

/* Lives as long as p; NULL: there is none. */
const struct pictory_variable *pictory_find(const struct pictory *p, struct span name);
unsigned pictory_count(const struct pictory *p);
const struct pictory_variable *pictory_at(const struct pictory *p, unsigned i); /* by name */
const char *pictory_area_name(enum pictory_area area); /* "input", "output", "setting" */

#endif
