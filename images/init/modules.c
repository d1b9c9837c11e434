/* SPDX-License-Identifier: BSD-2-Clause */
#include "images/init/modules.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "images/init/file.h"
#include "images/init/modinfo.h"
#include "images/init/unpack.h"

#define MODPROBE_SETTING "/proc/sys/kernel/modprobe"
#define MODULE_PATH_MAX 512
/* Real chains have four or five links; a loop in them must end. */
#define DEPENDS_DEPTH_MAX 16

/* "/lib/modules/RELEASE/FILE" */
static const char *module_file(char path[MODULE_PATH_MAX], const char *file, size_t len)
{
	struct utsname host;

	uname(&host);
	snprintf(path, MODULE_PATH_MAX, "/lib/modules/%s/%.*s", host.release, (int)len, file);
	return path;
}

/* An index of what lies in the folder, for an initramfs without a modules.dep. */
static char *index_walk(void)
{
	char path[MODULE_PATH_MAX];
	char *const roots[] = { (char *)module_file(path, "", 0), NULL };
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOSTAT | FTS_NOCHDIR, NULL);
	char *index = NULL;
	FTSENT *entry;
	size_t len;
	FILE *out = open_memstream(&index, &len);

	while (walk && out && (entry = fts_read(walk)))
		if (strstr(entry->fts_name, ".ko"))
			fprintf(out, "%s:\n", entry->fts_path);
	if (walk)
		fts_close(walk);
	if (out)
		fclose(out);
	return index;
}

static void index_read(struct modules *m)
{
	char path[MODULE_PATH_MAX];

	m->index = file_read(module_file(path, "modules.dep", 11), NULL);
	if (!m->index)
		m->index = index_walk();
}

/* A line of a modules.dep is relative to its folder, one of a walk absolute. */
static char *image_read(const char *file, size_t file_len, size_t *len)
{
	char path[MODULE_PATH_MAX];
	void *plain;
	char *image;
	int err;

	if (file[0] == '/')
		snprintf(path, sizeof(path), "%.*s", (int)file_len, file);
	else
		module_file(path, file, file_len);
	image = file_read(path, len);
	if (!image)
		return NULL;
	err = unpack(image, *len, &plain, len);
	if (err == -ENODATA)
		return image;
	free(image);
	errno = -err;
	return err ? NULL : plain;
}

static bool module_present(const char *name)
{
	char path[64 + MODINFO_NAME_MAX];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	for (char *c = path; *c; c++)
		if (*c == '-')
			*c = '_';
	return !access(path, F_OK);
}

static int module_failed(struct modules *m, const char *name, int err)
{
	/* Another process was quicker, or the hardware is not there. */
	if (err == -EEXIST)
		return 0;
	if (err != -ENODEV && !m->failure[0])
		snprintf(m->failure, sizeof(m->failure), "module %s cannot be loaded: %s", name,
			 strerror(-err));
	return err;
}

static int load(struct modules *m, const char *name, unsigned depth);

/* A needed module that is nowhere is built in; if not, the kernel will miss its symbols. */
static int depends_load(struct modules *m, const char *image, size_t len, unsigned depth)
{
	const char *depends = modinfo_depends(image, len);
	char needed[MODINFO_NAME_MAX];
	int err = 0;

	while ((!err || err == -ENOENT) && modinfo_list_next(&depends, needed))
		err = load(m, needed, depth + 1);
	return err == -ENOENT ? 0 : err;
}

static int load(struct modules *m, const char *name, unsigned depth)
{
	size_t path_len, len;
	const char *path;
	char *image;
	int err;

	if (module_present(name))
		return 0;
	path = m->index ? modinfo_path(m->index, name, &path_len) : NULL;
	if (!path)
		return -ENOENT;
	if (depth == DEPENDS_DEPTH_MAX)
		return module_failed(m, name, -ELOOP);
	image = image_read(path, path_len, &len);
	if (!image)
		return module_failed(m, name, -errno);
	err = depends_load(m, image, len, depth);
	if (!err && syscall(SYS_init_module, image, len, ""))
		err = module_failed(m, name, -errno);
	free(image);
	return err;
}

int module_load(struct modules *m, const char *name)
{
	return load(m, name, 0);
}

void modules_load_list(struct modules *m, const char *list)
{
	char name[MODINFO_NAME_MAX];

	while (modinfo_list_next(&list, name))
		module_load(m, name);
}

void modules_init(struct modules *m, const char *self)
{
	*m = (struct modules){ 0 };
	index_read(m);
	m->modprobe = file_read(MODPROBE_SETTING, NULL);
	if (!m->modprobe)
		return;
	m->modprobe[strcspn(m->modprobe, "\n")] = '\0';
	file_write(MODPROBE_SETTING, self);
}

void modules_fini(struct modules *m, const char *self)
{
	bool ours_only = !access(self, X_OK) && m->modprobe && access(m->modprobe, X_OK);

	if (m->modprobe && !ours_only)
		file_write(MODPROBE_SETTING, m->modprobe);
	free(m->modprobe);
	free(m->index);
	*m = (struct modules){ 0 };
}

int modules_helper(int argc, char **argv)
{
	struct modules m = { 0 };
	char path[MODULE_PATH_MAX], module[MODINFO_NAME_MAX];
	const char *name, *at;
	char *aliases;
	int err;

	if (argc < 2)
		return 1;
	name = argv[argc - 1];
	index_read(&m);
	err = module_load(&m, name);
	aliases = file_read(module_file(path, "modules.alias", 13), NULL);
	at = aliases ? aliases : "";
	while (modinfo_alias_next(&at, name, module))
		if (!module_load(&m, module))
			err = 0;
	return err ? 1 : 0;
}
