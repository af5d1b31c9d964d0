/* SPDX-License-Identifier: Apache-2.0 */
/* See context.h; the frame's layout is mirrored by the slots in context.c. */
#if defined(__x86_64__)
	.text
	.globl	context_switch
	.type	context_switch, @function
	.p2align 4
context_switch:
	.cfi_startproc
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	subq	$8, %rsp
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	movq	%rsp, (%rdi)
	movq	%rsi, %rdi
	.cfi_endproc
	/* falls into context_leave */
	.size	context_switch, .-context_switch

	.globl	context_leave
	.type	context_leave, @function
context_leave:
	.cfi_startproc
	movq	(%rdi), %rsp
	.cfi_def_cfa %rsp, 64
	.cfi_offset %rip, -8
	.cfi_offset %rbp, -16
	.cfi_offset %rbx, -24
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	addq	$8, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	ret
	.cfi_endproc
	.size	context_leave, .-context_leave

	.globl	context_start
	.type	context_start, @function
context_start:
	.cfi_startproc
	.cfi_undefined %rip
	xorl	%ebp, %ebp
	movq	%r13, %rdi
	call	*%r12
	ud2
	.cfi_endproc
	.size	context_start, .-context_start
#endif
	.section .note.GNU-stack,"",%progbits
