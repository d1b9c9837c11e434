/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests in a row: a list of one thread's own, and an inbox that other threads put them into. */
#include "base/uring.h"

void uring_list_init(struct uring_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

void uring_list_push(struct uring_list *l, struct uring_op *op)
{
	op->next = NULL;
	*l->tail = op;
	l->tail = &op->next;
}

struct uring_op *uring_list_pop(struct uring_list *l)
{
	struct uring_op *op = l->head;

	if (op) {
		l->head = op->next;
		if (!l->head)
			l->tail = &l->head;
	}
	return op;
}

bool uring_inbox_put(struct uring_inbox *in, struct uring_op *op)
{
	struct uring_op *before = atomic_load_explicit(&in->newest, memory_order_relaxed);

	do
		op->next = before;
	while (!atomic_compare_exchange_weak_explicit(&in->newest, &before, op,
						      memory_order_release, memory_order_relaxed));
	return !before;
}

bool uring_inbox_empty(const struct uring_inbox *in)
{
	return !atomic_load(&in->newest);
}

/* They lie newest first. */
void uring_inbox_take(struct uring_inbox *in, struct uring_list *to)
{
	struct uring_op *newest = atomic_exchange_explicit(&in->newest, NULL, memory_order_acquire);
	struct uring_op *op, *rest = newest, *oldest = NULL;

	while ((op = rest)) {
		rest = op->next;
		op->next = oldest;
		oldest = op;
	}
	if (newest) {
		*to->tail = oldest;
		to->tail = &newest->next;
	}
}
