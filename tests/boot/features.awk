# SPDX-License-Identifier: BSD-2-Clause
# Reads what `candela doctor` says of the features of the back end in `backend` (kernel or user), with
# those in `switches` (as for --hyperv-features) on or off, and prints what Linux is to say of them in
# its log. The bits are the TLFS's (Feature and Interface Discovery): low and high are EAX and EBX of
# leaf 0x40000003, misc its EDX, hints EAX of 0x40000004.

function add(name, bits) {
	bits_of[name] = bits
}

BEGIN {
	add("runtime", "low 0"); add("time", "low 1"); add("synic", "low 2"); add("stimer", "low 3")
	add("apic-msrs", "low 4"); add("hypercall", "low 5"); add("vpindex", "low 6")
	add("reset", "low 7"); add("reference-tsc", "low 9"); add("guest-idle", "low 10 misc 5")
	add("frequencies", "low 11 misc 8"); add("syndbg", "low 12 misc 1 misc 11")
	add("reenlightenment", "low 13"); add("invariant-tsc", "low 15")
	add("post-messages", "high 4"); add("signal-events", "high 5"); add("vp-registers", "high 17")
	add("extended-hypercalls", "high 20")
	add("xmm-input", "misc 4"); add("crash", "misc 10"); add("tlbflush-ext", "misc 14")
	add("stimer-direct", "misc 19")
	add("tlbflush", "hints 2"); add("vapic", "hints 3"); add("relaxed", "hints 5")
	add("avic", "hints 9"); add("ipi", "hints 10"); add("ex-processor-masks", "hints 11")
	add("evmcs", "hints 14"); add("no-nonarch-coresharing", "hints 18")
	n = split(switches, item, ",")
	for (i = 1; i <= n; i++) {
		split(item[i] "=on", pair, "=")
		switched[pair[1]] = pair[2]
	}
}

/^Hyper-V features/ { table = 1 }

table && $1 in bits_of {
	on = (backend == "kernel" ? $2 : $3) == "default"
	if ($1 in switched)
		on = switched[$1] == "on"
	n = on ? split(bits_of[$1], bit, " ") : 0
	for (i = 1; i < n; i += 2)
		word[bit[i]] += 2 ^ bit[i + 1]
}

END {
	printf "privilege flags low 0x%x, high 0x%x, hints 0x%x, misc 0x%x\n",
		word["low"], word["high"], word["hints"], word["misc"]
}
