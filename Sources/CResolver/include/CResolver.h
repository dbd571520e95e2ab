#ifndef CRESOLVER_H
#define CRESOLVER_H

/// The results of a look-up without an answer.
enum {
    /// The name does not exist.
    CRESOLVER_NO_SUCH_NAME = -1,
    /// The name exists, but has no record of this type.
    CRESOLVER_NO_DATA = -2,
    /// No server answered, or the server that answered failed to find the records.
    CRESOLVER_TRY_AGAIN = -3,
    /// A server refused the question, or the resolver has no configuration.
    CRESOLVER_FAILED = -4,
};

/// Asks the system's resolver (resolver(3), res_nquery) for the records of type number `type` at `name`, and writes the
/// answer, a whole DNS message, to the `size` octets at `answer`. Blocks for at most `seconds` per server and try; each
/// server is tried twice. Reads the system's configuration each time, so a change of it takes effect at once.
///
/// `server`: the four octets of an IPv4 address to ask instead of the system's servers, and `port`, its port; or NULL.
/// Returns the length of the answer, or one of the values above. If the length is over `size`, the answer is cut off.
int cresolver_query(
    const char *name, int type, const unsigned char *server, unsigned short port, int seconds, unsigned char *answer,
    int size);

#endif
