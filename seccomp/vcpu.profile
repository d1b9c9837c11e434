# SPDX-License-Identifier: BSD-2-Clause
#
# A virtual CPU's thread: enters the guest, answers its exits. It is taken for hostile from its
# first instruction on. At most 12 calls. See compile.c for the syntax.

ioctl arg1 == KVM_RUN               # enter the guest
futex                               # locks and condition variables
write                               # eventfds: interrupts, the loops' wake-ups; candela's own words
ioctl arg1 == KVM_SET_GSI_ROUTING   # the guest sets up an interrupt
ioctl arg1 == KVM_IRQFD             # an interrupt is bound to its eventfd
ioctl arg1 == KVM_GET_REGS          # the registers of a hypercall
ioctl arg1 == KVM_SET_REGS          # and its result
ioctl arg1 == KVM_GET_SREGS         # what mode the guest is in
ioctl arg1 == KVM_SET_SREGS         # its task priority
ioctl arg1 == KVM_GET_FPU           # a hypercall's input in XMM registers
ioctl arg1 == KVM_GET_CPUID2        # the leaves that are registers by name
ioctl arg1 == KVM_GET_MSRS          # the time stamp counter
ioctl arg1 == KVM_SET_MSRS          # the synthetic interrupt controller in the kernel; TLB flushes
ioctl arg1 == KVM_SIGNAL_MSI        # an interrupt for another VP, a timer's for this one
ioctl arg1 == KVM_GET_LAPIC         # which interrupts are in service
ioctl arg1 == KVM_GET_MP_STATE      # whether it halted
ioctl arg1 == KVM_SET_MP_STATE      # an interrupt ends that
ioctl arg1 == KVM_GET_VCPU_EVENTS   # whether it takes an interrupt now
ioctl arg1 == KVM_SET_VCPU_EVENTS   # an interrupt, or a fault
timer_settime                       # synthetic timers; makes another virtual CPU leave the guest
restart_syscall                     # a timed wait after the program was stopped and continued
clock_gettime                       # where the vDSO cannot tell the time
rt_sigreturn                        # end of the signal that makes it leave the guest
rt_sigprocmask                      # glibc: end of a thread
madvise                             # glibc: gives the stack back at the end of a thread
exit                                # end of the thread
exit_group                          # end of the program after a violation
