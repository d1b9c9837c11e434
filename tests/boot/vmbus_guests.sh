# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317 # read in by guests, which has the rest
# The VMBus in stock guests: tests that `make test` has in a short form and `make soak` in a long
# one.

# version_of KERNEL: the highest VMBus version that it and candela know
version_of() {
	case $1 in
	5.10-*) echo 5.2 ;;
	6.*) echo 5.3 ;;
	7.*) echo 6.0 ;;
	esac
}

# negotiated KERNEL: that version it was, by the result
negotiated() {
	grep -q "\"vmbus\": \"$(version_of "$1")\"" "$scratch/result" || {
		echo "wanted VMBus $(version_of "$1") in the result: $(cat "$scratch/result")"
		return 1
	}
}

# counted RELID WHAT: what candela counted of that channel, from its result
counted() {
	tr '{' '\n' <"$scratch/result" | grep "\"relid\": $1," | sed -n "s/.*\"$2\": \([0-9]*\).*/\1/p"
}

# counters_fit: each interrupt the guest counted is one of ours, and each signal of ours one of its
# (what came close together may be one to whom it is for)
counters_fit() {
	grep '^counter ' "$scratch/out" >"$scratch/counters" || return
	while read -r _ relid what guest; do
		case $what in
		interrupts) [ "$(counted "$relid" interrupts)" -ge "$guest" ] ;;
		events) [ "$(counted "$relid" signals)" -ge 1 ] ;;
		esac || { echo "channel $relid: $guest $what in the guest, $(cat "$scratch/result")"; return 1; }
	done <"$scratch/counters"
}

# vmbus_guest KERNEL CPUS BACKEND MOVES BINDS CYCLES: what vmbus.sh says. Without synthetic timers:
# Linux does not outlive the unloading of hv_vmbus with them, on either back end. In direct mode it
# stops the timer and takes no other; by messages the last one finds no handler.
vmbus_guest() {
	kernel "$1" || return
	headless --timeout $((240 + $5 * 10 + $4 / 10 + $6 * 15)) --cpus "$2" --hyperv "$3" \
		--hyperv-features stimer=off --disk "$disk,ephemeral" --net user -- \
		sh -c "$(cat "$tests/guest.sh" "$tests/devices.sh" "$tests/vmbus.sh")" \
		vmbus "$2" "$(version_of "$1")" "$4" "$5" "$6"
	cat "$scratch/out"
	wanted 0 command && negotiated "$1" && counters_fit
}

# next_kernel KERNEL: what kexec.sh wants on its disk, in $scratch/next.tar; sets its $sum
next_kernel() {
	kernel "$1" && rm -rf "$scratch/next" && mkdir "$scratch/next" &&
		cp "$vmlinuz" "$initrd" "$build/tests/boot/kexec" "$scratch/next" &&
		tar -c -f "$scratch/next.tar" -C "$scratch/next" vmlinuz initrd.img kexec || return
	sum=$(dd if="$scratch/next.tar" bs=64k count=32 2>/dev/null | sha256sum)
}

# kexec_chain KERNEL NEXT BACKEND HOW TIMES: KERNEL, then NEXT started from it and so on, see
# kexec.sh. A crash report ends the guest, so for a crash kernel there must be none.
kexec_chain() {
	next_kernel "$2" && kernel "$1" || return
	crash=''
	[ "$4" != crash ] || crash='--hyperv-features crash=off --append crashkernel=256M'
	# shellcheck disable=SC2086 # words
	headless $crash --memory 1G --timeout $((120 + $5 * 90)) --cpus 2 --hyperv "$3" \
		--disk "$scratch/next.tar,ro" --net user -- \
		sh -c "$(cat "$tests/guest.sh" "$tests/devices.sh" "$tests/kexec.sh")" kexec "$4" "$5" "$sum"
	cat "$scratch/out"
	wanted 0 command && grep -q "^Linux ${1%%[.-]*}.* $5 to go" "$scratch/out" &&
		grep -q "^Linux ${2%%[.-]*}.* 0 to go" "$scratch/out"
}
