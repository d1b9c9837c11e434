/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which rings have a file registered, so that its end reaches them: a list of their slots under the
 * file's lock, which is taken where a slot changes hands (beside a system call) and at the end.
 *
 * A file ends with the last slot that it is in. As long as it is in one, that ring is there, and its
 * loop may be posted to.
 */
#include <stdlib.h>

#include "base/uring.h"

struct uring_file {
	pthread_mutex_t lock;
	_Atomic bool closed; /* set under the lock */
	struct uring_slot *slots;
};

struct uring_file *uring_file_new(void)
{
	struct uring_file *f = calloc(1, sizeof(*f));

	if (f)
		pthread_mutex_init(&f->lock, NULL);
	return f;
}

/* Gives up the lock, and the file where that was all of it. */
static void file_unlock(struct uring_file *f)
{
	bool last = atomic_load(&f->closed) && !f->slots;

	pthread_mutex_unlock(&f->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void uring_file_close(struct uring_file *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	atomic_store(&f->closed, true);
	for (const struct uring_slot *s = f->slots; s; s = s->next)
		loop_post(s->uring->loop, &s->uring->forget);
	file_unlock(f);
}

static void file_enter(struct uring_file *f, struct uring_slot *slot)
{
	pthread_mutex_lock(&f->lock);
	slot->next = f->slots;
	f->slots = slot;
	file_unlock(f);
}

static void file_leave(struct uring_file *f, const struct uring_slot *slot)
{
	struct uring_slot **s = &f->slots;

	pthread_mutex_lock(&f->lock);
	while (*s != slot)
		s = &(*s)->next;
	*s = slot->next;
	file_unlock(f);
}

void uring_slot_give(struct uring_slot *slot, struct uring_file *file)
{
	struct uring_file *before = slot->file;

	if (before == file)
		return;
	if (before)
		file_leave(before, slot);
	slot->file = file;
	if (file)
		file_enter(file, slot);
}

bool uring_slot_stale(const struct uring_slot *slot)
{
	return slot->file && atomic_load(&slot->file->closed);
}
