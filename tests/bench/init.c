/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The /init of the benchmarks. It ends the machine at once, by the debug-exit port that candela and
 * QEMU's isa-debug-exit share, else by a reboot (kvmtool); as `init idle` it says so on the console
 * and sleeps for good.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#define DEBUG_EXIT_PORT 0xf4

static void idle(void)
{
	static const char text[] = "\nidle\n";
	int fd;

	mount("dev", "/dev", "devtmpfs", 0, NULL);
	fd = open("/dev/console", O_WRONLY);
	if (fd >= 0 && write(fd, text, strlen(text)) > 0)
		tcdrain(fd);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "idle"))
		idle();
	if (!ioperm(DEBUG_EXIT_PORT, 1, 1))
		outb(0, DEBUG_EXIT_PORT);
	return reboot(RB_AUTOBOOT);
}
