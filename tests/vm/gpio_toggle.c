/* SPDX-License-Identifier: Apache-2.0 */
/* gpio_toggle FILE N: N changes of a simulated line's voltage, by its file `pull`, one after the other. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static const char *const pulls[] = { "pull-down", "pull-up" };
	int fd = argc == 3 ? open(argv[1], O_WRONLY | O_CLOEXEC) : -1;
	for (long i = 1; fd >= 0 && i <= strtol(argv[2], NULL, 10); i++) {
		const char *to = pulls[i % 2];
		if (pwrite(fd, to, strlen(to), 0) < 0) {
			perror(argv[1]);
			return 1;
		}
	}
	return fd < 0;
}
