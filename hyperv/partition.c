/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of the partition and its VPs, with nothing behind it: no KVM, no threads. */
#include "hyperv/internal.h"

#include <errno.h>
#include <stdlib.h>

int hyperv_setup(struct hyperv *hv, const struct gmem *mem, const struct hyperv_backend *backend,
		 unsigned vp_count)
{
	hv->mem = mem;
	hv->backend = backend;
	hv->vp = calloc(vp_count, sizeof(*hv->vp));
	if (!hv->vp)
		return -ENOMEM;
	hv->vp_count = vp_count;
	pthread_mutex_init(&hv->lock, NULL);
	ports_init(&hv->ports);
	overlay_list_init(&hv->overlays);
	overlay_init(&hv->hypercall_overlay, &hv->overlays);
	overlay_init(&hv->tsc_overlay, &hv->overlays);
	for (unsigned i = 0; i < vp_count; i++) {
		hv->vp[i].hv = hv;
		hv->vp[i].index = i;
		overlay_init(&hv->vp[i].message_overlay, &hv->overlays);
		overlay_init(&hv->vp[i].event_overlay, &hv->overlays);
		overlay_init(&hv->vp[i].assist_overlay, &hv->overlays);
		synic_vp_init(&hv->vp[i]);
	}
	return 0;
}

void hyperv_teardown(struct hyperv *hv)
{
	if (!hv->vp)
		return;
	for (unsigned i = 0; i < hv->vp_count; i++)
		synic_vp_fini(&hv->vp[i]);
	overlay_list_fini(&hv->overlays);
	ports_fini(&hv->ports);
	pthread_mutex_destroy(&hv->lock);
	free(hv->vp);
	hv->vp = NULL;
}
