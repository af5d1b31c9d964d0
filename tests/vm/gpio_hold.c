/* SPDX-License-Identifier: Apache-2.0 */
/* gpio_hold /dev/gpiochipN OFFSET CONSUMER: has this line as an input until it is killed, as another program would. */
#include <fcntl.h>
#include <linux/gpio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct gpio_v2_line_request r = { .num_lines = 1,
					  .config = { .flags = GPIO_V2_LINE_FLAG_INPUT } };
	if (argc != 4)
		return 64;
	r.offsets[0] = (unsigned)strtoul(argv[2], NULL, 10);
	(void)snprintf(r.consumer, sizeof(r.consumer), "%s", argv[3]);
	int fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, GPIO_V2_GET_LINE_IOCTL, &r) < 0) {
		perror(argv[1]);
		return 1;
	}
	(void)puts("held");
	(void)fflush(stdout);
	for (;;)
		(void)pause();
}
