/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What modules are called, where they lie and what they need. Pure.
 *
 * Names are compared as kmod does: without folder and suffix, '-' equal to '_'. An index is the
 * text of a modules.dep: a line "path: ..." each; what follows the colon is not used, as each
 * module names those it needs itself.
 */
#ifndef IMAGES_INIT_MODINFO_H
#define IMAGES_INIT_MODINFO_H

#include "base/types.h"

#define MODINFO_NAME_MAX 64 /* with the NUL: the kernel's MODULE_NAME_LEN on 64 bits is 56 */

/*
 * Copies the next name of a list separated by commas at *list to name and moves *list behind it.
 * Names too long are skipped. False at the end.
 */
bool modinfo_list_next(const char **list, char name[MODINFO_NAME_MAX]);

/* Finds the path of a module in an index, and its length. NULL where it is not there. */
const char *modinfo_path(const char *index, const char *name, size_t *len);

/* The "depends" of a module's image, a list for modinfo_list_next(); "" where it has none. */
const char *modinfo_depends(const void *image, size_t len);

/*
 * The next module whose alias matches name in the text of a modules.alias at *aliases, which moves
 * on. False at the end.
 */
bool modinfo_alias_next(const char **aliases, const char *name, char module[MODINFO_NAME_MAX]);

#endif
