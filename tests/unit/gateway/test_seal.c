/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/scratch.h"

#include <errno.h>
#include <sys/mman.h>

#include "gateway/file.h"
#include "gateway/seal.h"

static const struct seal_id id = {
	.hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	.compiler = "penstock 0.1.0 aot 1.2.3",
	.cpu = "x86_64-0011223344556677",
};
static const char code[] = "\x7f"
			   "ELF and so on, the native code of a function";
static const char code_file[] =
	"code/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.code";

static struct seal *open_ok(const char *dir)
{
	struct seal *s = NULL;
	struct why why = { 0 };
	if (seal_open(dir, &s, &why) != 0)
		fail_msg("%s", why.text);
	return s;
}

static void put_ok(const struct seal *s)
{
	int fd = -1;
	struct why why = { 0 };
	const struct span bytes = { (const uint8_t *)code, sizeof(code) };
	assert_int_equal(file_memfd(bytes, "test", &fd, &why), 0);
	if (seal_put(s, &id, fd, &why) != 0)
		fail_msg("%s", why.text);
	(void)close(fd);
}

static int get(const struct seal *s, const struct seal_id *of)
{
	int fd = -1;
	int err = seal_get(s, of, &fd, NULL);
	assert_true((err == 0) == (fd >= 0));
	if (fd >= 0)
		(void)close(fd);
	return err;
}

static void what_was_sealed_comes_back_and_cannot_be_written(void **state)
{
	char back[sizeof(code)];
	int fd = -1;
	struct seal *s = open_ok(*state);
	assert_int_equal(get(s, &id), -ENOENT);
	put_ok(s);
	seal_close(s);
	s = open_ok(*state); /* the key is the same after a restart */
	assert_int_equal(seal_get(s, &id, &fd, NULL), 0);
	assert_int_equal(read(fd, back, sizeof(back)), sizeof(code));
	assert_memory_equal(back, code, sizeof(code));
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(fcntl(fd, F_GET_SEALS) & (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW),
			 F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
	(void)close(fd);
	seal_remove(s, id.hash);
	assert_int_equal(get(s, &id), -ENOENT);
	seal_close(s);
}

static void any_flipped_bit_is_refused(void **state)
{
	unsigned char whole[1024];
	struct seal *s = open_ok(*state);
	const char *path = scratch_path(*state, code_file);
	put_ok(s);
	size_t len = scratch_read(path, whole, sizeof(whole));
	assert_true(len > sizeof(code) + 32 && len < sizeof(whole));
	for (size_t at = 0; at < len; at++) {
		whole[at] ^= (unsigned char)(1u << at % 8);
		scratch_write(path, whole, len);
		assert_int_equal(get(s, &id), -E_SIGNATURE);
		whole[at] ^= (unsigned char)(1u << at % 8);
	}
	scratch_write(path, whole, len);
	assert_int_equal(get(s, &id), 0);
	seal_close(s);
}

static void any_cut_or_lengthened_file_is_refused(void **state)
{
	unsigned char whole[1024] = { 0 };
	struct seal *s = open_ok(*state);
	const char *path = scratch_path(*state, code_file);
	put_ok(s);
	size_t len = scratch_read(path, whole, sizeof(whole));
	for (size_t cut = 0; cut < len; cut++) {
		scratch_write(path, whole, cut);
		assert_int_equal(get(s, &id), -E_SIGNATURE);
	}
	scratch_write(path, whole, len + 1);
	assert_int_equal(get(s, &id), -E_SIGNATURE);
	seal_close(s);
}

static void another_devices_key_is_refused(void **state)
{
	struct seal *s = open_ok(*state);
	put_ok(s);
	seal_close(s);
	assert_int_equal(unlink(scratch_path(*state, "device.key")), 0);
	s = open_ok(*state);
	assert_int_equal(get(s, &id), -E_SIGNATURE);
	seal_close(s);
}

static void another_compiler_cpu_or_module_is_stale(void **state)
{
	static const struct {
		struct seal_id id;
		int want;
	} rows[] = {
		{ { .hash = id.hash, .compiler = "penstock 0.1.1", .cpu = id.cpu }, -ESTALE },
		{ { .hash = id.hash, .compiler = id.compiler, .cpu = "x86_64-0" }, -ESTALE },
		{ { .hash = "../../../../../../../../../../etc/passwd", "", "" }, -E_INVALID },
		{ { .hash = "", "", "" }, -E_INVALID },
	};
	struct seal *s = open_ok(*state);
	put_ok(s);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(get(s, &rows[i].id), rows[i].want);
	/* a good file under the name of another module */
	char other[256];
	struct seal_id renamed = id;
	renamed.hash = "ffff456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	(void)snprintf(other, sizeof(other), "%s/code/%s.code", (char *)*state, renamed.hash);
	assert_int_equal(rename(scratch_path(*state, code_file), other), 0);
	assert_int_equal(get(s, &renamed), -ESTALE);
	seal_close(s);
}

static void objects_are_never_taken_for_code(void **state)
{
	int fd = -1;
	struct why why = { 0 };
	struct seal_id objects = id;
	struct seal *s = open_ok(*state);
	char path[256];
	objects.kind = SEAL_OBJECTS;
	assert_int_equal(file_memfd((struct span){ (const uint8_t *)"o", 1 }, "test", &fd, &why),
			 0);
	assert_int_equal(seal_put(s, &objects, fd, &why), 0);
	(void)close(fd);
	assert_int_equal(get(s, &id), -ENOENT);
	assert_int_equal(get(s, &objects), 0);
	(void)snprintf(path, sizeof(path), "%s/code/%s.objects", (char *)*state, id.hash);
	assert_int_equal(rename(path, scratch_path(*state, code_file)), 0);
	assert_int_equal(get(s, &id), -ESTALE);
	assert_int_equal(rename(scratch_path(*state, code_file), path), 0);
	assert_int_equal(get(s, &objects), 0);
	seal_remove(s, id.hash);
	assert_int_equal(get(s, &objects), -ENOENT);
	seal_close(s);
}

static void a_key_that_others_could_read_or_that_is_none_is_refused(void **state)
{
	struct why why = { 0 };
	struct seal *s = open_ok(*state);
	const char *key = scratch_path(*state, "device.key");
	struct stat st;
	assert_int_equal(stat(key, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, 32);
	seal_close(s);
	s = NULL;
	assert_int_equal(chmod(key, 0640), 0);
	assert_int_equal(seal_open(*state, &s, &why), -EPERM);
	assert_non_null(strstr(why.text, "chmod 600"));
	assert_int_equal(chmod(key, 0600), 0);
	scratch_write(key, "short", 5);
	assert_int_equal(seal_open(*state, &s, NULL), -E_INVALID);
	assert_null(s);
}

static void identities_are_stable_and_not_empty(void **state)
{
	char a[SEAL_TEXT_MAX], b[SEAL_TEXT_MAX];
	(void)state;
	seal_cpu_id(a);
	seal_cpu_id(b);
	assert_string_equal(a, b);
	assert_true(strlen(a) > 16);
	seal_compiler_id("/proc/self/exe", a);
	seal_compiler_id("/bin/sh", b);
	assert_string_not_equal(a, b);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_new, scratch_free)
	const struct CMUnitTest tests[] = {
		TEST(what_was_sealed_comes_back_and_cannot_be_written),
		TEST(any_flipped_bit_is_refused),
		TEST(any_cut_or_lengthened_file_is_refused),
		TEST(another_devices_key_is_refused),
		TEST(another_compiler_cpu_or_module_is_stale),
		TEST(objects_are_never_taken_for_code),
		TEST(a_key_that_others_could_read_or_that_is_none_is_refused),
		TEST(identities_are_stable_and_not_empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
