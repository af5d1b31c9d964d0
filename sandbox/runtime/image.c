/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/runtime/choice.h"
#include "sandbox/runtime/task.h"

/*
 * References in tables and globals point into the instance they were taken from. In the image they
 * are numbers: 0 = null, 1 + i = function i of the instance.
 */
struct image {
	uint64_t memory_bytes;
	uint32_t page_bytes;
	int fd;               /* the memory's contents, sealed */
	const uint8_t *bytes; /* the same, readable; NULL = no memory */
	bool *is_zero;        /* by page of page_bytes */
	struct choice choice;
	union aot_value *globals;
	uint32_t *table_sizes;
	uint32_t *elems; /* all tables', one after the other */
	size_t nelems;
	uint8_t *data_dropped, *elem_dropped;
};

static bool is_ref(uint8_t type)
{
	return type == AOT_FUNCREF || type == AOT_EXTERNREF;
}

static uint32_t ref_number(const struct instance *in, const void *ref)
{
	size_t at = (size_t)((const struct aot_funcref *)ref - in->funcs);
	if (!ref || at >= in->module->aot->nfuncs)
		return 0; /* the host gives out no references of its own */
	return (uint32_t)at + 1;
}

static void *ref_of(const struct instance *in, uint32_t number)
{
	return number > 0 ? &in->funcs[number - 1] : NULL;
}

static uint32_t own_globals(const struct instance *in)
{
	return in->module->aot->nglobals - in->module->aot->nimported_globals;
}

static uint32_t own_tables(const struct instance *in)
{
	return in->module->aot->ntables - in->module->aot->nimported_tables;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

/* Pages that are zero become holes; the last one is written even so, and gives the file its size. */
static int write_pages(const struct image *im, const uint8_t *memory)
{
	size_t n = im->memory_bytes / im->page_bytes;
	for (size_t i = 0; i < n; i++) {
		size_t at = i * im->page_bytes;
		if (im->is_zero[i] && i + 1 < n)
			continue;
		if (lseek(im->fd, (off_t)at, SEEK_SET) < 0)
			return -errno;
		int err = write_all(im->fd, memory + at, im->page_bytes);
		if (err < 0)
			return err;
	}
	return 0;
}

static int take_memory(struct image *im, const struct instance *in)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	const struct aot_memory *m = &in->memory.aot;
	im->memory_bytes = m->bytes;
	im->page_bytes = in->memory.page_bytes;
	if (m->bytes == 0)
		return 0;
	size_t n = m->bytes / im->page_bytes;
	im->is_zero = calloc(n, sizeof(*im->is_zero));
	im->fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (!im->is_zero || im->fd < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		im->is_zero[i] = all_zero(m->base + i * im->page_bytes, im->page_bytes);
	int err = write_pages(im, m->base);
	if (err == 0 && fcntl(im->fd, F_ADD_SEALS, seals) < 0)
		err = -errno;
	void *bytes = MAP_FAILED;
	if (err == 0)
		bytes = mmap(NULL, m->bytes, PROT_READ, MAP_PRIVATE, im->fd, 0);
	if (bytes == MAP_FAILED)
		return err < 0 ? err : -errno;
	im->bytes = bytes;
	return 0;
}

static int take_tables(struct image *im, const struct instance *in)
{
	size_t n = 0;
	im->table_sizes = calloc((size_t)own_tables(in) + 1, sizeof(*im->table_sizes));
	if (!im->table_sizes)
		return -ENOMEM;
	for (uint32_t i = 0; i < own_tables(in); i++)
		im->nelems += im->table_sizes[i] = in->tables[i].size;
	im->elems = calloc(im->nelems + 1, sizeof(*im->elems));
	if (!im->elems)
		return -ENOMEM;
	for (uint32_t i = 0; i < own_tables(in); i++)
		for (uint32_t k = 0; k < in->tables[i].size; k++)
			im->elems[n++] = ref_number(in, in->tables[i].elems[k]);
	return 0;
}

static uint8_t *copy_flags(const uint8_t *flags, size_t n)
{
	uint8_t *copy = malloc(n + 1);
	if (copy)
		memcpy(copy, flags, n);
	return copy;
}

static int take_globals(struct image *im, const struct instance *in)
{
	const struct aot_module *a = in->module->aot;
	im->globals = calloc((size_t)own_globals(in) + 1, sizeof(*im->globals));
	im->data_dropped = copy_flags(in->data_dropped, a->ndatas);
	im->elem_dropped = copy_flags(in->elem_dropped, a->nelems);
	if (!im->globals || !im->data_dropped || !im->elem_dropped)
		return -ENOMEM;
	for (uint32_t i = 0; i < own_globals(in); i++) {
		im->globals[i] = in->aot.globals[i];
		if (is_ref(a->globals[i].type.type))
			im->globals[i] = (union aot_value){ .u64 = { ref_number(
								    in, in->aot.globals[i].ref) } };
	}
	return 0;
}

int image_take(const struct instance *in, struct image **ret, struct why *why)
{
	struct image *im = calloc(1, sizeof(*im));
	int err = -ENOMEM;
	if (im) {
		im->fd = -1;
		choice_init(&im->choice);
		if ((err = take_memory(im, in)) == 0 && (err = take_tables(im, in)) == 0 &&
		    (err = take_globals(im, in)) == 0) {
			*ret = im;
			return 0;
		}
	}
	image_free(im);
	return why_set(why, err, "no memory for the image of a fresh instance");
}

void image_free(struct image *im)
{
	if (!im)
		return;
	choice_fini(&im->choice);
	if (im->bytes)
		(void)munmap((void *)(uintptr_t)im->bytes, im->memory_bytes);
	if (im->fd >= 0)
		(void)close(im->fd);
	free(im->is_zero);
	free(im->globals);
	free(im->table_sizes);
	free(im->elems);
	free(im->data_dropped);
	free(im->elem_dropped);
	free(im);
}

/* Resolves the image's numbers to this instance's pointers, once. */
static int make_fresh(const struct image *im, struct instance *in)
{
	const struct aot_module *a = in->module->aot;
	in->fresh_elems = calloc(im->nelems + 1, sizeof(*in->fresh_elems));
	in->fresh_globals = calloc((size_t)own_globals(in) + 1, sizeof(*in->fresh_globals));
	if (!in->fresh_elems || !in->fresh_globals)
		return -ENOMEM;
	for (size_t i = 0; i < im->nelems; i++)
		in->fresh_elems[i] = ref_of(in, im->elems[i]);
	for (uint32_t i = 0; i < own_globals(in); i++) {
		in->fresh_globals[i] = im->globals[i];
		if (is_ref(a->globals[i].type.type))
			in->fresh_globals[i].ref = ref_of(in, (uint32_t)im->globals[i].u64[0]);
	}
	return 0;
}

static int reset_tables(const struct image *im, struct instance *in)
{
	const struct aot_module *a = in->module->aot;
	size_t at = 0;
	for (uint32_t i = 0; i < own_tables(in); i++) {
		struct aot_table *t = &in->tables[i];
		uint32_t n = im->table_sizes[i];
		if (t->size != n) {
			void **resized = realloc(t->elems, (n + (size_t)1) * sizeof(*resized));
			if (!resized)
				return -ENOMEM;
			t->elems = resized;
			t->size = n;
		}
		memcpy(t->elems, in->fresh_elems + at, n * sizeof(*t->elems));
		at += n;
	}
	memcpy(in->data_dropped, im->data_dropped, a->ndatas);
	memcpy(in->elem_dropped, im->elem_dropped, a->nelems);
	return 0;
}

static int reset_small(const struct image *im, struct instance *in)
{
	int err = in->tables_written ? reset_tables(im, in) : 0;
	if (err < 0)
		return err;
	in->tables_written = false;
	memcpy(in->aot.globals, in->fresh_globals, own_globals(in) * sizeof(*in->fresh_globals));
	return 0;
}

static void pages_restore(const struct image *im, struct memory *m, struct memory_range r)
{
	size_t n = im->page_bytes;
	for (uint32_t i = r.first; i < r.end; i++) {
		if (im->is_zero[i])
			memset(m->aot.base + i * n, 0, n);
		else
			memcpy(m->aot.base + i * n, im->bytes + i * n, n);
	}
}

static uint32_t open_pages(const struct memory *m)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < m->nopen; i++)
		n += m->open[i].end - m->open[i].first;
	return n;
}

/* What COPY costs an event, roughly: enough to see whether measuring is worth its while. */
static bool looks_dear(const struct memory *m, uint32_t pages)
{
	enum { FAULT_NS = 5000, NS_PER_KIB = 16, DEAR_NS = 20000 };
	return m->nfaults * UINT64_C(1) * FAULT_NS +
		       (uint64_t)pages * (m->page_bytes >> 10) * NS_PER_KIB >
	       DEAR_NS;
}

static int reset_memory(struct image *im, struct memory *m, uint64_t run_ns)
{
	uint64_t began_ns = choice_counts(&im->choice) ? task_now_ns() : 0;
	uint32_t pages = open_pages(m);
	enum way used = m->watched_bytes > 0 ? WAY_COPY : WAY_REMAP;
	enum way next = choice_way(&im->choice);
	bool dear = used == WAY_COPY && looks_dear(m, pages);
	int err = memory_shrink(m, im->memory_bytes);
	m->nfaults = 0;
	if (err < 0)
		return err;
	if (used == WAY_COPY && next == WAY_COPY && ++m->nresets < IMAGE_FORGET_EVENTS &&
	    (uint64_t)pages * m->page_bytes <= IMAGE_KEEP_BYTES) {
		for (uint32_t i = 0; i < m->nopen; i++)
			pages_restore(im, m, m->open[i]);
	} else {
		m->nresets = 0;
		err = memory_view(m, im->fd, im->memory_bytes, next == WAY_COPY);
	}
	if (err == 0 && (dear || began_ns > 0))
		choice_note(&im->choice, used,
			    run_ns + (began_ns > 0 ? task_now_ns() - began_ns : 0), dear);
	return err;
}

int image_adopt(const struct image *im, struct instance *in)
{
	int err = make_fresh(im, in);
	in->tables_written = true; /* they were never written at all */
	if (err == 0)
		err = reset_small(im, in);
	if (err < 0 || im->memory_bytes == 0)
		return err;
	in->memory.page_bytes = im->page_bytes;
	/* Not watched: its first event may sleep for long, and then it is one of very many. */
	return memory_view(&in->memory, im->fd, im->memory_bytes, false);
}

int image_reset(struct image *im, struct instance *in, uint64_t run_ns)
{
	int err = 0;
	if (!in->fresh_elems)
		err = make_fresh(im, in);
	if (err == 0)
		err = reset_small(im, in);
	if (err == 0 && in->memory.reserved_bytes > 0)
		err = reset_memory(im, &in->memory, run_ns);
	return err;
}
