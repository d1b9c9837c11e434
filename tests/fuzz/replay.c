/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a target on files, or on all files of folders, without libFuzzer: for coverage by gcov, and
 * for a debugger.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static u8 bytes[KiB(128)];

static void replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	size_t size;
	u8 *input;

	FUZZ_CHECK(f);
	size = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	/* Of the very size, for the sanitizers. */
	input = malloc(size ? size : 1);
	FUZZ_CHECK(input);
	memcpy(input, bytes, size);
	LLVMFuzzerTestOneInput(input, size);
	free(input);
}

static void replay(const char *path)
{
	char name[4096];
	struct dirent *e;
	struct stat st;
	DIR *d;

	FUZZ_CHECK(!stat(path, &st));
	if (!S_ISDIR(st.st_mode)) {
		replay_file(path);
		return;
	}
	d = opendir(path);
	FUZZ_CHECK(d);
	while ((e = readdir(d))) {
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (e->d_name[0] != '.')
			replay(name);
	}
	closedir(d);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	return 0;
}
