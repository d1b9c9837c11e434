/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sets of VPs that hypercalls name (TLFS: Virtual Processor Sets): a mask of the first 64, or
 * banks of 64 of which only those that matter are given. A VP that does not exist is left out: KVM
 * does not mind one either.
 */
#include "hyperv/hypercall.h"

#define BANK_VPS 64u

struct vp_set vp_set_all(const struct hyperv *hv)
{
	struct vp_set set = { 0 };

	for (unsigned i = 0; i < hv->vp_count; i++)
		set.bank[i / BANK_VPS] |= 1ull << i % BANK_VPS;
	return set;
}

static void keep_existing(const struct hyperv *hv, struct vp_set *set)
{
	const struct vp_set all = vp_set_all(hv);

	for (size_t i = 0; i < ARRAY_SIZE(set->bank); i++)
		set->bank[i] &= all.bank[i];
}

struct vp_set vp_set_of_mask(const struct hyperv *hv, u64 mask)
{
	struct vp_set set = { .bank = { mask } };

	keep_existing(hv, &set);
	return set;
}

u16 vp_set_of_sparse(const struct hyperv *hv, const struct hv_vp_set *sparse, const u64 *banks,
		     unsigned var_count, struct vp_set *set)
{
	unsigned next = 0;

	*set = (struct vp_set){ 0 };
	if (var_count != (unsigned)__builtin_popcountll(sparse->valid_banks))
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	if (sparse->format == HV_VP_SET_ALL) {
		*set = vp_set_all(hv);
		return HV_STATUS_SUCCESS;
	}
	if (sparse->format != HV_VP_SET_SPARSE_4K)
		return HV_STATUS_INVALID_PARAMETER;
	for (unsigned i = 0; i < 64; i++) {
		if (!(sparse->valid_banks >> i & 1))
			continue;
		if (i < ARRAY_SIZE(set->bank))
			set->bank[i] = banks[next];
		next++;
	}
	keep_existing(hv, set);
	return HV_STATUS_SUCCESS;
}

bool vp_set_has(const struct vp_set *set, u32 vp_index)
{
	return vp_index < ARRAY_SIZE(set->bank) * BANK_VPS &&
	       set->bank[vp_index / BANK_VPS] >> vp_index % BANK_VPS & 1;
}
