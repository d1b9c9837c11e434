/* SPDX-License-Identifier: BSD-2-Clause */
/* What a console does when its reader or writer is slow, gone, or too fast. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/backend/console.h"
#include "tests/patience.h"

struct fixture {
	struct loop loop;
	struct console console;
	int in[2], out[2];
	char got[4096];
	u32 got_len, room; /* room: what the guest takes */
};

static u32 take(void *ctx, const void *data, u32 len)
{
	struct fixture *f = ctx;
	u32 n = MIN(len, f->room);

	memcpy(f->got + f->got_len, data, n);
	f->got_len += n;
	f->room -= n;
	return n;
}

static int setup(void **state)
{
	static struct fixture f;
	struct console_config config = { .listen_fd = -1, .input = take, .ctx = &f };

	f = (struct fixture){ .room = sizeof(f.got) };
	signal(SIGPIPE, SIG_IGN);
	if (pipe(f.in) || pipe(f.out))
		return -1;
	config.in_fd = f.in[0];
	config.out_fd = f.out[1];
	*state = &f;
	return loop_init(&f.loop) ?: console_init(&f.console, &f.loop, &config);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	console_close(&f->console);
	console_fini(&f->console, 0);
	loop_fini(&f->loop);
	for (int i = 0; i < 2; i++) {
		close(f->in[i]);
		close(f->out[i]);
	}
	return 0;
}

static void turns(struct fixture *f)
{
	for (int i = 0; i < 20; i++)
		loop_turn(&f->loop, 0);
}

static void output_arrives(void **state)
{
	struct fixture *f = *state;
	char got[16] = "";

	console_write(&f->console, "hello ", 6);
	console_write(&f->console, "world", 5);
	turns(f);
	assert_int_equal(read(f->out[0], got, sizeof(got)), 11);
	assert_string_equal(got, "hello world");
}

static void input_waits_for_room(void **state)
{
	struct fixture *f = *state;

	f->room = 3;
	assert_int_equal(write(f->in[1], "abcdef", 6), 6);
	turns(f);
	assert_int_equal(f->got_len, 3);
	f->room = 100;
	console_room(&f->console);
	turns(f);
	assert_int_equal(f->got_len, 6);
	assert_memory_equal(f->got, "abcdef", 6);
	assert_int_equal(write(f->in[1], "g", 1), 1);
	turns(f);
	assert_int_equal(f->got_len, 7);
}

static void end_of_input_is_quiet(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write(f->in[1], "x", 1), 1);
	close(f->in[1]);
	f->in[1] = -1;
	turns(f);
	assert_int_equal(f->got_len, 1);
	assert_int_equal(f->console.in.fd, -1);
}

static void closed_reader_does_not_stop_the_guest(void **state)
{
	struct fixture *f = *state;
	static char data[CONSOLE_QUEUE_BYTES];

	close(f->out[0]);
	f->out[0] = -1;
	for (int i = 0; i < 4; i++) {
		console_write(&f->console, data, sizeof(data));
		turns(f);
		turns(f);
	}
	assert_int_equal(f->console.used, 0);
}

struct writer {
	struct console *console;
	u32 bytes;
};

static void *write_much(void *arg)
{
	struct writer *w = arg;

	for (u32 i = 0; i < w->bytes; i += 4)
		console_write(w->console, &i, 4);
	return NULL;
}

static bool queue_is_full(struct console *c)
{
	bool full;

	pthread_mutex_lock(&c->lock);
	full = c->used == CONSOLE_QUEUE_BYTES;
	pthread_mutex_unlock(&c->lock);
	return full;
}

/* More than queue and pipe hold: nothing is lost, nothing changes its place. */
static void full_queue_waits(void **state)
{
	struct fixture *f = *state;
	struct writer w = { &f->console, 4 * CONSOLE_QUEUE_BYTES };
	pthread_t thread;
	u32 next = 0, word[1024];

	assert_int_equal(fcntl(f->out[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(pthread_create(&thread, NULL, write_much, &w), 0);
	while (next < w.bytes) {
		ssize_t n;

		loop_turn(&f->loop, 10);
		n = read(f->out[0], word, sizeof(word));
		if (n < 0 && errno == EAGAIN)
			continue;
		assert_true(n > 0 && n % 4 == 0);
		for (ssize_t i = 0; i < n / 4; i++, next += 4)
			assert_int_equal(word[i], next);
	}
	pthread_join(thread, NULL);
}

static void close_frees_a_waiting_writer(void **state)
{
	struct fixture *f = *state;
	struct writer w = { &f->console, 4 * CONSOLE_QUEUE_BYTES };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, write_much, &w), 0);
	while (!queue_is_full(&f->console))
		usleep(100);
	console_close(&f->console);
	pthread_join(thread, NULL);
}

/* A guest that has printed more whenever a piece of it was written. */
static struct flood {
	struct console *console;
	int fd;
	unsigned pieces;
} flood = { .fd = -1 };

#define FLOOD_MAX 10000u

/* In libc's place: the console's write() brings on more output. */
ssize_t write(int fd, const void *data, size_t len)
{
	if (fd == flood.fd && flood.pieces++ < FLOOD_MAX)
		console_write(flood.console, "again", 5);
	return syscall(SYS_write, fd, data, len);
}

static void flood_leaves_the_loop_to_others(void **state)
{
	struct fixture f = { 0 };
	struct console_config config = { .in_fd = -1,
					 .listen_fd = -1,
					 .out_fd = open("/dev/null", O_WRONLY) };

	(void)state;
	assert_int_equal(loop_init(&f.loop), 0);
	assert_int_equal(console_init(&f.console, &f.loop, &config), 0);
	flood = (struct flood){ .console = &f.console, .fd = f.console.out.fd };
	console_write(&f.console, "once", 4);
	loop_turn(&f.loop, 0);
	assert_in_range(flood.pieces, 1, FLOOD_MAX / 10);
	while (flood.pieces < FLOOD_MAX)
		assert_int_equal(loop_turn(&f.loop, 1000), 0);
	turns(&f);
	assert_int_equal(f.console.used, 0);
	flood.fd = -1;
	console_fini(&f.console, 0);
	loop_fini(&f.loop);
	close(config.out_fd);
}

/* ---- A console that is listened for --------------------------------------------------------- */

static struct sockaddr_un own_address(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	addr.sun_path[1] = 'c'; /* an abstract name of our own */
	snprintf(addr.sun_path + 2, 32, "console-test-%d", getpid());
	return addr;
}

static void listen_begin(struct fixture *f)
{
	struct console_config config = { .in_fd = -1, .out_fd = -1, .input = take, .ctx = f };
	struct sockaddr_un addr = own_address();

	config.listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(config.listen_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(config.listen_fd, 1), 0);
	assert_int_equal(loop_init(&f->loop), 0);
	assert_int_equal(console_init(&f->console, &f->loop, &config), 0);
}

static void listen_end(struct fixture *f)
{
	console_fini(&f->console, 0);
	loop_fini(&f->loop);
	close(f->console.config.listen_fd);
}

static int client_connect(void)
{
	struct sockaddr_un addr = own_address();
	int client = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(connect(client, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return client;
}

/*
 * They close on exec, as all of candela's do. The process that accepts clients executes nothing, and
 * its sandbox forbids it: what it might execute one day would not keep the connection open.
 */
static void a_client_s_descriptors_are_our_own(void **state)
{
	struct fixture f = { .room = sizeof(f.got) };
	int client;

	(void)state;
	listen_begin(&f);
	client = client_connect();
	turns(&f);
	assert_int_equal(fcntl(f.console.client_fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(f.console.out.fd, F_GETFD), FD_CLOEXEC);
	close(client);
	turns(&f);
	listen_end(&f);
}

static void unix_client(void **state)
{
	struct fixture f = { .room = sizeof(f.got) };
	char got[8] = "";

	(void)state;
	listen_begin(&f);
	for (int round = 0; round < 2; round++) {
		int client = client_connect();

		turns(&f);
		console_write(&f.console, "out", 3);
		turns(&f);
		assert_int_equal(read(client, got, sizeof(got)), 3);
		assert_int_equal(write(client, "in", 2), 2);
		turns(&f);
		assert_int_equal(f.got_len, 2 * (u32)(round + 1));
		/* One that has nothing more to say still listens. */
		assert_int_equal(shutdown(client, SHUT_WR), 0);
		turns(&f);
		console_write(&f.console, "more", 4);
		turns(&f);
		assert_int_equal(recv(client, got, sizeof(got), MSG_DONTWAIT), 4);
		close(client);
		turns(&f);
	}
	console_write(&f.console, "nobody", 6);
	turns(&f);
	assert_int_equal(f.console.used, 0);
	listen_end(&f);
}

/* Leaves no more than `left` descriptors to this process. What it was before. */
static struct rlimit limit_descriptors(int left)
{
	struct rlimit old, few;
	int next = dup(STDIN_FILENO);

	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = (rlim_t)(next + left);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	return old;
}

/* One for the client, and one more for output: with both missing, or one. */
static void a_client_without_descriptors_waits(void **state)
{
	char got[8] = "";

	(void)state;
	for (int left = 0; left < 2; left++) {
		struct fixture f = { .room = sizeof(f.got) };
		struct pollfd loop = { .events = POLLIN };
		struct rlimit old;
		u64 begin = loop_now_ns();
		int client;

		listen_begin(&f);
		client = client_connect();
		old = limit_descriptors(left);
		loop_turn(&f.loop, 0);
		/* Nothing is ready now, and the loop sleeps until it is to try again. */
		loop.fd = f.loop.epoll_fd;
		assert_int_equal(poll(&loop, 1, 0), 0);
		assert_true(f.console.listen_again.armed);
		assert_true(f.console.listen_again.deadline_ns > begin + 15 * NSEC_PER_MSEC);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		if (!left) {
			/* Without the descriptor it was not accepted; else it is let go of. */
			while (f.console.client_fd < 0)
				assert_int_equal(loop_turn(&f.loop, -1), 0);
			console_write(&f.console, "late", 4);
			turns(&f);
			assert_int_equal(read(client, got, sizeof(got)), 4);
		} else {
			assert_int_equal(read(client, got, sizeof(got)), 0);
		}
		close(client);
		listen_end(&f);
	}
}

/* ---- A terminal ----------------------------------------------------------------------------- */

/* Paused, it takes nothing more in the midst of it, and the loop goes on; then nothing is lost. */
static void a_paused_terminal_does_not_hold_the_loop(void **state)
{
	struct console_config config = { .in_fd = -1, .listen_fd = -1 };
	struct fixture f = { 0 };
	struct writer w = { &f.console, 4 * CONSOLE_QUEUE_BYTES };
	u32 next = 0, at = 0, word[1024];
	struct termios raw;
	pthread_t thread;
	int screen;

	(void)state;
	assert_int_equal(openpty(&screen, &config.out_fd, NULL, NULL, NULL), 0);
	tcgetattr(config.out_fd, &raw);
	cfmakeraw(&raw);
	tcsetattr(config.out_fd, TCSANOW, &raw);
	assert_int_equal(loop_init(&f.loop), 0);
	assert_int_equal(console_init(&f.console, &f.loop, &config), 0);
	assert_int_equal(fcntl(screen, F_SETFL, O_NONBLOCK), 0);
	alarm(PATIENCE_S);
	assert_int_equal(pthread_create(&thread, NULL, write_much, &w), 0);
	/* Nobody reads: the terminal fills, then the queue, however late the writer comes to run. */
	while (!queue_is_full(&f.console))
		loop_turn(&f.loop, 2);
	assert_int_equal(fcntl(config.out_fd, F_GETFL) & O_NONBLOCK, 0);
	while (next < w.bytes) {
		ssize_t n = read(screen, (char *)word + at, sizeof(word) - at);
		bool none = n < 0 && errno == EAGAIN;

		loop_turn(&f.loop, none ? 10 : 0);
		if (none)
			continue;
		assert_true(n > 0);
		at += (u32)n;
		for (u32 i = 0; i < at / 4; i++, next += 4)
			assert_int_equal(word[i], next);
		memmove(word, (char *)word + at / 4 * 4, at % 4);
		at %= 4;
	}
	pthread_join(thread, NULL);
	alarm(0);
	console_fini(&f.console, 0);
	loop_fini(&f.loop);
	close(config.out_fd);
	close(screen);
}

/* What is written to a master arrives at its own slave. */
static void a_master_is_kept(void **state)
{
	struct console_config config = { .in_fd = -1, .listen_fd = -1 };
	struct fixture f = { 0 };
	char got[8] = "";
	int slave;

	(void)state;
	assert_int_equal(openpty(&config.out_fd, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(loop_init(&f.loop), 0);
	assert_int_equal(console_init(&f.console, &f.loop, &config), 0);
	alarm(PATIENCE_S);
	console_write(&f.console, "key\n", 4);
	turns(&f);
	assert_int_equal(read(slave, got, sizeof(got)), 4);
	alarm(0);
	console_fini(&f.console, 0);
	loop_fini(&f.loop);
	close(config.out_fd);
	close(slave);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(output_arrives, setup, teardown),
		cmocka_unit_test_setup_teardown(input_waits_for_room, setup, teardown),
		cmocka_unit_test_setup_teardown(end_of_input_is_quiet, setup, teardown),
		cmocka_unit_test_setup_teardown(closed_reader_does_not_stop_the_guest, setup,
						teardown),
		cmocka_unit_test_setup_teardown(full_queue_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(close_frees_a_waiting_writer, setup, teardown),
		cmocka_unit_test(flood_leaves_the_loop_to_others),
		cmocka_unit_test(unix_client),
		cmocka_unit_test(a_client_s_descriptors_are_our_own),
		cmocka_unit_test(a_client_without_descriptors_waits),
		cmocka_unit_test(a_paused_terminal_does_not_hold_the_loop),
		cmocka_unit_test(a_master_is_kept),
	};

	return cmocka_run_group_tests_name("devices/console", tests, NULL, NULL);
}
