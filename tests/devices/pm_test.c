/* SPDX-License-Identifier: BSD-2-Clause */
/* The ports by which a guest powers off or reboots. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "devices/devices.h"
#include "vmm/layout.h"

#define NOT_ENDED 99

/* What pm.c reports to; the VM itself is not linked. */
static unsigned reported = NOT_ENDED;

void vm_report_end(struct vm *vm, enum vm_end why, u64 value)
{
	assert_non_null(vm);
	assert_int_equal(value, 0);
	reported = why;
}

static struct vm vm;

static unsigned after_write(u16 port, u8 value)
{
	reported = NOT_ENDED;
	io_write(&vm.io, IO_PORT, port, &value, 1);
	return reported;
}

static u8 in(u16 port)
{
	u8 value = 0x55;

	io_read(&vm.io, IO_PORT, port, &value, 1);
	return value;
}

static int setup(void **state)
{
	(void)state;
	vm = (struct vm){ 0 };
	return pm_add(&vm);
}

static void power_off(void **state)
{
	(void)state;
	assert_int_equal(in(LAYOUT_PORT_SLEEP_CONTROL), 0);
	assert_int_equal(in(LAYOUT_PORT_SLEEP_STATUS), 0);
	assert_int_equal(after_write(LAYOUT_PORT_SLEEP_STATUS, 0x80), NOT_ENDED);
	/* The type without SLP_EN, and SLP_EN with another type. */
	assert_int_equal(after_write(LAYOUT_PORT_SLEEP_CONTROL, 5 << 2), NOT_ENDED);
	assert_int_equal(after_write(LAYOUT_PORT_SLEEP_CONTROL, 0x20 | 3 << 2), NOT_ENDED);
	assert_int_equal(after_write(LAYOUT_PORT_SLEEP_CONTROL, 0x20 | 5 << 2), VM_END_POWEROFF);
}

static void reset_register(void **state)
{
	(void)state;
	assert_int_equal(after_write(LAYOUT_PORT_RESET, LAYOUT_RESET_VALUE + 1), NOT_ENDED);
	assert_int_equal(after_write(LAYOUT_PORT_RESET, LAYOUT_RESET_VALUE), VM_END_REBOOT);
}

static void keyboard_controller(void **state)
{
	(void)state;
	assert_int_equal(in(0x60), 0xff);
	assert_int_equal(in(0x64), 0xff);
	assert_int_equal(after_write(0x64, 0xaa), NOT_ENDED);
	assert_int_equal(after_write(0x60, 0xfe), NOT_ENDED);
	assert_int_equal(after_write(0x64, 0xfe), VM_END_REBOOT);
}

static void reset_control(void **state)
{
	(void)state;
	assert_int_equal(in(0xcf9), 0);
	assert_int_equal(after_write(0xcf9, 0x02), NOT_ENDED);
	assert_int_equal(after_write(0xcf9, 0x06), VM_END_REBOOT);
	assert_int_equal(after_write(0xcf9, 0x0e), VM_END_REBOOT);
}

/* 0xcf8 is where a guest looks for PCI: not ours. */
static void neighbours(void **state)
{
	u32 value = 0x80000000;

	(void)state;
	io_write(&vm.io, IO_PORT, 0xcf8, &value, 4);
	io_read(&vm.io, IO_PORT, 0xcf8, &value, 4);
	assert_int_equal(value, 0xffffffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_off),           cmocka_unit_test(reset_register),
		cmocka_unit_test(keyboard_controller), cmocka_unit_test(reset_control),
		cmocka_unit_test(neighbours),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
