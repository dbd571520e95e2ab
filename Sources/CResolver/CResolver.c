#include "CResolver.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <string.h>

int cresolver_query(
    const char *name, int type, const unsigned char *server, unsigned short port, int seconds, unsigned char *answer,
    int size) {
    struct __res_state state;
    memset(&state, 0, sizeof state);
    if (res_ninit(&state) != 0) return CRESOLVER_FAILED;
    state.retrans = seconds;
    state.retry = 2;
    if (server) {
        memset(&state.nsaddr_list[0], 0, sizeof state.nsaddr_list[0]);
        state.nsaddr_list[0].sin_family = AF_INET;
        state.nsaddr_list[0].sin_port = htons(port);
        memcpy(&state.nsaddr_list[0].sin_addr, server, 4);
        state.nscount = 1;
    }
    int length = res_nquery(&state, name, ns_c_in, type, answer, size);
    int reason = state.res_h_errno;
    res_nclose(&state);
    if (length >= 0) return length;
    switch (reason) {
    case HOST_NOT_FOUND: return CRESOLVER_NO_SUCH_NAME;
    case NO_DATA: return CRESOLVER_NO_DATA;
    case TRY_AGAIN: return CRESOLVER_TRY_AGAIN;
    default: return CRESOLVER_FAILED;
    }
}
