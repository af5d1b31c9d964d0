/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of Modbus: what a register is and means (modbus_point.c), and the way to a server (modbus_link.c). */
#ifndef TRIGGERS_MODBUS_IMPL_H
#define TRIGGERS_MODBUS_IMPL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rd.h"
#include "base/why.h"
#include "proto/kinds.h"
#include "triggers/modbus.h"

enum { MODBUS_REGISTERS_AT_ONCE = 125, MODBUS_BITS_AT_ONCE = 2000, MODBUS_VALUE_BYTES = 32 };

/* ---- points ---- */

enum modbus_table { MODBUS_COIL, MODBUS_DISCRETE, MODBUS_HOLDING, MODBUS_INPUT };
enum modbus_type { MODBUS_U16, MODBUS_S16, MODBUS_U32, MODBUS_S32, MODBUS_F32 };

struct modbus_point {
	uint8_t unit;
	enum modbus_table table;
	uint16_t address;
	uint8_t count; /* of registers or bits: 1, or 2 */
	enum modbus_type type;
	bool swap;
};

static inline bool modbus_is_bit(enum modbus_table t)
{
	return t == MODBUS_COIL || t == MODBUS_DISCRETE;
}

/* "UNIT/TABLE/ADDRESS", and the options type and swap. -E_INVALID */
int modbus_point_read(const char *text, const struct kind_values *options, struct modbus_point *ret,
		      struct why *why) MUST_USE;
/* raw: registers, or bits of one each, from the point's address on. */
double modbus_decode(const struct modbus_point *p, const uint16_t *raw);
/* As people read it: a whole number, or the fewest digits that mean this f32. */
void modbus_text(const struct modbus_point *p, double value, char text[MODBUS_VALUE_BYTES]);
/* -E_INVALID: no number; -ERANGE: it does not fit the type */
int modbus_encode(const struct modbus_point *p, struct span value, uint16_t raw[2],
		  struct why *why) MUST_USE;

/* One request for several points of the same unit and table. */
struct modbus_range {
	uint8_t unit;
	enum modbus_table table;
	uint16_t address, count;
};

/* How many of the points in order (by unit, table, address) one request reads: those that touch or overlap, up to what
 * Modbus allows. n > 0; at least 1. */
unsigned modbus_merge(const struct modbus_point *const *points, unsigned n,
		      struct modbus_range *ret);
int modbus_point_order(const struct modbus_point *a, const struct modbus_point *b);

/* ---- links ---- */

struct modbus_url {
	bool tcp;
	char host[256]; /* or device */
	char port[8];
	int baud, data, stop;
	char parity;
};

/* -E_CONFIG */
int modbus_url_read(const char *url, struct modbus_url *ret, struct why *why) MUST_USE;

struct modbus_link;

struct modbus_link *modbus_link_find(const struct modbus_links *l, struct span name);
const char *modbus_link_name(const struct modbus_link *l);
/* -E_INVALID: a unit that this link cannot reach (a serial line has no 0 and no 255). */
int modbus_unit_ok(const struct modbus_link *l, const struct modbus_point *p,
		   struct why *why) MUST_USE;
/* The end is near: no waiting for a name server. */
void modbus_link_stop(struct modbus_link *l);
/* raw: room for r->count. Connects where it has to. Any thread: one after the other, in the order of the calls. 0; -EAGAIN:
 * no connection, no answer, or it is busy; -EREMOTEIO: the server refuses this request. why says which, and what to do. */
int modbus_link_read(struct modbus_link *l, const struct modbus_range *r, uint16_t *raw,
		     struct why *why) MUST_USE;
int modbus_link_write(struct modbus_link *l, const struct modbus_point *p, const uint16_t raw[2],
		      struct why *why) MUST_USE;
/* The bytes of that write as a TCP request, for somebody else to send; and a descriptor of the connection for him, the
 * caller's to close. -1: not TCP, or not connected now. */
int modbus_link_lend(struct modbus_link *l, const struct modbus_point *p, const uint16_t raw[2],
		     uint8_t *bytes, uint32_t cap, uint32_t *ret_length);

#endif
