# SPDX-License-Identifier: BSD-2-Clause
#
# The thread of a user network: libslirp makes the guest's connections with sockets of the host.
# The only thread that may make sockets, and read (never write) files: resolv.conf for the DNS
# servers. See compile.c for the syntax.

poll                                # waits for frames and sockets
ppoll                               # likewise
read                                # frames, eventfds, resolv.conf
write                               # frames, eventfds; candela's own words
recvfrom                            # data for the guest
sendto                              # data of the guest
recvmsg                             # frames; data for the guest
sendmsg                             # frames; data of the guest
readv                               # frames
writev                              # frames
recvmmsg                            # a batch of frames
sendmmsg                            # a batch of frames
futex                               # locks
clock_gettime                       # where the vDSO cannot tell the time
gettimeofday                        # likewise
socket arg0 == AF_INET              # a connection of the guest
socket arg0 == AF_INET6             # likewise, IPv6
refuse socket arg0 == AF_UNIX       # glibc tries it to look up an interface; a "no" is fine
connect                             # likewise
bind                                # the source port of a connection
accept                              # hostfwd
accept4                             # hostfwd
shutdown                            # the guest closes its half
getsockname                         # which port it became
getpeername                         # who connected
getsockopt                          # how a connection failed
setsockopt                          # no delay, reuse of addresses
ioctl arg1 == FIONREAD              # how much there is to read
ioctl arg1 == FIONBIO               # sockets do not block
ioctl arg1 == SIOCATMARK            # urgent data
ioctl arg1 == SIOCGIFINDEX          # the interface of a link-local name server
fcntl arg1 == F_GETFD               # close on exec
fcntl arg1 == F_SETFD               # close on exec
fcntl arg1 == F_GETFL               # sockets do not block
fcntl arg1 == F_SETFL               # sockets do not block
openat arg2 & O_ACCMODE|O_CREAT|O_TRUNC|O_TMPFILE == 0   # resolv.conf
newfstatat                          # has resolv.conf changed
fstat                               # how stdio reads a file
lseek                               # likewise
stat                                # likewise
close                               # a connection ends
getrandom                           # port numbers and hash seeds
getpid                              # ICMP identifiers
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
