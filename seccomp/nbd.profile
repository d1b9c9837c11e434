# SPDX-License-Identifier: BSD-2-Clause
#
# The thread of an NBD disk: speaks with the server on a socket that was connected before. It can
# make no other connection and open no file. See compile.c for the syntax.

poll                                # waits for the server and for requests
ppoll                               # likewise
recvfrom                            # the server's answers
sendto                              # requests
recvmsg                             # answers under TLS
sendmsg                             # requests under TLS
read                                # eventfd: requests have come
readv                               # likewise
write                               # eventfds: wakes loops; candela's own words
writev                              # requests under TLS
futex                               # locks
clock_gettime                       # where the vDSO cannot tell the time
gettimeofday                        # TLS
time                                # TLS
getrandom                           # TLS: keys and padding
getpid                              # TLS: notices a fork
getrusage                           # TLS: entropy
shutdown                            # the connection's end
close                               # likewise
restart_syscall                     # poll() after the program was stopped and continued
brk                                 # malloc
mmap arg2 & PROT_EXEC == 0          # malloc
munmap                              # free
mremap                              # realloc
mprotect arg2 & PROT_EXEC == 0      # malloc grows a thread's arena
madvise                             # free; glibc gives the stack back at the end of a thread
rt_sigreturn                        # end of a signal handler
rt_sigprocmask                      # glibc: end of a thread
exit                                # end of the thread
exit_group                          # end of the program after a violation
