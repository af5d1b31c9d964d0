/* SPDX-License-Identifier: Apache-2.0 */
/* What the driver piControl of a Revolution Pi takes by ioctl (piControl.h of KUNBUS, which is not packaged). */
#ifndef PROTO_PICONTROL_ABI_H
#define PROTO_PICONTROL_ABI_H

#include <stdint.h>
#include <sys/ioctl.h>

#define KB_RESET               _IO('K', 12)
#define KB_GET_VALUE           _IO('K', 15) /* struct kb_value * */
#define KB_SET_VALUE           _IO('K', 16) /* struct kb_value * */
#define KB_FIND_VARIABLE       _IO('K', 17) /* struct kb_variable * */
#define KB_SET_OUTPUT_WATCHDOG _IO('K', 26) /* unsigned long *: milliseconds; 0 disarms */
#define KB_WAIT_FOR_EVENT      _IO('K', 50) /* uint32_t * */

enum {
	KB_EVENT_RESET = 1,
	KB_NAME_BYTES = 32, /* with its NUL; the driver cuts longer ones */
	KB_WHOLE_BYTE = 8,
	KB_IMAGE_BYTES = 4096,
};

struct kb_value { /* SPIValue */
	uint16_t address;
	uint8_t bit; /* KB_WHOLE_BYTE: all of it */
	uint8_t value;
};
_Static_assert(sizeof(struct kb_value) == 4, "driver's layout");

struct kb_variable { /* SPIVariable; all but the name is the driver's answer */
	char name[KB_NAME_BYTES];
	uint16_t address;
	uint8_t bit;
	uint16_t bits; /* 1, 8, 16, 32 */
};
_Static_assert(sizeof(struct kb_variable) == 38, "driver's layout");

#endif
