# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154 # see guest.sh
# Runs inside a stock guest's initramfs, as `-- sh -c "$(cat guest.sh clock.sh)" clock FLAGS
# CLOCKSOURCE CLOCKEVENT ROW`: are these its features, clocks and clock interrupts, and is it called
# candela? Three times it says "begin" and "end" with its uptime, two seconds apart, for the host to
# compare: a busy one may be late at one of them.

check "the features are those predicted" features "$1"
check "its name is candela, for hostname= gives none" host_name candela
check "the clocksource is $2" clocksource "$2"
check "the clockevents are $3" clockevent "$3"
before=$(interrupts "$4")
for _ in 1 2 3; do
	echo "begin $(cat /proc/uptime)"
	sleep 2
	echo "end $(cat /proc/uptime)"
done
check "time goes by its interrupts ($4), here from $before" [ "$(interrupts "$4")" != "$before" ]
check "every CPU has clock interrupts ($4)" ticks "$4"
check "no warning in dmesg" no_warnings
exit "$failed"
