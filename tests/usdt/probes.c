/* The probes of an upcall, with arguments like those of Open vSwitch. */

#ifdef WITH_SEMAPHORE
#define _SDT_HAS_SEMAPHORES 1
#endif
#include <sys/sdt.h>

#include "probes.h"

#ifdef WITH_SEMAPHORE
/* A value to tell by whether this is the place in the file. */
#define SEMAPHORE(NAME) \
    __extension__ unsigned short NAME##_semaphore __attribute__((section(".probes"))) = 0x5d17
SEMAPHORE(dpif_recv_recv_upcall);
SEMAPHORE(dpif_netlink_operate___op_flow_put);
SEMAPHORE(dpif_netlink_operate___op_flow_execute);
#endif

/* A probe in a function that is inlined is at as many places as the function. */
static inline __attribute__((always_inline)) void
recv_upcall(const char *name, const struct upcall *upcall)
{
    DTRACE_PROBE6(dpif_recv, recv_upcall, name, upcall->type, upcall->packet,
                  upcall->packet_size, upcall->key, upcall->key_size);
}

void
handle(const char *name, const struct upcall *first, const struct upcall *second)
{
    recv_upcall(name, first);
    if (second->packet_size) {
        recv_upcall("another", second);
    }
    DTRACE_PROBE4(dpif_netlink_operate__, op_flow_put, name, first, second, first->key);
    DTRACE_PROBE5(dpif_netlink_operate__, op_flow_execute, name, first, first->packet,
                  first->packet_size, second);
}
