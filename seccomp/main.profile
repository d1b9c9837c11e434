# SPDX-License-Identifier: BSD-2-Clause
#
# The main thread of a machine: signals, console, the VMBus's control messages, and taking the
# machine apart. It starts no thread and opens no file any more. See compile.c for the syntax.

epoll_wait                          # waits for signals, console, bus messages
epoll_pwait                         # likewise, as newer libraries call it
epoll_pwait2                        # likewise, by the microsecond
read                                # signalfd, eventfds, console input
write                               # eventfds, console output; candela's own words
futex                               # locks; waits for threads to end
clock_gettime                       # where the vDSO cannot tell the time
clock_nanosleep                     # short waits at the end
epoll_ctl                           # what to wait for
eventfd2                            # a channel's doorbell
close                               # a channel closes; the end
ioctl arg1 == KVM_IOEVENTFD         # binds a doorbell
ioctl arg1 == KVM_HYPERV_EVENTFD    # binds a doorbell, in the kernel's Hyper-V
ioctl arg1 == KVM_IRQFD             # binds an interrupt
ioctl arg1 == KVM_SET_GSI_ROUTING   # the interrupt's route
ioctl arg1 == KVM_GET_REGS          # where a stopped virtual CPU stood (-v)
ioctl arg1 == KVM_GET_SREGS         # likewise
ioctl arg1 == KVM_GET_LAPIC         # likewise
ioctl arg1 == KVM_GET_MP_STATE      # likewise
accept4                             # someone connects to --console unix:
fcntl arg1 == F_DUPFD_CLOEXEC       # that connection's other direction
poll                                # the console's last output
restart_syscall                     # poll() after the program was stopped and continued
timer_settime                       # makes a virtual CPU leave the guest
timer_delete                        # at its end
timerfd_settime                     # timers
recvmsg                             # console socket
sendmsg                             # console socket
shutdown                            # console socket
brk                                 # malloc
mmap arg2 & PROT_EXEC == 0          # malloc, for large blocks
munmap                              # free; the guest's memory at the end
mremap                              # realloc
mprotect arg2 & PROT_EXEC == 0      # malloc grows an arena
madvise                             # free
io_uring_enter                      # what is in flight at the end
fdatasync                           # the disks' last flush
getpid                              # a disk's daemon is the supervisor's to end
rt_sigreturn                        # end of a signal handler
rt_sigprocmask                      # glibc: part of sending a signal
exit_group                          # the end
