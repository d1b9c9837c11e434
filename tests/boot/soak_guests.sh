# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317 # read in by guests, which has the rest
# What `make soak` runs: the long forms of the tests of the VMBus and its disks in stock guests.

soak_kernels='5.10-cloud 6.1-cloud 6.12-cloud 7.x-cloud'

soak() {
	soak_cuts
	for name in $soak_kernels; do
		for backend in kernel user; do
			run "VMBus for long, $name, $backend back end" vmbus_guest "$name" 2 $backend 1000 100 10
		done
	done
	for name in 6.1-cloud 6.12-cloud 7.x-cloud; do
		for backend in kernel user; do
			run "channels come and go for long, $name, $backend back end" \
				plug_guest "$name" $backend "${ROUNDS:-10}" 80 20 4 100
		done
	done
	for name in 6.1-cloud 6.12-cloud; do
		for backend in kernel user; do
			run "synthetic timers, $name, $backend back end" \
				synthetic_time "$name" $backend invariant-tsc=off,stimer,stimer-direct
			run "synthetic timers by messages, $name, $backend back end" \
				synthetic_time "$name" $backend invariant-tsc=off,stimer,stimer-direct=off
		done
	done
	for backend in kernel user; do
		run_as_root "fio for long, 2 CPUs, $backend back end" fio_guest 6.12-cloud 2 $backend 64 "${ROUNDS:-10}"
		run_as_root "fio for long, 4 CPUs, $backend back end" fio_guest 6.12-cloud 4 $backend 32 "${ROUNDS:-10}"
		run "SCSI and DVD, 7.x-cloud, $backend back end" scsi_guest 7.x-cloud $backend host device target bus host
	done
	for backend in kernel user; do
		run "kexec chain, 6.12-cloud, $backend back end" \
			kexec_chain 6.12-cloud 6.12-cloud $backend kexec 10
		run "kexec chain, 5.10-cloud to 6.1-cloud, $backend back end" \
			kexec_chain 5.10-cloud 6.1-cloud $backend kexec 3
		run "kexec chain, 6.1-cloud to 7.x-cloud, $backend back end" \
			kexec_chain 6.1-cloud 7.x-cloud $backend kexec 3
		for name in 6.1-cloud 6.12-cloud; do
			run "kdump, $name, $backend back end" kexec_chain $name $name $backend crash 1
		done
	done
	round=1
	while [ $round -le "${ROUNDS:-10}" ]; do
		soak_round $round
		round=$((round + 1))
	done
}

# soak_cuts: power cuts, 25 moments for each disk of each guest, another seed each round
soak_cuts() {
	for seed in $(seq 1 $(((${ROUNDS:-10} + 9) / 10))); do
		cut_run "power cuts $seed, kernel back end" power_cuts kernel 2 15 25 "$seed" \
			ext4,cache=none xfs,cache=writeback ext4,cache=unsafe
		cut_run "power cuts $seed, user back end, 1 CPU" power_cuts user 1 15 25 "$seed" \
			xfs,cache=none ext4,cache=writeback xfs,cache=unsafe
		cut_run "power cuts $seed, qcow2, kernel back end, 1 CPU" power_cuts kernel 1 15 25 "$seed" \
			ext4,format=qcow2,cache=none xfs,format=qcow2,cache=writeback
		cut_run "power cuts $seed, threads, user back end" power_cuts user 2 15 25 "$seed" \
			ext4,cache=none,aio=threads xfs,cache=none,aio=threads
		cut_run "power cuts $seed, without a write cache, kernel back end" power_cuts kernel 2 15 25 "$seed" \
			ext4/through,cache=none xfs/through,cache=writeback
		cut_run "power cuts $seed, raw files, user back end" power_cuts user 2 15 25 "$seed" \
			ext4@xfs,cache=none xfs@ext4,cache=writeback
		cut_run "power cuts $seed, NBD servers, user back end" power_cuts user 2 15 25 "$seed" \
			ext4/nbd=none,cache=writeback xfs/nbd=writeback,cache=writeback \
			ext4/nbd=writeback,cache=unsafe
		cut_run "power cuts $seed, kernel back end, 4 CPUs" power_cuts kernel 4 15 25 "$seed" \
			ext4,cache=none xfs,cache=none
	done
}

# soak_round N: one boot of everything, and a seed of the chaos for each kernel and back end
soak_round() {
	for name in $soak_kernels; do
		for backend in kernel user; do
			for cpus in 1 2 4; do
				run "boot $1, $name, $cpus CPUs, $backend back end" stock_guest "$name" $cpus $backend
			done
			run "chaos $1, $name, $backend back end" stock_guest "$name" 2 $backend --chaos "$1"
		done
	done
}
