/* SPDX-License-Identifier: Apache-2.0 */
/* See context.h; the frame's layout is mirrored by the slots in context.c. */
#if defined(__aarch64__)
	.text
	.globl	context_switch
	.type	context_switch, %function
	.p2align 4
context_switch:
	.cfi_startproc
	sub	sp, sp, #176
	stp	x19, x20, [sp, #0]
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	mrs	x9, fpcr
	str	x9, [sp, #160]
	mov	x9, sp
	str	x9, [x0]
	mov	x0, x1
	.cfi_endproc
	/* falls into context_leave */
	.size	context_switch, .-context_switch

	.globl	context_leave
	.type	context_leave, %function
context_leave:
	.cfi_startproc
	ldr	x9, [x0]
	mov	sp, x9
	.cfi_def_cfa sp, 176
	.cfi_offset x29, -96
	.cfi_offset x30, -88
	ldr	x10, [sp, #160]
	msr	fpcr, x10
	ldp	d14, d15, [sp, #144]
	ldp	d12, d13, [sp, #128]
	ldp	d10, d11, [sp, #112]
	ldp	d8, d9, [sp, #96]
	ldp	x29, x30, [sp, #80]
	ldp	x27, x28, [sp, #64]
	ldp	x25, x26, [sp, #48]
	ldp	x23, x24, [sp, #32]
	ldp	x21, x22, [sp, #16]
	ldp	x19, x20, [sp, #0]
	add	sp, sp, #176
	ret
	.cfi_endproc
	.size	context_leave, .-context_leave

	.globl	context_start
	.type	context_start, %function
context_start:
	.cfi_startproc
	.cfi_undefined x30
	mov	x29, xzr
	mov	x0, x19
	blr	x20
	brk	#1
	.cfi_endproc
	.size	context_start, .-context_start
#endif
	.section .note.GNU-stack,"",%progbits
