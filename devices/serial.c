/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A 16550A UART. Source: National Semiconductor PC16550D data sheet; register names are those of
 * Linux's include/uapi/linux/serial_reg.h.
 *
 * Registers belong to the vCPU threads, input comes from the main loop: one lock, held for a few
 * instructions and never while a callback runs.
 *
 * A byte written is sent at once, so the transmitter is always empty. The interrupt is an edge:
 * one is sent for a new reason, and then none until the guest reads IIR or changes what interrupts
 * it wants, so that a FIFO full of output costs one, and a handler that leaves early is called
 * again. Reads only take reasons away and send none.
 *
 * Left out: the speed (any divisor is kept and ignored), modem status changes, breaks, DMA.
 */
#include "devices/devices.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIFO_BYTES 16
#define SERIAL_PORTS 8
#define MSR_READY (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD)
#define IER_MASK 0x0f
#define MCR_MASK 0x1f
#define IIR_FIFO 0xc0

struct serial {
	pthread_mutex_t lock;
	int irq_fd;
	void (*output)(void *ctx, const void *data, u32 len);
	void *output_ctx;
	void (*room)(void *ctx);
	void *room_ctx;

	u8 divisor[2], ier, fcr, lcr, mcr, scr;
	u8 fifo[FIFO_BYTES]; /* received; a ring */
	u8 fifo_head, fifo_count;
	bool overrun;
	bool sent; /* THR became empty and the guest was not told yet */
	bool signalled; /* an edge was sent and IIR not read since */
	bool input_cut; /* serial_input() took less than it got */
};

static u8 fifo_size(const struct serial *s)
{
	return s->fcr & UART_FCR_ENABLE_FIFO ? FIFO_BYTES : 1;
}

static u8 fifo_trigger(const struct serial *s)
{
	static const u8 bytes[] = { 1, 4, 8, 14 };

	return s->fcr & UART_FCR_ENABLE_FIFO ? bytes[s->fcr >> 6] : 1;
}

static void fifo_put(struct serial *s, u8 byte)
{
	s->fifo[(s->fifo_head + s->fifo_count++) % FIFO_BYTES] = byte;
}

static void fifo_clear(struct serial *s)
{
	s->fifo_head = 0;
	s->fifo_count = 0;
}

/* The reason of highest priority, as IIR bits 0 to 3 say it. */
static u8 interrupt_reason(const struct serial *s)
{
	if ((s->ier & UART_IER_RLSI) && s->overrun)
		return UART_IIR_RLSI;
	if ((s->ier & UART_IER_RDI) && s->fifo_count)
		return s->fifo_count < fifo_trigger(s) ? UART_IIR_RX_TIMEOUT : UART_IIR_RDI;
	if ((s->ier & UART_IER_THRI) && s->sent)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void interrupt_update(struct serial *s)
{
	static const u64 one = 1;

	/* On a PC, OUT2 connects the interrupt; in loopback it is cut. */
	if ((s->mcr & (UART_MCR_OUT2 | UART_MCR_LOOP)) != UART_MCR_OUT2 || s->signalled)
		return;
	if (interrupt_reason(s) == UART_IIR_NO_INT)
		return;
	/* An eventfd's counter cannot overflow here; without an interrupt the guest polls. */
	s->signalled = write(s->irq_fd, &one, sizeof(one)) == sizeof(one);
}

/* There is room for input that was refused: true once. */
static bool room_claim(struct serial *s)
{
	bool due = s->input_cut && !s->fifo_count && !(s->mcr & UART_MCR_LOOP);

	if (due)
		s->input_cut = false;
	return due && s->room;
}

static u8 rbr_read(struct serial *s)
{
	u8 byte;

	if (!s->fifo_count)
		return 0;
	byte = s->fifo[s->fifo_head];
	s->fifo_head = (u8)((s->fifo_head + 1) % FIFO_BYTES);
	s->fifo_count--;
	return byte;
}

static u8 iir_read(struct serial *s)
{
	u8 reason = interrupt_reason(s);

	s->signalled = false;
	if (reason == UART_IIR_THRI)
		s->sent = false;
	return (u8)(reason | (s->fcr & UART_FCR_ENABLE_FIFO ? IIR_FIFO : 0));
}

static u8 lsr_read(struct serial *s)
{
	u8 lsr = UART_LSR_THRE | UART_LSR_TEMT;

	if (s->fifo_count)
		lsr |= UART_LSR_DR;
	if (s->overrun)
		lsr |= UART_LSR_OE;
	s->overrun = false;
	return lsr;
}

/* Loopback joins RTS to CTS, DTR to DSR, OUT1 to RI and OUT2 to DCD. */
static u8 msr_read(const struct serial *s)
{
	u8 msr = 0;

	if (!(s->mcr & UART_MCR_LOOP))
		return MSR_READY;
	msr |= s->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0;
	msr |= s->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0;
	msr |= s->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0;
	msr |= s->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0;
	return msr;
}

/* True where the byte is for the outside. */
static bool thr_write(struct serial *s, u8 byte)
{
	bool loop = s->mcr & UART_MCR_LOOP;

	s->sent = true;
	if (loop && s->fifo_count < fifo_size(s))
		fifo_put(s, byte);
	else if (loop)
		s->overrun = true;
	return !loop;
}

static void ier_write(struct serial *s, u8 value)
{
	/* Enabling the interrupt while THR is empty is a reason for it. */
	if ((value & UART_IER_THRI) && !(s->ier & UART_IER_THRI))
		s->sent = true;
	s->ier = value & IER_MASK;
	s->signalled = false;
}

static void fcr_write(struct serial *s, u8 value)
{
	bool switched = (s->fcr ^ value) & UART_FCR_ENABLE_FIFO;

	if (switched || (value & UART_FCR_CLEAR_RCVR))
		fifo_clear(s);
	s->fcr = value & UART_FCR_ENABLE_FIFO ? value & (UART_FCR_ENABLE_FIFO | 0xc0) : 0;
}

static void mcr_write(struct serial *s, u8 value)
{
	s->mcr = value & MCR_MASK;
	s->signalled = false;
}

static u8 register_read(struct serial *s, u64 offset)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_RX:
		return dlab ? s->divisor[0] : rbr_read(s);
	case UART_IER:
		return dlab ? s->divisor[1] : s->ier;
	case UART_IIR:
		return iir_read(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return lsr_read(s);
	case UART_MSR:
		return msr_read(s);
	default:
		return s->scr;
	}
}

/* True where value is a byte to send. */
static bool register_write(struct serial *s, u64 offset, u8 value)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_TX:
		if (!dlab)
			return thr_write(s, value);
		s->divisor[0] = value;
		break;
	case UART_IER:
		if (dlab)
			s->divisor[1] = value;
		else
			ier_write(s, value);
		break;
	case UART_FCR:
		fcr_write(s, value);
		break;
	case UART_LCR:
		s->lcr = value;
		break;
	case UART_MCR:
		mcr_write(s, value);
		break;
	case UART_SCR:
		s->scr = value;
		break;
	default: /* LSR and MSR cannot be written. */
		break;
	}
	return false;
}

/* Wide accesses reach one register: the chip has an 8-bit bus, and no driver uses them. */
static void serial_read(void *ctx, u64 offset, void *data, unsigned len)
{
	struct serial *s = ctx;
	bool room;

	memset(data, 0xff, len);
	pthread_mutex_lock(&s->lock);
	*(u8 *)data = register_read(s, offset);
	room = room_claim(s);
	pthread_mutex_unlock(&s->lock);
	if (room)
		s->room(s->room_ctx);
}

static void serial_write(void *ctx, u64 offset, const void *data, unsigned len)
{
	struct serial *s = ctx;
	u8 value = *(const u8 *)data;
	bool output, room;

	(void)len;
	pthread_mutex_lock(&s->lock);
	output = register_write(s, offset, value);
	room = room_claim(s);
	interrupt_update(s);
	pthread_mutex_unlock(&s->lock);
	if (output)
		s->output(s->output_ctx, &value, 1);
	if (room)
		s->room(s->room_ctx);
}

u32 serial_input(struct serial *s, const void *data, u32 len)
{
	const u8 *bytes = data;
	u32 taken = 0;

	pthread_mutex_lock(&s->lock);
	while (!(s->mcr & UART_MCR_LOOP) && taken < len && s->fifo_count < fifo_size(s))
		fifo_put(s, bytes[taken++]);
	s->input_cut = taken < len;
	interrupt_update(s);
	pthread_mutex_unlock(&s->lock);
	return taken;
}

void serial_on_room(struct serial *s, void (*room)(void *ctx), void *ctx)
{
	s->room = room;
	s->room_ctx = ctx;
}

struct io_range serial_range(struct serial *s, u64 base)
{
	return (struct io_range){
		.space = IO_PORT,
		.base = base,
		.len = SERIAL_PORTS,
		.read = serial_read,
		.write = serial_write,
		.ctx = s,
	};
}

int serial_init(struct serial **s, int irq_fd, void (*output)(void *ctx, const void *data, u32 len),
		void *ctx)
{
	struct serial *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	pthread_mutex_init(&new->lock, NULL);
	new->irq_fd = irq_fd;
	new->output = output;
	new->output_ctx = ctx;
	*s = new;
	return 0;
}

void serial_fini(struct serial *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}
