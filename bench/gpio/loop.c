/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop /dev/gpiochipN IN OUT: the least that a program does to make one line follow another, until it is killed. Each edge
 * is a line "loop start NS" of stdout: from the kernel's time stamp until the program had it. It is written when OUT is set.
 */
#include <fcntl.h>
#include <linux/gpio.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static int take(int chip, const char *offset, uint64_t flags)
{
	struct gpio_v2_line_request r = { .num_lines = 1,
					  .consumer = "penstock-bench",
					  .config = { .flags = flags } };
	r.offsets[0] = (unsigned)strtoul(offset, NULL, 10);
	return ioctl(chip, GPIO_V2_GET_LINE_IOCTL, &r) < 0 ? -1 : r.fd;
}

static int follow(int in, int out)
{
	struct pollfd p = { .fd = in, .events = POLLIN };
	struct gpio_v2_line_event e;
	struct timespec now;
	while (poll(&p, 1, -1) == 1 && read(in, &e, sizeof(e)) == sizeof(e)) {
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		struct gpio_v2_line_values v = { .bits = e.id == GPIO_V2_LINE_EVENT_RISING_EDGE,
						 .mask = 1 };
		if (ioctl(out, GPIO_V2_LINE_SET_VALUES_IOCTL, &v) < 0)
			break;
		uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
		(void)printf("loop start %llu\n", (unsigned long long)(ns - e.timestamp_ns));
		(void)fflush(stdout);
	}
	perror("loop");
	return 1;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 64;
	int chip = open(argv[1], O_RDWR | O_CLOEXEC);
	int in = take(chip, argv[2],
		      GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING |
			      GPIO_V2_LINE_FLAG_EDGE_FALLING);
	int out = take(chip, argv[3], GPIO_V2_LINE_FLAG_OUTPUT);
	if (in < 0 || out < 0) {
		perror(argv[1]);
		return 1;
	}
	return follow(in, out);
}
