# SPDX-License-Identifier: BSD-2-Clause
#
# A worker of an I/O thread's ring: disk requests by plain system calls, where io_uring is forbidden
# or not wanted. Its files were opened before. See compile.c for the syntax.

preadv                              # disk requests
pwritev2                            # disk requests
fdatasync                           # flush
fsync                               # flush
fallocate                           # discard, write zeroes
futex                               # waits for requests
write                               # eventfd: wakes its loop; candela's own words
clock_gettime                       # where the vDSO cannot tell the time
brk                                 # malloc
mmap arg2 & PROT_EXEC == 0          # malloc
munmap                              # free
mprotect arg2 & PROT_EXEC == 0      # malloc grows a thread's arena
madvise                             # free; glibc gives the stack back at the end of a thread
rt_sigreturn                        # end of a signal handler
rt_sigprocmask                      # glibc: end of a thread
exit                                # end of the thread
exit_group                          # end of the program after a violation
