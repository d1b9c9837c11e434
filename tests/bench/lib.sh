# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # the variables are for whoever reads this in; $bench is theirs
# What the benchmarks share; read in with $bench, their own folder, set.
#
# Each prints a table for people on stdout, what it is doing on stderr, and where $BENCH_TSV names a
# file adds a line a figure to it: benchmark, case, measure, value, unit. A figure that could not be
# had is a dash, and no line. All cases of one benchmark take turns in one run: only the ratios mean
# something.

top=$(CDPATH='' cd -- "$bench/../.." && pwd -P)
build=${BUILD:-$top/build}
candela=${CANDELA:-$top/candela}
scratch=$(mktemp -d)
at_exit() { rm -rf "$scratch"; }
trap 'at_exit' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# figure BENCHMARK CASE MEASURE VALUE UNIT
figure() {
	[ "$4" = - ] || [ -z "${BENCH_TSV:-}" ] ||
		printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" >>"$BENCH_TSV"
}

# median: the middle one of the numbers on stdin, a dash where there are none
median() {
	sort -n | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : "-" }'
}

# ratio A B: A / B with two digits, a dash where there is no such thing
ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { if (a == "-" || b == "-" || b == 0) print "-"; else printf "%.2f\n", a / b }'
}

# ---- A stock kernel with an /init of ours, in candela and its peers ------------------------------

# Without what is there for speed; the frequencies stay, for this machine has no PIT to calibrate by.
plain_features=reference-tsc=off,invariant-tsc=off,stimer=off,stimer-direct=off,vapic=off,tlbflush=off
plain_features=$plain_features,ipi=off,ex-processor-masks=off,spinlocks=off

hv_flags=hv-relaxed,hv-vapic,hv-time,hv-vpindex,hv-runtime,hv-crash,hv-reset,hv-synic,hv-stimer
hv_flags=$hv_flags,hv-stimer-direct,hv-frequencies,hv-tlbflush,hv-ipi

# stock_guest [WORDS [PROGRAM]]: the 6.12 cloud kernel (or $KERNEL), one vCPU, 512 MiB; the words go to
# /init, which is tests/bench/init or that program of its folder; more may be put beside it before
stock_guest() {
	kernel=$("$top/images/kernel" "${KERNEL:-6.12-cloud}") || exit 1
	qemu=$("$top/images/lab/qemu") || exit 1
	lkvm=${LKVM:-$(command -v lkvm || :)}
	vmlinuz=$kernel/vmlinuz
	mkdir -p "$scratch/root/dev"
	cp "$build/tests/bench/${2:-init}" "$scratch/root/init"
	(cd "$scratch/root" && find . | cpio --quiet -o -H newc) >"$scratch/initrd" || exit 1
	line="console=ttyS0 quiet panic=-1${1:+ -- $1}"
}

# These replace the (background) shell, so that killing it kills them.
run_candela() {
	exec "$candela" run --kernel "$vmlinuz" --initrd "$scratch/initrd" --append "$line" --memory 512M \
		--debug-exit 0xf4 "$@"
}

run_qemu() {
	exec "$qemu" -accel kvm -m 512M -smp 1 -nodefaults -no-user-config -display none -no-reboot \
		-kernel "$vmlinuz" -initrd "$scratch/initrd" -append "$line" -serial stdio \
		-device isa-debug-exit,iobase=0xf4 "$@"
}

# run_case NAME: that guest
run_case() {
	case $1 in
	candela) run_candela --hyperv kernel ;;
	candela-user) run_candela --hyperv user ;;
	candela-bare) run_candela --hyperv kernel --sandbox off ;;
	candela-plain) run_candela --hyperv kernel --hyperv-features "$plain_features" ;;
	qemu-q35) run_qemu -M q35 -cpu host ;;
	qemu-q35-hv) run_qemu -M q35 -cpu "host,$hv_flags" ;;
	qemu-microvm) run_qemu -M microvm,rtc=on,isa-serial=on,pit=off,pic=off -cpu host ;;
	kvmtool) exec "$lkvm" run --kernel "$vmlinuz" --initrd "$scratch/initrd" --mem 512 --cpus 1 \
		--params "$(echo "$line" | sed 's/^/reboot=k /')" --network mode=none ;;
	esac
}

# ---- What KVM counts ------------------------------------------------------------------------------

debug=/sys/kernel/debug
trigger=$debug/tracing/events/kvm/kvm_userspace_exit

# count_user_exits: from now on KVM's tracepoint counts by thread how often KVM_RUN comes back
count_user_exits() {
	[ -d $debug/kvm ] || mount -t debugfs debugfs $debug 2>/dev/null
	if [ ! -d $debug/kvm ]; then
		echo "$0: $debug/kvm is not to be had (root may mount debugfs)" >&2
		return 1
	fi
	if echo 'hist:keys=common_pid' >$trigger/trigger 2>/dev/null; then
		trap 'echo "!hist:keys=common_pid" >$trigger/trigger; at_exit' EXIT
	fi
}

# machine PID: the process of the VM that PID is or has started, by KVM's folder for it
machine() {
	for p in "$1" $(cat "/proc/$1/task/$1/children"); do
		for folder in "$debug/kvm/$p"-*; do
			[ ! -e "$folder/exits" ] || echo "$folder"
		done
	done
}

# user_exits FOLDER: sets $user to how often that VM's threads came back from KVM_RUN, to a dash where
# nobody counts; no process is started for it, for the VM may be at work
user_exits() {
	user=- vm=${1##*/}
	[ -r $trigger/hist ] || return 0
	while read -r brace key task end word hits; do
		[ "$brace$key$end$word" = '{common_pid:}hitcount:' ] || continue
		[ ! -d "/proc/${vm%-*}/task/$task" ] || user=$((${user#-} + hits))
	done <$trigger/hist
}

# ---- Bare guests on both back ends ----------------------------------------------------------------

# latency_table BENCHMARK ROUNDS: what tests/bench/latency says of the benchmark's guest
latency_table() {
	printf '%-15s %-8s %-14s %9s %9s %9s %9s  %s\n' "$1" 'back end' measure min median p99 max unit
	for backend in kernel user; do
		"$build/tests/bench/latency" "$build/tests/bench/$1_guest.elf" $backend "$2" >"$scratch/rows"
		status=$?
		if [ $status -eq 77 ]; then
			echo "$1: this host has no $backend back end" >&2
			continue
		fi
		[ $status -eq 0 ] || exit 1
		while read -r part measure min mid p99 max unit; do
			if [ "$unit" = - ]; then
				unit=per-round min='' p99='' max=''
			else
				figure "$1" "$backend" "$part/$measure/p99" "$p99" "$unit"
				figure "$1" "$backend" "$part/$measure/max" "$max" "$unit"
			fi
			printf '%-15s %-8s %-14s %9s %9s %9s %9s  %s\n' "$part" $backend "$measure" "$min" "$mid" \
				"$p99" "$max" "$unit"
			figure "$1" "$backend" "$part/$measure" "$mid" "$unit"
		done <"$scratch/rows"
	done
}
