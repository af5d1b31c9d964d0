/* SPDX-License-Identifier: Apache-2.0 */
/*
 * input_device NAME CODE...: an input device with these keys and the kernel's autorepeat (uinput). Commands on stdin, one per line:
 * "CODE VALUE" is one key event (1 pressed, 0 released), and is repeated on stdout when the kernel has it; the end of
 * stdin is its unplugging.
 */
#include <fcntl.h>
#include <linux/uinput.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void emit(int fd, int type, int code, int value)
{
	const struct input_event e = { .type = (unsigned short)type,
				       .code = (unsigned short)code,
				       .value = value };
	if (write(fd, &e, sizeof(e)) != sizeof(e))
		perror("input_device: write");
}

int main(int argc, char **argv)
{
	struct uinput_setup setup = { .id = { .bustype = BUS_HOST, .vendor = 1, .product = 1 } };
	int fd = open("/dev/uinput", O_WRONLY | O_CLOEXEC), code, value;
	char line[64];
	if (argc < 3 || fd < 0) {
		perror("input_device NAME CODE...: /dev/uinput");
		return 1;
	}
	(void)snprintf(setup.name, sizeof(setup.name), "%s", argv[1]);
	(void)ioctl(fd, UI_SET_EVBIT, EV_KEY);
	(void)ioctl(fd, UI_SET_EVBIT, EV_REP);
	for (int i = 2; i < argc; i++)
		(void)ioctl(fd, UI_SET_KEYBIT, atoi(argv[i]));
	if (ioctl(fd, UI_DEV_SETUP, &setup) < 0 || ioctl(fd, UI_DEV_CREATE) < 0) {
		perror("input_device: uinput");
		return 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%d %d", &code, &value) != 2)
			continue;
		emit(fd, EV_KEY, code, value);
		emit(fd, EV_SYN, SYN_REPORT, 0);
		(void)fputs(line, stdout);
		(void)fflush(stdout);
	}
	(void)ioctl(fd, UI_DEV_DESTROY);
	return 0;
}
