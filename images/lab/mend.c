// SPDX-License-Identifier: BSD-2-Clause
/*
 * mend.c: preloaded into the lab's QEMU: mends two defects of its SVM, seen in 10.0 and 11.1,
 * without which guests hang, crash or take the machine down with them now and then.
 *
 * VMRUN that injects an interrupt leaves the vector behind as a pending exception (svm_helper.c).
 * If the CPU is next called out of its loop for anything but an interrupt while it is still in the
 * guest, the vector is delivered once more, also where interrupts are off: before the kernel's
 * entry code has the kernel's GS, say. cpu_loop_exit_noexc() clears it; to leave by it is what
 * QEMU does behind VMRUN anyway.
 *
 * A CPU that loads FPU state, as each switch of tasks does, takes back IGNNE# (cpu_clear_ignne()
 * in fpu_helper.c): it clears a bit of a word of the first CPU's, not atomically, while that CPU
 * may be in the middle of a VMRUN or a #VMEXIT, which keep what they have to say of nested paging,
 * of GIF and of virtual interrupts in the same word. One of these is lost then, and the first CPU
 * takes the lab's kernel for the guest, or interrupts where none may come. Only port F0 sets that
 * bit, which no kernel of the last decades writes: so nothing need clear it.
 *
 * A QEMU that does not export these names runs as it is. On the CPUs' threads.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define PAGE ((uintptr_t)4096)
#define RET 0xc3

extern struct {
	void (*function)(void *env, int width, int length);
} helper_info_vmrun __attribute__((weak));
extern __thread void *current_cpu __attribute__((weak));
void cpu_loop_exit_noexc(void *cpu) __attribute__((weak, noreturn));
void cpu_clear_ignne(void) __attribute__((weak));

static void (*mend_vmrun)(void *env, int width, int length);

static void mend_run(void *env, int width, int length)
{
	mend_vmrun(env, width, length);
	cpu_loop_exit_noexc(current_cpu);
}

static void mend_interrupts(void)
{
	if (!&helper_info_vmrun || !cpu_loop_exit_noexc)
		return;
	mend_vmrun = helper_info_vmrun.function;
	helper_info_vmrun.function = mend_run;
}

/* Its callers know its address: so it returns at once. */
static void mend_fpu(void)
{
	uint8_t *code = (uint8_t *)(uintptr_t)cpu_clear_ignne;
	void *page = (void *)((uintptr_t)code & ~(PAGE - 1));

	if (!code || mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC))
		return;
	*code = RET;
	mprotect(page, PAGE, PROT_READ | PROT_EXEC);
}

__attribute__((constructor)) static void mend(void)
{
	mend_interrupts();
	mend_fpu();
}
