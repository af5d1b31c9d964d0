/* SPDX-License-Identifier: Apache-2.0 */
/* user_led NAME MOST: a lamp of the LED class (uleds); prints each brightness that it gets. Gone when it is killed. */
#include <fcntl.h>
#include <linux/uleds.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct uleds_user_dev dev = { .max_brightness = argc == 3 ? atoi(argv[2]) : 0 };
	int fd = open("/dev/uleds", O_RDWR | O_CLOEXEC), brightness;
	if (argc != 3 || fd < 0) {
		perror("user_led NAME MOST: /dev/uleds");
		return 1;
	}
	(void)snprintf(dev.name, sizeof(dev.name), "%s", argv[1]);
	if (write(fd, &dev, sizeof(dev)) != sizeof(dev)) {
		perror("user_led: write");
		return 1;
	}
	while (read(fd, &brightness, sizeof(brightness)) == sizeof(brightness)) {
		(void)printf("%d\n", brightness);
		(void)fflush(stdout);
	}
	return 0;
}
