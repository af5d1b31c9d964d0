/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paho carries its debugging aids in every build: each function of it records its call on a stack of
 * names, and each allocation goes into a balanced tree behind a lock. Together they took a third of
 * its processor time per message. The linker gives us those calls (Makefile, LIBS_triggers): memory
 * comes from malloc, where the sanitizers watch it in our tests, and calls are not recorded.
 */
#include <stddef.h>
#include <stdlib.h>

void *__wrap_mymalloc(char *file, int line, size_t size);
void *__wrap_myrealloc(char *file, int line, void *p, size_t size);
void __wrap_myfree(char *file, int line, void *p);
void __wrap_StackTrace_entry(const char *name, int line, int level);
void __wrap_StackTrace_exit(const char *name, int line, void *rc, int level);

void *__wrap_mymalloc(char *file, int line, size_t size)
{
	(void)file;
	(void)line;
	return malloc(size);
}

void *__wrap_myrealloc(char *file, int line, void *p, size_t size)
{
	(void)file;
	(void)line;
	return realloc(p, size);
}

void __wrap_myfree(char *file, int line, void *p)
{
	(void)file;
	(void)line;
	free(p);
}

void __wrap_StackTrace_entry(const char *name, int line, int level)
{
	(void)name;
	(void)line;
	(void)level;
}

void __wrap_StackTrace_exit(const char *name, int line, void *rc, int level)
{
	(void)name;
	(void)line;
	(void)rc;
	(void)level;
}
