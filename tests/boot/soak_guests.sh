# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317 # read in by guests, which has the rest
# What `make soak` runs: the long forms of the tests of the VMBus in stock guests.

soak_kernels='5.10-cloud 6.1-cloud 6.12-cloud 7.x-cloud'

soak() {
	for name in $soak_kernels; do
		for backend in kernel user; do
			run "VMBus for long, $name, $backend back end" vmbus_guest "$name" 2 $backend 1000 100 10
		done
	done
	for name in 6.1-cloud 6.12-cloud 7.x-cloud; do
		for backend in kernel user; do
			run "channels come and go for long, $name, $backend back end" \
				plug_guest "$name" $backend "${ROUNDS:-10}" 80 20 4
		done
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
