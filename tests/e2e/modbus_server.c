/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modbus_server PORT FILE: a Modbus TCP server on loopback whose memory is a file, for tests that write and read it:
 * 100 holding registers (u16 of this machine), behind them 100 coils (a byte each). One connection at a time.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <modbus/modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 100, BYTES = MANY * 3 };

static int listen_on(int port)
{
	const struct sockaddr_in a = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4) < 0) {
		perror("modbus_server: listen");
		exit(1);
	}
	return fd;
}

static uint8_t *memory(const char *file)
{
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *at = fd >= 0 && ftruncate(fd, BYTES) == 0
			   ? mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
			   : MAP_FAILED;
	if (at == MAP_FAILED) {
		perror(file);
		exit(1);
	}
	return at;
}

int main(int argc, char **argv)
{
	uint8_t query[MODBUS_MAX_ADU_LENGTH];
	if (argc != 3) {
		(void)fprintf(stderr, "usage: modbus_server PORT FILE\n");
		return 64;
	}
	uint8_t *at = memory(argv[2]);
	modbus_mapping_t map = { .nb_registers = MANY,
				 .tab_registers = (uint16_t *)(void *)at,
				 .nb_bits = MANY,
				 .tab_bits = at + 2 * MANY };
	modbus_t *ctx = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
	int listening = listen_on(atoi(argv[1]));
	for (;;) {
		int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC), n;
		if (fd < 0 || modbus_set_socket(ctx, fd) < 0)
			return 1;
		while ((n = modbus_receive(ctx, query)) >= 0)
			(void)modbus_reply(ctx, query, n, &map);
		(void)close(fd);
	}
}
