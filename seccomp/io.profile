# SPDX-License-Identifier: BSD-2-Clause
#
# An I/O thread: runs the channels of disks and NICs. Its files were opened before; it cannot open
# others. See compile.c for the syntax.

io_uring_enter                      # disk requests, a batch at a time
io_uring_register arg1 == IORING_REGISTER_FILES_UPDATE   # a disk comes to this ring, or goes
epoll_wait                          # waits for doorbells, completions, frames
epoll_pwait                         # likewise, as newer libraries call it
epoll_pwait2                        # likewise, by the microsecond
write                               # eventfds: interrupts, wake-ups; frames; candela's own words
read                                # eventfds; frames
readv                               # frames from a socket or tap
writev                              # frames to a socket or tap
sendmsg                             # frames to the user network
recvmsg                             # frames from the user network
sendmmsg                            # a batch of them
recvmmsg                            # a batch of them
sendto                              # a frame to the user network
recvfrom                            # a frame from the user network
futex                               # locks and condition variables
clock_gettime                       # where the vDSO cannot tell the time
clock_nanosleep                     # short waits at the end
epoll_ctl                           # a channel opens or closes
eventfd2                            # a channel's doorbell
timerfd_settime                     # timers
close                               # a channel closes, a ring ends
timer_settime                       # makes a virtual CPU leave the guest
ioctl arg1 == KVM_IOEVENTFD         # binds a doorbell
ioctl arg1 == KVM_HYPERV_EVENTFD    # binds a doorbell, in the kernel's Hyper-V
ioctl arg1 == KVM_IRQFD             # binds an interrupt
ioctl arg1 == KVM_SET_GSI_ROUTING   # the interrupt's route
brk                                 # malloc
mmap arg2 & PROT_EXEC == 0          # malloc, for large blocks and first use by a thread
munmap                              # free; the ring's end
mremap                              # realloc
mprotect arg2 & PROT_EXEC == 0      # malloc grows a thread's arena
madvise                             # free; glibc gives the stack back at the end of a thread
rt_sigreturn                        # end of a signal handler
rt_sigprocmask                      # glibc: end of a thread
exit                                # end of the thread
exit_group                          # end of the program after a violation
