/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/terminal.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define CTRL_A 0x01

int terminal_raw(struct terminal *t)
{
	struct termios raw;

	if (t->raw || !isatty(STDIN_FILENO))
		return 0;
	if (tcgetattr(STDIN_FILENO, &t->saved))
		return -errno;
	raw = t->saved;
	cfmakeraw(&raw);
	/* candela's own lines end with a newline alone. */
	raw.c_oflag |= OPOST;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw))
		return -errno;
	t->raw = true;
	return 0;
}

void terminal_restore(struct terminal *t)
{
	sigset_t stop, old;

	if (!t->raw)
		return;
	/* Put into the background meanwhile, the program must not be stopped for it. */
	sigemptyset(&stop);
	sigaddset(&stop, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &stop, &old);
	if (!tcsetattr(STDIN_FILENO, TCSANOW, &t->saved))
		t->raw = false;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

u32 terminal_keys(struct terminal_keys *k, u8 *data, u32 len)
{
	u32 kept = 0;

	for (u32 i = 0; i < len && !k->quit; i++) {
		if (!k->escape && data[i] != CTRL_A) {
			data[kept++] = data[i];
			continue;
		}
		if (k->escape && (data[i] == CTRL_A || data[i] == 'a'))
			data[kept++] = CTRL_A;
		else if (k->escape && data[i] == 'x')
			k->quit = true;
		else if (k->escape && (data[i] == 'h' || data[i] == '?'))
			k->help = true;
		k->escape = !k->escape;
	}
	return kept;
}

void terminal_help(void)
{
	static const char text[] = "\ncandela: Ctrl-A x quits, Ctrl-A h shows this, "
				   "Ctrl-A Ctrl-A sends Ctrl-A to the guest\n";

	/* Words that are lost are nobody's error. */
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		return;
}
