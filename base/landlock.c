/* SPDX-License-Identifier: Apache-2.0 */
#include "base/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"

static int allow(int rules, const char *path, struct why *why)
{
	struct stat st;
	OWN_FD fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : why_set(why, -errno, "Landlock: %s", path);
	struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE,
		.parent_fd = fd,
	};
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		rule.allowed_access |= LANDLOCK_ACCESS_FS_READ_DIR;
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return why_set(why, -errno, "Landlock: a rule for %s", path);
	return 0;
}

int landlock_enter(const char *const *readable, size_t n, struct why *why)
{
	/* Rights by version of the kernel's interface: 1 has 13, then REFER, TRUNCATE, IOCTL_DEV. */
	static const uint8_t rights[] = { 0, 13, 14, 15, 15, 16 };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi <= 0)
		return 0;
	size_t known = (size_t)abi < ARRAY_LEN(rights) ? (size_t)abi : ARRAY_LEN(rights) - 1;
	const struct landlock_ruleset_attr attr = {
		.handled_access_fs = (UINT64_C(1) << rights[known]) - 1,
	};
	OWN_FD rules =
		(int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);
	if (rules < 0)
		return why_set(why, -errno, "Landlock: a set of rules");
	for (size_t i = 0; i < n; i++) {
		int err = allow(rules, readable[i], why);
		if (err < 0)
			return err;
	}
	if (syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		return why_set(why, -errno, "Landlock: entering it");
	return 0;
}
