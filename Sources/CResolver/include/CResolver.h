#ifndef CRESOLVER_H
#define CRESOLVER_H

/// What a question to DNS came to, beside an answer.
enum {
    CRESOLVER_NO_SUCH_NAME = -1,
    CRESOLVER_NO_DATA = -2,
    /// No server answered, or the one that did could not find out.
    CRESOLVER_TRY_AGAIN = -3,
    /// A server refused the question, or there is no configuration.
    CRESOLVER_FAILED = -4,
};

/// Asks the system's resolver (resolver(3), res_nquery) for the records of a type. Blocks for `seconds` with each server and try at most. The
/// configuration of the system is read each time, so a change of it counts at once.
///
/// `server`: four octets of an IPv4 address in place of the system's servers, or NULL; `port` belongs to it.
/// Returns the length of the answer, a whole DNS message, which may be over `size`: the rest is cut off then. Else one of the values above.
int cresolver_query(
    const char *name, int type, const unsigned char *server, unsigned short port, int seconds, unsigned char *answer,
    int size);

#endif
