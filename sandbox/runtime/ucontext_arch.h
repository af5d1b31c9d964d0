/* SPDX-License-Identifier: Apache-2.0 */
/* The only place that knows how the kernel's signal frame names registers. */
#ifndef RUNTIME_UCONTEXT_ARCH_H
#define RUNTIME_UCONTEXT_ARCH_H

#include <stdint.h>
#include <ucontext.h>

#include "sandbox/runtime/context.h"

static inline uintptr_t ucontext_pc(const ucontext_t *uc)
{
#if defined(__x86_64__)
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uintptr_t)uc->uc_mcontext.pc;
#endif
}

static inline uintptr_t ucontext_fp(const ucontext_t *uc)
{
#if defined(__x86_64__)
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RBP];
#elif defined(__aarch64__)
	return (uintptr_t)uc->uc_mcontext.regs[29];
#endif
}

/* When the handler returns, execution goes on with context_leave(to). */
static inline void ucontext_leave(ucontext_t *uc, const struct context *to)
{
#if defined(__x86_64__)
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)context_leave;
	uc->uc_mcontext.gregs[REG_RDI] = (greg_t)(uintptr_t)to;
	uc->uc_mcontext.gregs[REG_RSP] = (greg_t)(uintptr_t)to->sp;
#elif defined(__aarch64__)
	uc->uc_mcontext.pc = (uintptr_t)context_leave;
	uc->uc_mcontext.regs[0] = (uintptr_t)to;
	uc->uc_mcontext.sp = (uintptr_t)to->sp;
#endif
}

/* For SIGSYS: an argument of the system call (0 to 3), and what it returns. */
static inline uintptr_t ucontext_syscall_arg(const ucontext_t *uc, unsigned n)
{
#if defined(__x86_64__)
	static const int reg[] = { REG_RDI, REG_RSI, REG_RDX, REG_R10 };
	return (uintptr_t)uc->uc_mcontext.gregs[reg[n]];
#elif defined(__aarch64__)
	return (uintptr_t)uc->uc_mcontext.regs[n];
#endif
}

static inline void ucontext_syscall_return(ucontext_t *uc, long result)
{
#if defined(__x86_64__)
	uc->uc_mcontext.gregs[REG_RAX] = result;
#elif defined(__aarch64__)
	uc->uc_mcontext.regs[0] = (uint64_t)result;
#endif
}

#endif
