/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * References in tables and globals point into the instance they were taken from. In the image they
 * are numbers: 0 = null, 1 + i = function i of the instance.
 */
struct image {
	size_t page_bytes;
	uint64_t memory_bytes;
	size_t npages;     /* of the system, in memory_bytes */
	uint32_t *page_of; /* npages: 0 = all zero, else 1 + index into pages */
	uint8_t *pages;
	size_t nstored;
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

static int take_memory(struct image *im, const struct instance *in)
{
	const struct aot_memory *m = &in->memory.aot;
	im->memory_bytes = m->bytes;
	im->npages = m->bytes / im->page_bytes;
	im->page_of = calloc(im->npages + 1, sizeof(*im->page_of));
	if (!im->page_of)
		return -ENOMEM;
	for (size_t i = 0; i < im->npages; i++)
		if (!all_zero(m->base + i * im->page_bytes, im->page_bytes))
			im->page_of[i] = (uint32_t)++im->nstored;
	im->pages = malloc(im->nstored * im->page_bytes + 1);
	if (!im->pages)
		return -ENOMEM;
	for (size_t i = 0; i < im->npages; i++)
		if (im->page_of[i] > 0)
			memcpy(im->pages + (im->page_of[i] - 1) * im->page_bytes,
			       m->base + i * im->page_bytes, im->page_bytes);
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
	if (im) {
		im->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
		if (take_memory(im, in) == 0 && take_tables(im, in) == 0 &&
		    take_globals(im, in) == 0) {
			*ret = im;
			return 0;
		}
	}
	image_free(im);
	return why_set(why, -ENOMEM, "no memory for the image of a fresh instance");
}

void image_free(struct image *im)
{
	if (!im)
		return;
	free(im->page_of);
	free(im->pages);
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

static int reset_small(const struct image *im, struct instance *in)
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
	memcpy(in->aot.globals, in->fresh_globals, own_globals(in) * sizeof(*in->fresh_globals));
	memcpy(in->data_dropped, im->data_dropped, a->ndatas);
	memcpy(in->elem_dropped, im->elem_dropped, a->nelems);
	return 0;
}

static void page_restore(const struct image *im, struct memory *m, size_t page)
{
	uint8_t *to = m->aot.base + page * im->page_bytes;
	if (im->page_of[page] > 0)
		memcpy(to, im->pages + (im->page_of[page] - 1) * im->page_bytes, im->page_bytes);
	else
		memset(to, 0, im->page_bytes);
}

/* All pages are zero: writes those that the image has. */
static void pages_fill(const struct image *im, struct memory *m)
{
	for (size_t i = 0; i < im->npages; i++)
		if (im->page_of[i] > 0)
			page_restore(im, m, i);
}

static int pages_forget(const struct image *im, struct memory *m)
{
	if (im->memory_bytes > 0 && madvise(m->aot.base, im->memory_bytes, MADV_DONTNEED) < 0)
		return -errno;
	pages_fill(im, m);
	return 0;
}

/* Restores the touched pages of [first, first + n). Returns their number, or -1 when the kernel
 * does not tell. */
static int touched_restore(const struct image *im, struct memory *m, size_t first, size_t n, int fd)
{
	enum { PRESENT_OR_SWAPPED = 3 }; /* bits 63 and 62 */
	uint64_t entries[512];
	int touched = 0;
	off_t at = (off_t)(((uintptr_t)m->aot.base / im->page_bytes + first) * sizeof(entries[0]));
	ENSURE(n <= ARRAY_LEN(entries));
	if (pread(fd, entries, n * sizeof(entries[0]), at) != (ssize_t)(n * sizeof(entries[0])))
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!(entries[i] >> 62 & PRESENT_OR_SWAPPED))
			continue;
		page_restore(im, m, first + i);
		touched++;
	}
	return touched;
}

static int reset_memory(const struct image *im, struct memory *m, int pagemap_fd)
{
	int err = memory_shrink(m, im->memory_bytes);
	if (err < 0)
		return err;
	if (pagemap_fd < 0)
		return pages_forget(im, m);
	size_t touched = 0;
	for (size_t first = 0; first < im->npages; first += 512) {
		size_t n = im->npages - first < 512 ? im->npages - first : 512;
		int here = touched_restore(im, m, first, n, pagemap_fd);
		if (here < 0)
			return pages_forget(im, m);
		touched += (size_t)here;
	}
	return touched * im->page_bytes > IMAGE_KEEP_BYTES ? pages_forget(im, m) : 0;
}

int image_adopt(const struct image *im, struct instance *in)
{
	struct memory *m = &in->memory;
	uint64_t have = m->aot.bytes;
	int err = make_fresh(im, in);
	if (err < 0 || (err = reset_small(im, in)) < 0)
		return err;
	ENSURE(have <= im->memory_bytes); /* memories do not shrink by themselves */
	if (have < im->memory_bytes &&
	    memory_grow(&m->aot, (uint32_t)((im->memory_bytes - have) / AOT_PAGE_BYTES)) ==
		    UINT32_MAX)
		return -ENOMEM;
	if (m->reserved_bytes > 0)
		pages_fill(im, m);
	return 0;
}

int image_reset(const struct image *im, struct instance *in, int pagemap_fd)
{
	int err = 0;
	if (!in->fresh_elems)
		err = make_fresh(im, in);
	if (err == 0)
		err = reset_small(im, in);
	if (err == 0 && in->memory.reserved_bytes > 0)
		err = reset_memory(im, &in->memory, pagemap_fd);
	return err;
}
