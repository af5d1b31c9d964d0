/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Switching between the stack of a worker and the stacks of its guests. A context that is not
 * running is its stack pointer; everything else that the C convention wants kept (callee-saved
 * registers, mxcsr and x87 control word, fpcr) lies on its stack. No system call, no signal mask.
 */
#ifndef RUNTIME_CONTEXT_H
#define RUNTIME_CONTEXT_H

struct context {
	void *sp;
};

/* Saves the running context in *from and goes on with *to; returns when somebody switches back. */
void context_switch(struct context *from, const struct context *to);
/* Goes on with *to and forgets the running context. Also the address at which a signal handler
 * lets a trapped guest "return", with `to` as the first argument (ucontext_arch.h). */
void context_leave(const struct context *to) __attribute__((noreturn));
/* A context that calls entry(arg) on the stack that ends at top; entry must not return. */
void context_make(struct context *c, void *top, void (*entry)(void *), void *arg);

#endif
