/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a guest ends itself: the sleep and reset registers of hardware-reduced ACPI (ACPI 6.4,
 * sections 4.8.3.7 and 4.8.3.6), the reset register at 0xcf9, and the reset line of a PC's
 * keyboard controller. No state: vCPU threads only.
 *
 * There is no keyboard controller: its ports read as ones, as a bus with nobody on it does, and
 * Linux's driver takes that for its absence.
 */
#include "devices/devices.h"

#include "vmm/io.h"
#include "vmm/layout.h"

#define SLEEP_TYPE_SHIFT 2
#define SLEEP_TYPE_MASK 7
#define SLEEP_ENABLE 0x20

#define PORT_KEYBOARD_COMMAND (LAYOUT_PORT_KEYBOARD + 4)
#define KEYBOARD_PULSE_RESET 0xfe

#define PORT_RESET_CONTROL 0xcf9
#define RESET_CONTROL_CPU 0x04

static void zero_read(void *ctx, u64 offset, void *data, unsigned len)
{
	u8 *bytes = data;

	(void)ctx;
	(void)offset;
	for (unsigned i = 0; i < len; i++)
		bytes[i] = 0;
}

static void sleep_control_write(void *ctx, u64 offset, const void *data, unsigned len)
{
	u8 value = *(const u8 *)data;

	(void)offset;
	(void)len;
	/* S5 is the only sleep that the DSDT offers. */
	if ((value & SLEEP_ENABLE) &&
	    ((value >> SLEEP_TYPE_SHIFT) & SLEEP_TYPE_MASK) == LAYOUT_SLEEP_TYPE_S5)
		vm_report_end(ctx, VM_END_POWEROFF, 0);
}

static void reset_write(void *ctx, u64 offset, const void *data, unsigned len)
{
	(void)offset;
	(void)len;
	if (*(const u8 *)data == LAYOUT_RESET_VALUE)
		vm_report_end(ctx, VM_END_REBOOT, 0);
}

static void keyboard_write(void *ctx, u64 offset, const void *data, unsigned len)
{
	(void)offset;
	(void)len;
	if (*(const u8 *)data == KEYBOARD_PULSE_RESET)
		vm_report_end(ctx, VM_END_REBOOT, 0);
}

static void reset_control_write(void *ctx, u64 offset, const void *data, unsigned len)
{
	(void)offset;
	(void)len;
	if (*(const u8 *)data & RESET_CONTROL_CPU)
		vm_report_end(ctx, VM_END_REBOOT, 0);
}

int pm_add(struct vm *vm)
{
	const struct io_range ranges[] = {
		{ .base = LAYOUT_PORT_SLEEP_CONTROL,
		  .read = zero_read,
		  .write = sleep_control_write },
		{ .base = LAYOUT_PORT_SLEEP_STATUS, .read = zero_read },
		{ .base = LAYOUT_PORT_RESET, .read = zero_read, .write = reset_write },
		{ .base = PORT_KEYBOARD_COMMAND, .write = keyboard_write },
		{ .base = PORT_RESET_CONTROL, .read = zero_read, .write = reset_control_write },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct io_range r = ranges[i];
		int err;

		r.space = IO_PORT;
		r.len = 1;
		r.ctx = vm;
		err = io_add(&vm->io, &r);
		if (err)
			return err;
	}
	return 0;
}
