/* SPDX-License-Identifier: Apache-2.0 */
/* storm PID SIGNAL MS: sends it as fast as it can, by turns as kill() does and as a timer would (si_code SI_TIMER). Prints how
 * many. Ends with 1 where the process is gone before that. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long long now_ms(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	pid_t pid = (pid_t)strtol(argv[1], NULL, 10);
	int sig = (int)strtol(argv[2], NULL, 10);
	long long until = now_ms() + strtol(argv[3], NULL, 10);
	long sent = 0;
	bool gone = false;
	siginfo_t timer = { .si_signo = sig, .si_code = SI_TIMER };
	while (!gone && now_ms() < until) {
		for (int i = 0; i < 64; i++)
			gone |= kill(pid, sig) < 0;
		for (int i = 0; i < 64; i++)
			gone |= syscall(SYS_rt_tgsigqueueinfo, pid, pid, sig, &timer) < 0 &&
				errno != EAGAIN;
		sent += 128;
	}
	printf("%ld\n", sent);
	return gone;
}
