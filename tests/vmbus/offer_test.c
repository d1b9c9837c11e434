/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Offers: sub-channels, devices that go and come back, sockets, devices plugged by other threads.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/vmbus/channel_bed.h"

static int bare_setup(void **state)
{
	struct channel_bed *f = calloc(1, sizeof(*f));

	*state = f;
	return fg_init(&f->g, NULL);
}

static void connect(struct channel_bed *f, u32 version)
{
	assert_int_equal(fg_connect(&f->g, version), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
}

static const struct fg_offer *offer_of(struct channel_bed *f, const struct vmbus_device *dev,
				       u16 sub_index)
{
	for (unsigned i = 0; i < f->g.offer_count; i++) {
		const struct fg_offer *o = &f->g.offer[i];

		if (!o->rescinded && o->msg.sub_channel_index == sub_index &&
		    !memcmp(o->msg.if_instance, &dev->instance, 16))
			return o;
	}
	return NULL;
}

/* ---- Sub-channels ---------------------------------------------------------------------------- */

#define SUBS 3

/* A device with sub-channels, its primary channel open. */
static int subs_setup_version(void **state, u32 version)
{
	struct channel_bed *f;

	bare_setup(state);
	f = *state;
	probe_init(&f->p[0], 0);
	f->p[0].dev.sub_channels_max = SUBS;
	assert_int_equal(vmbus_offer(f->g.bus, &f->p[0].dev), 0);
	connect(f, version);
	assert_int_equal(f->g.offer_count, 1);
	assert_int_equal(fg_open(&f->g, &f->ch, offer_of(f, &f->p[0].dev, 0), NULL), 0);
	return 0;
}

static int subs_setup(void **state)
{
	return subs_setup_version(state, VMBUS_VERSION_WIN10_V5_3);
}

static void ask(struct channel_bed *f, u16 count)
{
	channel_offer_subs(f->p[0].ch, count);
	fg_offers_poll(&f->g);
}

static void subs_are_offered_when_asked_for(void **state)
{
	struct channel_bed *f = *state;

	ask(f, 2);
	assert_int_equal(f->g.offer_count, 3);
	for (u16 i = 1; i <= 2; i++) {
		const struct fg_offer *o = offer_of(f, &f->p[0].dev, i);

		assert_non_null(o);
		assert_int_equal(o->msg.child_relid, f->ch.relid + i);
		assert_int_equal(o->msg.connection_id, VMBUS_EVENT_CONNECTION_ID(f->ch.relid + i));
	}
	/* Asked for more: those there are stay. More than that there is not. */
	ask(f, 99);
	assert_int_equal(f->g.offer_count, 1 + SUBS);
	ask(f, SUBS);
	assert_int_equal(f->g.offer_count, 1 + SUBS);
	for (u16 i = 1; i <= SUBS; i++) {
		assert_int_equal(fg_open(&f->g, &f->ch2, offer_of(f, &f->p[0].dev, i), NULL), 0);
		assert_int_equal(fg_send(&f->ch2, 1, "x", 1, false), 0);
		fg_pump(&f->g);
		assert_int_equal(f->p[0].packets, i);
	}
	assert_int_equal(channel_sub_index(subchannel_at(&f->p[0].dev, 2)), 2);
}

static void asking_while_opening_counts(void **state)
{
	struct channel_bed *f = *state;

	assert_int_equal(fg_close(&f->ch), 0);
	f->p[0].subs_at_open = 2;
	assert_int_equal(fg_open(&f->g, &f->ch, offer_of(f, &f->p[0].dev, 0), NULL), 0);
	fg_offers_poll(&f->g);
	assert_int_equal(f->g.offer_count, 3);
	/* Where the device refuses, nothing is offered. */
	assert_int_equal(fg_unload(&f->g), 0);
	connect(f, VMBUS_VERSION_WIN10_V5_3);
	f->p[0].open_result = -ENOMEM;
	assert_int_equal(fg_open(&f->g, &f->ch, offer_of(f, &f->p[0].dev, 0), NULL), -EPROTO);
	fg_offers_poll(&f->g);
	assert_int_equal(f->g.offer_count, 1);
}

static void old_guests_have_no_subs(void **state)
{
	struct channel_bed *f;

	subs_setup_version(state, VMBUS_VERSION_WIN7);
	f = *state;
	ask(f, SUBS);
	assert_int_equal(f->g.offer_count, 1);
}

static void subs_go_with_the_primary(void **state)
{
	struct channel_bed *f = *state;
	struct fg_channel sub[2];

	ask(f, 2);
	for (u16 i = 0; i < 2; i++)
		assert_int_equal(
			fg_open(&f->g, &sub[i], offer_of(f, &f->p[0].dev, (u16)(i + 1)), NULL), 0);
	/* One is closed by the guest, as Linux does; the other is left open. */
	assert_int_equal(fg_close(&sub[0]), 0);
	f->p[0].hold_close = true;
	assert_int_equal(fg_close(&f->ch), -ETIMEDOUT);
	/* The primary waits for it. */
	assert_int_equal(f->p[0].closed, 2);
	assert_ptr_equal(f->p[0].last_closed, subchannel_at(&f->p[0].dev, 2));
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER), 2);
	f->p[0].hold_close = false;
	channel_closed(f->p[0].last_closed);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].closed, 3);
	assert_ptr_equal(f->p[0].last_closed, f->p[0].dev.primary);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_GPADL_TORNDOWN), 1);
	/* A sub-channel of a closed primary does not open. */
	assert_int_equal(bed_open_status(f, sub[0].relid, sub[0].ring_gpadl, 17, 0),
			 VMBUS_STATUS_UNSUCCESSFUL);
}

static void subs_come_back_when_let_go_of(void **state)
{
	struct channel_bed *f = *state;
	u32 relid;

	ask(f, 2);
	relid = offer_of(f, &f->p[0].dev, 1)->msg.child_relid;
	assert_int_equal(fg_close(&f->ch), 0);
	fg_offers_poll(&f->g);
	assert_null(offer_of(f, &f->p[0].dev, 1));
	assert_int_equal(fg_release(&f->g, relid), 0);
	assert_int_equal(fg_open(&f->g, &f->ch, offer_of(f, &f->p[0].dev, 0), NULL), 0);
	ask(f, 2);
	/* The second is still with the guest: its offer follows. */
	assert_non_null(offer_of(f, &f->p[0].dev, 1));
	assert_null(offer_of(f, &f->p[0].dev, 2));
	assert_int_equal(fg_release(&f->g, relid + 1), 0);
	fg_offers_poll(&f->g);
	assert_int_equal(offer_of(f, &f->p[0].dev, 2)->msg.child_relid, relid + 1);
	/* Another connection starts without them. */
	connect(f, VMBUS_VERSION_WIN10_V5_3);
	assert_int_equal(f->g.offer_count, 1);
	assert_int_equal(f->p[0].closed, 2);
}

static void a_device_goes_when_all_its_channels_have(void **state)
{
	struct channel_bed *f = *state;
	u8 msg[64];
	struct vmbus_msg_relid rescind;

	ask(f, SUBS);
	while (fg_take(&f->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER, msg, sizeof(msg)) > 0)
		;
	vmbus_rescind(&f->p[0].dev);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].closed, 1);
	/* Sub-channels first. */
	for (u32 i = 1; i <= SUBS + 1; i++) {
		assert_true(fg_take(&f->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER, &rescind,
				    sizeof(rescind)) > 0);
		assert_int_equal(rescind.child_relid, f->ch.relid + i % (SUBS + 1));
	}
	for (u32 i = 0; i <= SUBS; i++) {
		assert_non_null(f->p[0].dev.primary);
		assert_int_equal(fg_release(&f->g, f->ch.relid + i), 0);
	}
	assert_null(f->p[0].dev.primary);
	assert_null(f->p[0].dev.channel);
}

static void subs_take_their_places(void **state)
{
	struct channel_bed *f = *state;
	struct probe more[3];

	for (u8 i = 0; i < 3; i++)
		probe_init(&more[i], (u8)(9 + i));
	more[0].dev.sub_channels_max = VMBUS_CHANNELS_MAX - SUBS - 1;
	assert_int_equal(vmbus_offer(f->g.bus, &more[0].dev), -ENOSPC);
	more[0].dev.sub_channels_max--;
	assert_int_equal(vmbus_offer(f->g.bus, &more[0].dev), 0);
	assert_int_equal(vmbus_offer(f->g.bus, &more[1].dev), -ENOSPC);
	/* Refused, and nothing is left of it. */
	assert_null(more[1].dev.primary);
	fg_fini(&f->g);
	assert_int_equal(fg_init(&f->g, NULL), 0);
}

/* ---- There and back -------------------------------------------------------------------------- */

static unsigned gone;

static void note_gone(struct vmbus_device *dev)
{
	assert_null(dev->primary);
	gone++;
}

static void the_same_device_comes_back(void **state)
{
	struct channel_bed *f = *state;
	u32 relid = f->ch.relid;

	gone = 0;
	f->p[0].dev.gone = note_gone;
	vmbus_rescind(&f->p[0].dev);
	assert_int_equal(vmbus_offer(f->g.bus, &f->p[0].dev), 0);
	assert_int_equal(vmbus_offer(f->g.bus, &f->p[0].dev), -EEXIST);
	fg_offers_poll(&f->g);
	/* The guest has not let go yet: no second offer. */
	assert_int_equal(f->g.offer_count, 2);
	assert_int_equal(fg_release(&f->g, relid), 0);
	fg_offers_poll(&f->g);
	assert_int_equal(f->g.offer_count, 3);
	assert_int_equal(f->g.offer[2].msg.child_relid, relid);
	assert_int_equal(gone, 0);
	assert_int_equal(fg_open(&f->g, &f->ch, &f->g.offer[2], NULL), 0);
	assert_int_equal(f->p[0].opened, 2);
	/* And goes for good. */
	vmbus_rescind(&f->p[0].dev);
	fg_pump(&f->g);
	assert_int_equal(fg_release(&f->g, relid), 0);
	assert_int_equal(gone, 1);
}

/* A device of the same instance is offered when the guest has let go of the other. */
static void a_successor_waits_for_its_twin(void **state)
{
	struct channel_bed *f = *state;
	struct probe next;

	probe_init(&next, 0);
	assert_int_equal(vmbus_offer(f->g.bus, &next.dev), -EEXIST);
	vmbus_rescind(&f->p[0].dev);
	assert_int_equal(vmbus_offer(f->g.bus, &next.dev), 0);
	fg_offers_poll(&f->g);
	assert_int_equal(f->g.offer_count, 2);
	assert_int_equal(fg_release(&f->g, f->ch.relid), 0);
	fg_offers_poll(&f->g);
	assert_int_equal(f->g.offer_count, 3);
	assert_null(f->p[0].dev.primary);
	assert_int_equal(fg_open(&f->g, &f->ch, &f->g.offer[2], NULL), 0);
	assert_int_equal(next.opened, 1);
	/* Or when its connection ends. */
	vmbus_rescind(&next.dev);
	assert_int_equal(vmbus_offer(f->g.bus, &f->p[0].dev), 0);
	connect(f, VMBUS_VERSION_WIN10_V5_3);
	assert_null(next.dev.primary);
	assert_int_equal(f->g.offer_count, 2);
	vmbus_rescind(&f->p[0].dev);
	connect(f, VMBUS_VERSION_WIN10_V5_3);
}

static void relids_are_the_same_next_time(void **state)
{
	struct channel_bed *f = *state;
	struct fg_offer before[2];

	memcpy(before, f->g.offer, sizeof(before));
	for (int i = 0; i < 5; i++) {
		if (i % 2)
			assert_int_equal(fg_unload(&f->g), 0);
		connect(f, i % 2 ? VMBUS_VERSION_WIN10_V5_3 : VMBUS_VERSION_WIN8);
		assert_int_equal(f->g.offer_count, 2);
		assert_memory_equal(before, f->g.offer, sizeof(before));
	}
}

static void a_rescind_during_a_reset_is_kept(void **state)
{
	struct channel_bed *f = *state;

	f->p[0].hold_close = true;
	assert_int_equal(fg_unload(&f->g), -ETIMEDOUT);
	f->g.message_count = 0;
	vmbus_rescind(&f->p[0].dev);
	assert_int_equal(fg_count(&f->g, 0), 0);
	channel_closed(f->p[0].ch);
	fg_pump(&f->g);
	assert_null(f->p[0].dev.primary);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_UNLOAD_RESPONSE), 1);
}

/* ---- Limits of old guests, sockets ----------------------------------------------------------- */

static void old_guests_see_255_relids(void **state)
{
	struct channel_bed *f = *state;
	static struct probe many[VMBUS_CHANNELS_MAX];

	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		probe_init(&many[i], (u8)i);
		many[i].dev.instance.b[1] = 1;
		assert_int_equal(vmbus_offer(f->g.bus, &many[i].dev), 0);
	}
	connect(f, VMBUS_VERSION_WIN7);
	assert_int_equal(f->g.offer_count, 255);
	connect(f, VMBUS_VERSION_WIN8);
	assert_int_equal(f->g.offer_count, 256);
}

static int refuse_open(struct vmbus_channel *ch)
{
	(void)ch;
	return -ECONNREFUSED;
}

static void ignore(struct vmbus_channel *ch)
{
	(void)ch;
}

static const struct vmbus_device_ops socket_ops = { .name = "socket",
						    .type = { { 0x50 } },
						    .hvsock = true,
						    .packet_max = 4096,
						    .open = refuse_open,
						    .ready = ignore,
						    .close = ignore };

/* Takes every request on, and notes it. */
static int listen_all(void *ctx, const struct vmbus_connect *request)
{
	*(struct vmbus_connect *)ctx = *request;
	return request->service.b[0] == 0x50 ? 0 : -ECONNREFUSED;
}

static void request_post(struct channel_bed *f, u8 service, u32 len)
{
	struct {
		struct vmbus_msg_tl_connect_request request;
		u8 silo[16];
	} msg = { .request.header.msgtype = VMBUS_MSG_TL_CONNECT_REQUEST,
		  .request.guest_endpoint_id = { 7 },
		  .request.host_service_id = { service },
		  .silo = { 9 } };

	assert_int_equal(fg_post(&f->g, &msg, len), 0);
}

static void sockets_reach_who_listens(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_connect got = { 0 };
	struct vmbus_msg_tl_connect_result result;
	static struct vmbus_device dev = { .ops = &socket_ops };
	const struct vmbus_hvsock_params params = { .version = 1 };
	const struct fg_offer *o;

	connect(f, VMBUS_VERSION_WIN10_V5_3);
	vmbus_on_connect(f->g.bus, listen_all, &got);
	request_post(f, 0x51, 40);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_TL_CONNECT_RESULT), 1);
	f->g.message_count = 0;
	request_post(f, 0x50, 56);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_TL_CONNECT_RESULT), 0);
	assert_int_equal(got.endpoint.b[0], 7);
	assert_int_equal(got.silo.b[0], 9);
	request_post(f, 0x50, 40);
	assert_int_equal(got.silo.b[0], 0);
	vmbus_connect_refuse(f->g.bus, &got);
	assert_true(fg_take(&f->g, VMBUS_MSG_TL_CONNECT_RESULT, &result, sizeof(result)) > 0);
	assert_int_equal(result.guest_endpoint_id[0], 7);
	assert_int_equal(result.status, VMBUS_STATUS_CONNECTION_REFUSED);
	/* The other answer is an offer. */
	dev.instance = got.endpoint;
	memcpy(dev.user_defined, &params, sizeof(params));
	assert_int_equal(vmbus_offer(f->g.bus, &dev), 0);
	fg_offers_poll(&f->g);
	o = fg_offer_instance(&f->g, &got.endpoint);
	assert_int_equal(o->msg.chn_flags, 0x2011);
	assert_memory_equal(o->msg.user_def, &params, sizeof(params));
	/* Guests before 4.0 know of no sockets, those before 5.2 of no silos. */
	connect(f, VMBUS_VERSION_WIN8_1);
	assert_null(fg_offer_instance(&f->g, &got.endpoint));
	connect(f, VMBUS_VERSION_WIN10);
	request_post(f, 0x50, 56);
	assert_int_equal(got.silo.b[0], 0);
	/* There is no message to refuse with, and none without a connection. */
	f->g.message_count = 0;
	vmbus_connect_refuse(f->g.bus, &got);
	assert_int_equal(fg_unload(&f->g), 0);
	vmbus_connect_refuse(f->g.bus, &got);
	assert_int_equal(fg_count(&f->g, 0), 0);
}

/* ---- Other threads --------------------------------------------------------------------------- */

static int plug_result;

static void note_plugged(struct vmbus_device *dev, int result)
{
	(void)dev;
	plug_result = result;
}

static void *plug_thread(void *arg)
{
	struct channel_bed *f = arg;

	vmbus_plug(f->g.bus, &f->p[1].dev);
	return NULL;
}

static void *unplug_thread(void *arg)
{
	struct channel_bed *f = arg;

	vmbus_unplug(&f->p[1].dev);
	return NULL;
}

static void run(void *(*thread)(void *), struct channel_bed *f)
{
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, thread, f), 0);
	pthread_join(t, NULL);
	fg_offers_poll(&f->g);
}

static void devices_are_plugged_by_other_threads(void **state)
{
	struct channel_bed *f = *state;

	gone = 0;
	plug_result = 1;
	probe_init(&f->p[1], 0); /* another's instance */
	f->p[1].dev.gone = note_gone;
	f->p[1].dev.plugged = note_plugged;
	run(plug_thread, f);
	assert_int_equal(plug_result, -EEXIST);
	run(unplug_thread, f);
	assert_int_equal(gone, 1);
	f->p[1].dev.instance.b[0] = 1;
	run(plug_thread, f);
	assert_int_equal(plug_result, 0);
	assert_non_null(offer_of(f, &f->p[1].dev, 0));
	assert_int_equal(fg_open(&f->g, &f->ch2, offer_of(f, &f->p[1].dev, 0), NULL), 0);
	run(unplug_thread, f);
	assert_int_equal(f->p[1].closed, 1);
	assert_int_equal(gone, 1);
	assert_int_equal(fg_release(&f->g, f->ch2.relid), 0);
	assert_int_equal(gone, 2);
	/* The last word counts. */
	vmbus_plug(f->g.bus, &f->p[1].dev);
	vmbus_unplug(&f->p[1].dev);
	fg_pump(&f->g);
	assert_int_equal(gone, 3);
	assert_null(f->p[1].dev.primary);
}

static void free_gone(struct vmbus_device *dev)
{
	note_gone(dev);
	free(dev);
}

/* A device of its own, offered, which goes as soon as the guest's message is looked at. */
static struct vmbus_device *begin_going(struct channel_bed *f)
{
	struct vmbus_msg_relid msg = { .header.msgtype = VMBUS_MSG_RELID_RELEASED };
	struct vmbus_device *dev = calloc(1, sizeof(*dev));

	assert_non_null(dev);
	dev->ops = f->p[1].dev.ops;
	dev->instance.b[0] = 7;
	dev->gone = free_gone;
	dev->plugged = note_plugged;
	gone = 0;
	plug_result = 1;
	assert_int_equal(vmbus_offer(f->g.bus, dev), 0);
	msg.child_relid = dev->primary->relid;
	vmbus_rescind(dev);
	assert_int_equal(fg_post_raw(&f->g, f->g.msg_conn_id, &msg, sizeof(msg)), 0);
	return dev;
}

/* What was asked for before it has gone finds it there, and is followed by gone() once. */
static void plugs_that_a_going_overtakes(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_device *dev = begin_going(f);

	vmbus_unplug(dev);
	fg_pump(&f->g);
	assert_int_equal(gone, 1);
	dev = begin_going(f);
	vmbus_plug(f->g.bus, dev);
	fg_pump(&f->g);
	assert_int_equal(gone, 0);
	assert_int_equal(plug_result, 0);
	vmbus_rescind(dev);
	assert_int_equal(fg_release(&f->g, dev->primary->relid), 0);
	assert_int_equal(gone, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(subs_setup, subs_are_offered_when_asked_for),
		TEST(subs_setup, asking_while_opening_counts),
		cmocka_unit_test_setup_teardown(old_guests_have_no_subs, NULL, fg_teardown),
		TEST(subs_setup, subs_go_with_the_primary),
		TEST(subs_setup, subs_come_back_when_let_go_of),
		TEST(subs_setup, a_device_goes_when_all_its_channels_have),
		TEST(subs_setup, subs_take_their_places),
		TEST(bed_setup, the_same_device_comes_back),
		TEST(bed_setup, a_successor_waits_for_its_twin),
		TEST(bed_setup, relids_are_the_same_next_time),
		TEST(bed_setup, a_rescind_during_a_reset_is_kept),
		TEST(bare_setup, old_guests_see_255_relids),
		TEST(bare_setup, sockets_reach_who_listens),
		TEST(subs_setup, devices_are_plugged_by_other_threads),
		TEST(bed_setup, plugs_that_a_going_overtakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
