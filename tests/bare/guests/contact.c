/* SPDX-License-Identifier: BSD-2-Clause */
/* A VMBus driver's first words, for tests/cli/statuses: contact, the list of offers, unload. */
#include "tests/bare/bare.h"
#include "vmbus/vmbus_proto.h"

#define VERSION 0x00050003u /* 5.3 */

static struct hv_post_message call __attribute__((aligned(256)));

/* The rest of the call's payload is the message's. */
static void post(uint32_t connection_id, uint32_t type, uint32_t size)
{
	call.connection_id = connection_id;
	call.message_type = 1;
	call.payload_size = size;
	*(uint32_t *)call.payload = type;
	CHECK_EQUAL(bare_hypercall(HV_CALL_POST_MESSAGE, (uint64_t)&call, 0), HV_STATUS_SUCCESS);
}

/* Takes messages until one of this type comes. */
static struct hv_message await(uint32_t type)
{
	struct hv_message m;

	for (;;) {
		uint32_t seen = bare_interrupts();

		if (bare_messages()->slot[VMBUS_SINT].type == HV_MESSAGE_NONE) {
			bare_wait_interrupt(seen);
			continue;
		}
		bare_take(VMBUS_SINT, &m);
		if (*(uint32_t *)m.payload == type)
			return m;
	}
}

int main(void);
int main(void)
{
	struct vmbus_msg_initiate_contact *contact = (void *)call.payload;
	struct hv_message m;

	bare_init();
	bare_apic_init();
	bare_irq_on();
	bare_hyperv_init();
	bare_synic_init();
	bare_wrmsr(HV_MSR_SINT0 + VMBUS_SINT, BARE_VECTOR);
	contact->vmbus_version_requested = VERSION;
	contact->msg_sint = VMBUS_SINT;
	post(VMBUS_MESSAGE_CONNECTION_ID_4, VMBUS_MSG_INITIATE_CONTACT, sizeof(*contact));
	m = await(VMBUS_MSG_VERSION_RESPONSE);
	CHECK(((struct vmbus_msg_version_response *)m.payload)->version_supported);
	post(VMBUS_MESSAGE_CONNECTION_ID, VMBUS_MSG_REQUEST_OFFERS, 8);
	await(VMBUS_MSG_ALL_OFFERS_DELIVERED);
	post(VMBUS_MESSAGE_CONNECTION_ID, VMBUS_MSG_UNLOAD, 8);
	await(VMBUS_MSG_UNLOAD_RESPONSE);
	bare_pass();
}
