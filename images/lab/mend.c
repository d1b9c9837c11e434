// SPDX-License-Identifier: BSD-2-Clause
/*
 * mend.c: preloaded into the lab's QEMU: mends its VMRUN (target/i386/tcg/system/svm_helper.c, seen in
 * 10.0 and 11.1), without which guests of several CPUs hang, crash or take the machine down with them
 * now and then.
 *
 * VMRUN that injects an interrupt leaves the vector behind as a pending exception. If the CPU is next
 * called out of its loop for anything but an interrupt while it is still in the guest, the vector is
 * delivered once more, also where interrupts are off: before the kernel's entry code has the kernel's
 * GS, say. cpu_loop_exit_noexc() clears it; to leave by it is what QEMU does behind VMRUN anyway.
 *
 * A QEMU that does not export these names runs as it is. On the CPUs' threads.
 */
#include <stddef.h>

extern struct {
	void (*function)(void *env, int width, int length);
} helper_info_vmrun __attribute__((weak));
extern __thread void *current_cpu __attribute__((weak));
void cpu_loop_exit_noexc(void *cpu) __attribute__((weak, noreturn));

static void (*mend_vmrun)(void *env, int width, int length);

static void mend_run(void *env, int width, int length)
{
	mend_vmrun(env, width, length);
	cpu_loop_exit_noexc(current_cpu);
}

__attribute__((constructor)) static void mend(void)
{
	if (!&helper_info_vmrun || !cpu_loop_exit_noexc)
		return;
	mend_vmrun = helper_info_vmrun.function;
	helper_info_vmrun.function = mend_run;
}
