/* SPDX-License-Identifier: BSD-2-Clause */
/* The UART, register by register, as a driver and the main loop see it. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <linux/serial_reg.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/devices.h"

struct uart {
	struct serial *serial;
	struct io_range range;
	int irq_fd;
	char output[64];
	u32 output_len;
	unsigned room;
};

static void on_output(void *ctx, const void *data, u32 len)
{
	struct uart *u = ctx;

	assert_true(u->output_len + len <= sizeof(u->output));
	memcpy(u->output + u->output_len, data, len);
	u->output_len += len;
}

static void on_room(void *ctx)
{
	((struct uart *)ctx)->room++;
}

static u8 in(struct uart *u, u64 reg)
{
	u8 value;

	u->range.read(u->range.ctx, reg, &value, 1);
	return value;
}

static void out(struct uart *u, u64 reg, unsigned value)
{
	u8 byte = (u8)value;

	u->range.write(u->range.ctx, reg, &byte, 1);
}

/* Edges since the last call. */
static u64 edges(struct uart *u)
{
	u64 n = 0;

	return read(u->irq_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static int setup(void **state)
{
	static struct uart u;

	u = (struct uart){ .irq_fd = eventfd(0, EFD_NONBLOCK) };
	assert_int_equal(serial_init(&u.serial, u.irq_fd, on_output, &u), 0);
	serial_on_room(u.serial, on_room, &u);
	u.range = serial_range(u.serial, 0x3f8);
	*state = &u;
	return 0;
}

/* As a driver leaves it: FIFOs on, interrupts connected. */
static int setup_open(void **state)
{
	setup(state);
	out(*state, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8);
	out(*state, UART_MCR, UART_MCR_OUT2 | UART_MCR_DTR | UART_MCR_RTS);
	return 0;
}

static int teardown(void **state)
{
	struct uart *u = *state;

	serial_fini(u->serial);
	close(u->irq_fd);
	return 0;
}

static void the_range(void **state)
{
	struct uart *u = *state;

	assert_int_equal(u->range.space, IO_PORT);
	assert_int_equal(u->range.base, 0x3f8);
	assert_int_equal(u->range.len, 8);
}

/* What Linux's autoconfig() looks at. */
static void detected_as_16550a(void **state)
{
	struct uart *u = *state;

	out(u, UART_IER, 0);
	assert_int_equal(in(u, UART_IER), 0);
	out(u, UART_IER, 0xff);
	assert_int_equal(in(u, UART_IER), 0x0f);
	out(u, UART_IER, 0);
	out(u, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	assert_int_equal(in(u, UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(u, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1 | UART_MCR_DTR);
	assert_int_equal(in(u, UART_MSR) & 0xf0, UART_MSR_RI | UART_MSR_DSR);
	out(u, UART_MCR, 0);
	assert_int_equal(in(u, UART_MSR), UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD);
	assert_int_equal(in(u, UART_IIR) >> 6, 0);
	out(u, UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(in(u, UART_IIR) >> 6, 3);
	/* No 64-byte FIFO. */
	out(u, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	assert_int_equal(in(u, UART_IIR) & 0x20, 0);
	out(u, UART_SCR, 0x5a);
	assert_int_equal(in(u, UART_SCR), 0x5a);
}

static void divisor_is_kept_apart(void **state)
{
	struct uart *u = *state;

	out(u, UART_IER, UART_IER_RDI);
	out(u, UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	out(u, UART_DLL, 0x34);
	out(u, UART_DLM, 0x12);
	assert_int_equal(in(u, UART_DLL), 0x34);
	assert_int_equal(in(u, UART_DLM), 0x12);
	assert_int_equal(u->output_len, 0);
	out(u, UART_LCR, UART_LCR_WLEN8);
	assert_int_equal(in(u, UART_LCR), UART_LCR_WLEN8);
	assert_int_equal(in(u, UART_IER), UART_IER_RDI);
}

static void output_arrives(void **state)
{
	struct uart *u = *state;

	out(u, UART_TX, 'h');
	out(u, UART_TX, 0);
	out(u, UART_TX, 0xff);
	assert_int_equal(u->output_len, 3);
	assert_memory_equal(u->output, "h\0\xff", 3);
	assert_int_equal(in(u, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
}

static void wide_access(void **state)
{
	struct uart *u = *state;
	u32 value = 0;

	out(u, UART_SCR, 1);
	u->range.read(u->range.ctx, UART_LSR, &value, 2);
	assert_int_equal(value, 0xff00 | UART_LSR_THRE | UART_LSR_TEMT);
	value = 0x4241;
	u->range.write(u->range.ctx, UART_TX, &value, 4);
	assert_int_equal(u->output_len, 1);
	assert_int_equal(u->output[0], 'A');
}

/* A FIFO of output costs one edge; reading IIR takes the reason away, the next byte brings it. */
static void transmit_interrupt(void **state)
{
	struct uart *u = *state;

	assert_int_equal(edges(u), 0);
	out(u, UART_IER, UART_IER_THRI);
	assert_int_equal(edges(u), 1);
	assert_int_equal(in(u, UART_IIR), 0xc0 | UART_IIR_THRI);
	assert_int_equal(in(u, UART_IIR), 0xc0 | UART_IIR_NO_INT);
	for (unsigned i = 0; i < 16; i++)
		out(u, UART_TX, 'x');
	assert_int_equal(edges(u), 1);
	assert_int_equal(in(u, UART_IIR), 0xc0 | UART_IIR_THRI);
	out(u, UART_IER, 0);
	assert_int_equal(in(u, UART_IIR), 0xc0 | UART_IIR_NO_INT);
	assert_int_equal(edges(u), 0);
	/* Linux's test for a chip that forgets: enabling again is a reason again. */
	out(u, UART_IER, UART_IER_THRI);
	assert_int_equal(edges(u), 1);
	assert_int_equal(in(u, UART_IIR), 0xc0 | UART_IIR_THRI);
}

static void interrupt_needs_out2(void **state)
{
	struct uart *u = *state;

	out(u, UART_MCR, 0);
	out(u, UART_IER, UART_IER_THRI);
	assert_int_equal(edges(u), 0);
	out(u, UART_MCR, UART_MCR_OUT2);
	assert_int_equal(edges(u), 1);
}

static void input(void **state)
{
	struct uart *u = *state;

	out(u, UART_IER, UART_IER_RDI);
	assert_int_equal(serial_input(u->serial, "abc", 3), 3);
	assert_int_equal(edges(u), 1);
	assert_int_equal(in(u, UART_IIR), 0xc0 | UART_IIR_RX_TIMEOUT);
	assert_true(in(u, UART_LSR) & UART_LSR_DR);
	assert_int_equal(in(u, UART_RX), 'a');
	assert_int_equal(in(u, UART_RX), 'b');
	assert_int_equal(in(u, UART_RX), 'c');
	assert_false(in(u, UART_LSR) & UART_LSR_DR);
	assert_int_equal(in(u, UART_IIR), 0xc0 | UART_IIR_NO_INT);
	assert_int_equal(in(u, UART_RX), 0);
	assert_int_equal(edges(u), 0);
	assert_int_equal(u->room, 0);
}

static void input_trigger(void **state)
{
	struct uart *u = *state;

	out(u, UART_IER, UART_IER_RDI | UART_IER_THRI);
	assert_int_equal(serial_input(u->serial, "12345678", 8), 8);
	/* Received data come before an empty transmitter. */
	assert_int_equal(in(u, UART_IIR), 0xc0 | UART_IIR_RDI);
	in(u, UART_RX);
	assert_int_equal(in(u, UART_IIR), 0xc0 | UART_IIR_RX_TIMEOUT);
	out(u, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_int_equal(in(u, UART_IIR), 0xc0 | UART_IIR_THRI);
}

/* The FIFO wraps, and who was refused hears of room once. */
static void input_room(void **state)
{
	struct uart *u = *state;
	const char text[] = "0123456789abcdefghij";

	serial_input(u->serial, "....", 4);
	for (unsigned i = 0; i < 4; i++)
		in(u, UART_RX);
	assert_int_equal(serial_input(u->serial, text, 20), 16);
	assert_int_equal(serial_input(u->serial, text + 16, 4), 0);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(u->room, 0);
		assert_int_equal(in(u, UART_RX), text[i]);
	}
	assert_int_equal(u->room, 1);
	in(u, UART_RX);
	assert_int_equal(u->room, 1);
}

/* Linux clears the FIFO when it opens the port: what waits outside must not wait for ever. */
static void cleared_fifo_makes_room(void **state)
{
	struct uart *u = *state;

	assert_int_equal(serial_input(u->serial, "0123456789abcdefghij", 20), 16);
	out(u, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_int_equal(u->room, 1);
}

static void input_without_fifo(void **state)
{
	struct uart *u = *state;

	assert_int_equal(serial_input(u->serial, "ab", 2), 1);
	out(u, UART_IER, UART_IER_RDI);
	assert_int_equal(in(u, UART_IIR), UART_IIR_RDI);
	assert_int_equal(in(u, UART_RX), 'a');
	assert_int_equal(u->room, 1);
}

static void loopback(void **state)
{
	struct uart *u = *state;

	out(u, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2);
	out(u, UART_IER, UART_IER_RLSI);
	out(u, UART_TX, 'L');
	assert_int_equal(in(u, UART_RX), 'L');
	assert_int_equal(serial_input(u->serial, "x", 1), 0);
	for (unsigned i = 0; i < 17; i++)
		out(u, UART_TX, 'o');
	assert_int_equal(in(u, UART_IIR) & 0x0f, UART_IIR_RLSI);
	assert_true(in(u, UART_LSR) & UART_LSR_OE);
	assert_false(in(u, UART_LSR) & UART_LSR_OE);
	assert_int_equal(u->output_len, 0);
	assert_int_equal(edges(u), 0);
	assert_int_equal(u->room, 0);
	out(u, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	out(u, UART_MCR, UART_MCR_OUT2);
	assert_int_equal(u->room, 1);
}

#define STREAM 20000

static void *feed(void *arg)
{
	struct uart *u = arg;

	for (unsigned i = 0; i < STREAM;) {
		u8 byte = (u8)i;

		if (serial_input(u->serial, &byte, 1))
			i++;
		else
			sched_yield();
	}
	return NULL;
}

/* The main loop feeds while a vCPU reads: nothing is lost or changed. */
static void input_from_another_thread(void **state)
{
	struct uart *u = *state;
	pthread_t thread;

	out(u, UART_IER, UART_IER_RDI);
	assert_int_equal(pthread_create(&thread, NULL, feed, u), 0);
	for (unsigned i = 0; i < STREAM;) {
		if (!(in(u, UART_LSR) & UART_LSR_DR)) {
			sched_yield();
			continue;
		}
		assert_int_equal(in(u, UART_RX), (u8)i);
		i++;
	}
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_range, setup, teardown),
		cmocka_unit_test_setup_teardown(detected_as_16550a, setup, teardown),
		cmocka_unit_test_setup_teardown(divisor_is_kept_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(output_arrives, setup_open, teardown),
		cmocka_unit_test_setup_teardown(wide_access, setup, teardown),
		cmocka_unit_test_setup_teardown(transmit_interrupt, setup_open, teardown),
		cmocka_unit_test_setup_teardown(interrupt_needs_out2, setup_open, teardown),
		cmocka_unit_test_setup_teardown(input, setup_open, teardown),
		cmocka_unit_test_setup_teardown(input_trigger, setup_open, teardown),
		cmocka_unit_test_setup_teardown(input_room, setup_open, teardown),
		cmocka_unit_test_setup_teardown(cleared_fifo_makes_room, setup_open, teardown),
		cmocka_unit_test_setup_teardown(input_without_fifo, setup, teardown),
		cmocka_unit_test_setup_teardown(loopback, setup_open, teardown),
		cmocka_unit_test_setup_teardown(input_from_another_thread, setup_open, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
