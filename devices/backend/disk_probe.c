/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What format an image has. A few bytes are compared and nothing else is made of them: images of
 * formats other than raw are read by another program (disk_daemon.c).
 *
 * The rule. Another format than raw is taken only where the image's name ends as that format's do
 * and its contents begin (VHD: end) with that format's magic. Where only one of the two holds, the
 * user has to say what it is: contents are the guest's to write, and a guest that writes a header
 * that names other files of the host would else read those at the next start. So has who gives an
 * image a name that is not a disk's: as a raw one it would be a disk of rubbish, to be formatted.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/backend/disk.h"

static const struct {
	const char *ending;
	enum disk_format format;
} endings[] = {
	{ ".qcow2", DISK_QCOW2 }, { ".qcow", DISK_QCOW2 }, { ".vhdx", DISK_VHDX },
	{ ".vhd", DISK_VHD },     { ".vpc", DISK_VHD },    { ".vmdk", DISK_VMDK },
};

static const struct {
	const char *magic;
	bool at_end; /* in the last 512 bytes, not the first */
	enum disk_format format;
} magics[] = {
	{ "QFI\xfb", false, DISK_QCOW2 },
	{ "vhdxfile", false, DISK_VHDX },
	{ "conectix", false, DISK_VHD },
	{ "conectix", true, DISK_VHD },
	{ "KDMV", false, DISK_VMDK },
	{ "COWD", false, DISK_VMDK },
	{ "# Disk DescriptorFile", false, DISK_VMDK },
};

/* Images that nothing here opens, and what images come packed in. */
static const char *const strangers[] = {
	".vdi", ".ova", ".zip", ".gz", ".xz", ".bz2", ".zst", ".7z"
};

static bool ends_in(const char *path, const char *ending)
{
	size_t len = strlen(path), n = strlen(ending);

	return len > n && !strcasecmp(path + len - n, ending);
}

static bool is_stranger(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(strangers); i++)
		if (ends_in(path, strangers[i]))
			return true;
	return false;
}

static enum disk_format by_name(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
		if (ends_in(path, endings[i].ending))
			return endings[i].format;
	return DISK_RAW;
}

static enum disk_format by_magic(int fd)
{
	char first[512] = { 0 }, last[512] = { 0 };
	struct stat st;

	if (pread(fd, first, sizeof(first), 0) < 0 || fstat(fd, &st))
		return DISK_RAW;
	if (st.st_size >= 1024 && pread(fd, last, sizeof(last), st.st_size - 512) < 0)
		return DISK_RAW;
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if (!memcmp(magics[i].at_end ? last : first, magics[i].magic,
			    strlen(magics[i].magic)))
			return magics[i].format;
	return DISK_RAW;
}

int disk_probe(int fd, const char *path, enum disk_format *format, char *error, size_t error_size)
{
	enum disk_format name = by_name(path), magic = by_magic(fd);

	if (is_stranger(path)) {
		snprintf(error, error_size,
			 "disk image %s is named like one that has to be unpacked or converted "
			 "(qemu-img convert) first; format=raw takes it as it is",
			 path);
		return -EINVAL;
	}
	if (name == magic) {
		*format = magic;
		return 0;
	}
	if (magic == DISK_RAW)
		snprintf(error, error_size,
			 "disk image %s is named like a %s image and is none; format=raw takes it "
			 "as "
			 "it is",
			 path, disk_format_name(name));
	else
		snprintf(error, error_size,
			 "disk image %s looks like a %s image and is not named so; format=%s opens "
			 "it "
			 "as one, format=raw takes it as it is",
			 path, disk_format_name(magic), disk_format_name(magic));
	return -EINVAL;
}
