/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/uring.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

#define GIVERS 3
#define EACH 20000

/* `res` is its number. */
static void put_numbers(struct uring_inbox *in, struct uring_op *op, int count)
{
	for (int i = 0; i < count; i++) {
		op[i].res = i;
		assert_int_equal(uring_inbox_put(in, &op[i]), i == 0);
	}
}

static void a_list_is_first_in_first_out(void **state)
{
	struct uring_op op[3] = { 0 };
	struct uring_list list;

	(void)state;
	uring_list_init(&list);
	assert_null(uring_list_pop(&list));
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3; i++)
			uring_list_push(&list, &op[i]);
		for (int i = 0; i < 3; i++)
			assert_ptr_equal(uring_list_pop(&list), &op[i]);
		assert_null(uring_list_pop(&list));
	}
}

static void an_inbox_says_when_it_was_empty(void **state)
{
	struct uring_inbox in = { 0 };
	struct uring_op op[3] = { 0 };
	struct uring_list list;

	(void)state;
	uring_list_init(&list);
	for (int round = 0; round < 2; round++) {
		assert_true(uring_inbox_empty(&in));
		put_numbers(&in, op, 3);
		assert_false(uring_inbox_empty(&in));
		uring_inbox_take(&in, &list);
		while (uring_list_pop(&list))
			;
	}
	assert_true(uring_inbox_empty(&in));
}

static void what_is_taken_goes_behind_what_is_there(void **state)
{
	struct uring_inbox in = { 0 };
	struct uring_op first = { .res = -1 }, last = { .res = 3 }, op[3] = { 0 };
	struct uring_list list;

	(void)state;
	uring_list_init(&list);
	uring_list_push(&list, &first);
	put_numbers(&in, op, 3);
	uring_inbox_take(&in, &list);
	uring_inbox_take(&in, &list);
	uring_list_push(&list, &last);
	for (int i = -1; i <= 3; i++)
		assert_int_equal(uring_list_pop(&list)->res, i);
	assert_null(uring_list_pop(&list));
}

struct giver {
	pthread_t thread;
	int number;
	struct uring_inbox *in;
	unsigned woke; /* times the inbox was empty */
	struct uring_op op[EACH];
};

static void *give(void *arg)
{
	struct giver *g = arg;

	for (int i = 0; i < EACH; i++) {
		g->op[i].fd = g->number;
		g->op[i].res = i;
		g->woke += uring_inbox_put(g->in, &g->op[i]);
	}
	return NULL;
}

/* Each giver's in its order; how often there was anything. */
static unsigned take_all(struct uring_inbox *in)
{
	int next[GIVERS] = { 0 };
	unsigned times = 0;
	struct uring_list list;
	struct uring_op *op;

	uring_list_init(&list);
	for (int left = GIVERS * EACH; left;) {
		uring_inbox_take(in, &list);
		times += !!list.head;
		for (; (op = uring_list_pop(&list)); left--)
			assert_int_equal(op->res, next[op->fd]++);
	}
	return times;
}

static void threads_give_and_one_takes(void **state)
{
	struct giver *giver = calloc(GIVERS, sizeof(*giver));
	struct uring_inbox in = { 0 };
	unsigned woke = 0, took;

	(void)state;
	assert_non_null(giver);
	for (int i = 0; i < GIVERS; i++) {
		giver[i].number = i;
		giver[i].in = &in;
		assert_int_equal(pthread_create(&giver[i].thread, NULL, give, &giver[i]), 0);
	}
	took = take_all(&in);
	for (int i = 0; i < GIVERS; i++) {
		assert_int_equal(pthread_join(giver[i].thread, NULL), 0);
		woke += giver[i].woke;
	}
	assert_int_equal(took, woke);
	assert_true(uring_inbox_empty(&in));
	free(giver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_first_in_first_out),
		cmocka_unit_test(an_inbox_says_when_it_was_empty),
		cmocka_unit_test(what_is_taken_goes_behind_what_is_there),
		cmocka_unit_test(threads_give_and_one_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
