/* SPDX-License-Identifier: Apache-2.0 */
/* A fake piControl as system calls of descriptors, for those who take them as functions and for the preloaded library. */
#ifndef TESTS_FAKE_PICONTROL_CALLS_H
#define TESTS_FAKE_PICONTROL_CALLS_H

#include "tests/fake/picontrol.h"
#include "triggers/picontrol.h"

enum { FAKE_FDS = 4096 };

struct fake_calls { /* all zero at first, but for pi */
	struct fake_pi *pi;
	int handle[FAKE_FDS];                   /* by descriptor: handle + 1; 0: not ours */
	int open_errno, read_errno, wait_errno; /* of the next calls, while not 0 */
	size_t longest_write;
};

/* As the system calls, errno and all. fd: a real one stands for it, so it can be duplicated and closed. */
int fake_calls_open(void *arg, const char *path);
int fake_calls_close(void *arg, int fd);
ssize_t fake_calls_pread(void *arg, int fd, void *buf, size_t n, off_t at);
ssize_t fake_calls_pwrite(void *arg, int fd, const void *buf, size_t n, off_t at);
int fake_calls_ioctl(void *arg, int fd, unsigned long request, void *argument);

struct picontrol_calls fake_calls_of(struct fake_calls *c);

/* A box for tests: a module with inputs I_1, I_2 (byte 0), Counter_1 (6, 32 bits), analogue (10, 16 bits), outputs O_1
 * (70, bit 3), PWM_1 (72), level (74, 16 bits), total (76, 32 bits), blob (80, 64 bits) and setting InputMode_1, which
 * begins at byte `at`, and one at byte 2000 with output others. False: it cannot be written. */
bool fake_config_write(const char *path, unsigned at);

#endif
