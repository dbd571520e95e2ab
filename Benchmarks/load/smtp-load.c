// Makes SMTP submission traffic and measures how a server handles it.
//
// One process, one thread: a number of connections at a time, each with STARTTLS (TLS 1.3, a full handshake), AUTH PLAIN, and
// a number of messages one after the other. Each reply must have the code that the step expects. Only a message whose final
// reply is 250 counts as accepted. Prints one JSON object and exits with 0 if every message was accepted, with 1 if not, and
// with 2 if it could not work at all.
//
// With --idle it opens that many authenticated connections, prints {"idle": N}, keeps them until standard input ends, and
// then shows with a NOOP each that they live.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// ---- Options and results

static struct {
    const char *host, *user, *password, *sender, *recipient;
    int port;
    long sessions, messages, per_session, idle;
    size_t size;
    double timeout;
} options = {
    .host = "127.0.0.1", .user = "apikey", .sender = "sender@example.com", .recipient = "recipient@example.net",
    .port = 587, .sessions = 1, .messages = 1, .per_session = 1, .size = 4096, .timeout = 300,
};

// The steps of a connection, in their order. After CONTENT comes MAIL again while there are messages to send.
enum step {
    UNUSED, CONNECTING, GREETING, HELLO, STARTTLS, HANDSHAKE, SECURE_HELLO, AUTH,
    MAIL, RCPT, DATA, CONTENT, IDLE, NOOP, QUIT, STEPS
};

// The code that ends each step. 0 means that no reply is due, so any reply is a mistake.
static const struct {
    const char *name;
    int expected;
} steps[STEPS] = {
    [UNUSED] = {"unused", 0},       [CONNECTING] = {"connect", 0},  [GREETING] = {"greeting", 220},
    [HELLO] = {"ehlo", 250},        [STARTTLS] = {"starttls", 220}, [HANDSHAKE] = {"handshake", 0},
    [SECURE_HELLO] = {"ehlo", 250}, [AUTH] = {"auth", 235},         [MAIL] = {"mail", 250},
    [RCPT] = {"rcpt", 250},         [DATA] = {"data", 354},         [CONTENT] = {"content", 250},
    [IDLE] = {"idle", 0},           [NOOP] = {"noop", 250},         [QUIT] = {"quit", 221},
};

// Latencies in milliseconds.
struct sample {
    double *values;
    size_t count, capacity;
};

static struct {
    long accepted, temporary, permanent, unexpected, dropped; // messages, by how each ended
    long connections, failed_connections;                     // failed: before the first MAIL
    long alive, lost;                                         // idle connections at the end
    struct sample ready;                                      // from connecting until AUTH was accepted
    struct sample message;                                    // from MAIL until the final 250
    struct sample visit;                                      // from connecting until the reply to QUIT
    char first_failure[300];
} result;

struct session {
    enum step step;
    int socket;
    SSL *tls;
    bool secured;
    uint32_t interest;
    double connected_at, mail_at, retry_at;
    long left; // messages that this connection still has to send, the one under way included
    int code;  // the code of the reply whose lines are coming in
    size_t line_length;
    char line[1000];
    // The octets to write: first the head, then octets of the content that all messages share.
    size_t head_length, head_done;
    char head[1500];
    const char *content;
    size_t content_length;
};

static struct session *sessions;
static long session_count, setting_up, unassigned, idle_ready;
static int poller;
static SSL_CTX *tls_context;
static struct sockaddr_in server;
static char *shared_content, date[64], run_name[40], credentials[700];
static size_t shared_length;
static bool ending; // the idle connections are being closed

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

__attribute__((noreturn, format(printf, 1, 2))) static void give_up(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("smtp-load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static void add(struct sample *sample, double seconds) {
    if (sample->count == sample->capacity) {
        sample->capacity = sample->capacity ? 2 * sample->capacity : 4096;
        sample->values = realloc(sample->values, sample->capacity * sizeof *sample->values);
        if (!sample->values) give_up("out of memory");
    }
    sample->values[sample->count++] = 1000 * seconds;
}

// Keeps the first failure, in characters that JSON need not escape.
static void note(enum step step, const char *text) {
    if (result.first_failure[0]) return;
    snprintf(result.first_failure, sizeof result.first_failure, "%s: %s", steps[step].name, text);
    for (char *at = result.first_failure; *at; at++)
        if (*at < 0x20 || *at > 0x7E || *at == '"' || *at == '\\') *at = '\'';
}

// ---- The end of a connection

static bool is_setting_up(enum step step) { return step >= CONNECTING && step <= AUTH; }
static bool is_in_message(enum step step) { return step >= MAIL && step <= CONTENT; }

static void end(struct session *session, double pause) {
    if (is_setting_up(session->step)) setting_up--;
    unassigned += session->left;
    session->left = 0;
    SSL_free(session->tls);
    session->tls = NULL;
    session->secured = false;
    close(session->socket);
    session->step = UNUSED;
    session->retry_at = now() + pause;
}

// Ends a connection that broke or can't go on.
static void fail(struct session *session, const char *why) {
    note(session->step, why);
    if (is_in_message(session->step)) {
        result.dropped++;
        session->left--;
    } else if (session->step == IDLE || session->step == NOOP) {
        result.lost++;
        idle_ready -= session->step == IDLE;
    } else if (session->step != QUIT) {
        result.failed_connections++;
    }
    // A server that refuses connections must not be asked in a tight loop.
    end(session, 0.1);
}

// ---- Writing

static void watch(struct session *session, uint32_t interest) {
    if (session->interest == interest) return;
    session->interest = interest;
    struct epoll_event event = {.events = interest, .data.ptr = session};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, session->socket, &event)) give_up("epoll_ctl: %s", strerror(errno));
}

enum transfer { DONE, BLOCKED, BROKEN };

// What an SSL function's result means. The error queue is empty before each call.
static enum transfer judge(struct session *session, int value) {
    switch (SSL_get_error(session->tls, value)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return BLOCKED;
    default: return BROKEN;
    }
}

static enum transfer write_some(struct session *session, const char *octets, size_t length, size_t *written) {
    if (session->secured) {
        ERR_clear_error();
        int value = SSL_write_ex(session->tls, octets, length, written);
        return value == 1 ? DONE : judge(session, value);
    }
    ssize_t count = send(session->socket, octets, length, MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN || errno == EINTR ? BLOCKED : BROKEN;
    *written = (size_t)count;
    return DONE;
}

// Writes as many of the due octets as the socket accepts. Returns false when the connection is over.
static bool flush(struct session *session) {
    static char octets[16384]; // the most that a TLS record holds
    for (;;) {
        size_t head = session->head_length - session->head_done;
        size_t tail = session->content_length;
        if (head + tail == 0) break;
        // Header and body go into one record, as from a client that has the message in memory.
        if (tail > sizeof octets - head) tail = sizeof octets - head;
        memcpy(octets, session->head + session->head_done, head);
        if (tail) memcpy(octets + head, session->content, tail);
        size_t written = 0;
        switch (write_some(session, octets, head + tail, &written)) {
        case BROKEN: fail(session, "writing failed"); return false;
        // The next call passes the same octets again, as SSL_write requires.
        case BLOCKED: watch(session, EPOLLIN | EPOLLOUT); return true;
        case DONE: break;
        }
        size_t of_head = written < head ? written : head;
        session->head_done += of_head;
        if (written > of_head) {
            session->content += written - of_head;
            session->content_length -= written - of_head;
        }
    }
    session->head_length = session->head_done = 0;
    watch(session, EPOLLIN);
    return true;
}

__attribute__((format(printf, 2, 3))) static void say(struct session *session, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof session->head - session->head_length;
    int length = vsnprintf(session->head + session->head_length, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= room) give_up("a command is too long");
    session->head_length += (size_t)length;
}

// ---- The dialogue

static void mail(struct session *session) {
    session->mail_at = now();
    session->step = MAIL;
    say(session, "MAIL FROM:<%s>\r\n", options.sender);
}

static void content(struct session *session) {
    static long number;
    session->step = CONTENT;
    number++;
    say(session,
        "From: Load <%s>\r\nTo: <%s>\r\nSubject: Load %ld of %s\r\nDate: %s\r\nMessage-ID: <%ld.%s@load.example.com>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n",
        options.sender, options.recipient, number, run_name, date, number, run_name);
    session->content = shared_content;
    session->content_length = shared_length;
}

static void quit(struct session *session) {
    session->step = QUIT;
    say(session, "QUIT\r\n");
}

static void ready(struct session *session) {
    setting_up--;
    add(&result.ready, now() - session->connected_at);
    if (!options.idle) return mail(session);
    session->step = IDLE;
    idle_ready++;
}

static void accepted(struct session *session) {
    add(&result.message, now() - session->mail_at);
    result.accepted++;
    session->left--;
    if (session->left > 0) mail(session);
    else quit(session);
}

// Goes on to the next step after the expected reply. Returns false when the connection is over.
static bool advance(struct session *session) {
    switch (session->step) {
    case GREETING: session->step = HELLO; say(session, "EHLO load.example.com\r\n"); return true;
    case HELLO: session->step = STARTTLS; say(session, "STARTTLS\r\n"); return true;
    case STARTTLS:
        session->tls = SSL_new(tls_context);
        if (!session->tls || !SSL_set_fd(session->tls, session->socket)) give_up("SSL_new failed");
        SSL_set_tlsext_host_name(session->tls, "localhost");
        SSL_set_connect_state(session->tls);
        session->step = HANDSHAKE;
        return true;
    case SECURE_HELLO: session->step = AUTH; say(session, "AUTH PLAIN %s\r\n", credentials); return true;
    case AUTH: ready(session); return true;
    case MAIL: session->step = RCPT; say(session, "RCPT TO:<%s>\r\n", options.recipient); return true;
    case RCPT: session->step = DATA; say(session, "DATA\r\n"); return true;
    case DATA: content(session); return true;
    case CONTENT: accepted(session); return true;
    case NOOP: result.alive++; quit(session); return true;
    case QUIT:
        add(&result.visit, now() - session->connected_at);
        SSL_shutdown(session->tls);
        end(session, 0);
        return false;
    default: fail(session, "a reply that nobody asked for"); return false;
    }
}

// Returns false when the connection is over.
static bool replied(struct session *session, int code, const char *line) {
    if (code == steps[session->step].expected && session->content_length == 0) return advance(session);
    if (!is_in_message(session->step)) {
        fail(session, line);
        return false;
    }
    note(session->step, line);
    *(code / 100 == 4 ? &result.temporary : code / 100 == 5 ? &result.permanent : &result.unexpected) += 1;
    session->left--;
    if (session->content_length > 0 || code == 421) {
        // The reply came in the middle of the content, or the server is closing the connection.
        end(session, 0.1);
        return false;
    }
    // The state of the transaction in the server is unknown, so the rest goes over a new connection.
    quit(session);
    return true;
}

// Reads one octet from the server. Returns false when the connection is over.
static bool heard(struct session *session, char octet) {
    if (octet != '\n') {
        if (session->line_length == sizeof session->line - 1) {
            fail(session, "a reply line is too long");
            return false;
        }
        session->line[session->line_length++] = octet;
        return true;
    }
    char *line = session->line;
    size_t length = session->line_length;
    session->line_length = 0;
    if (length > 0 && line[length - 1] == '\r') length--;
    line[length] = 0;
    int code = 0;
    for (size_t i = 0; i < 3; i++) {
        if (i >= length || line[i] < '0' || line[i] > '9') {
            fail(session, "a line that is no reply");
            return false;
        }
        code = 10 * code + line[i] - '0';
    }
    bool continues = length > 3 && line[3] == '-';
    if (session->code && session->code != code) {
        fail(session, "a reply with two codes");
        return false;
    }
    session->code = continues ? code : 0;
    return continues || replied(session, code, line);
}

// ---- Reading

static enum transfer read_some(struct session *session, char *octets, size_t room, size_t *length) {
    if (session->secured) {
        ERR_clear_error();
        int value = SSL_read_ex(session->tls, octets, room, length);
        return value == 1 ? DONE : judge(session, value);
    }
    ssize_t count = recv(session->socket, octets, room, 0);
    if (count < 0) return errno == EAGAIN || errno == EINTR ? BLOCKED : BROKEN;
    *length = (size_t)count;
    return count > 0 ? DONE : BROKEN;
}

// Returns false when the connection is over.
static bool shake_hands(struct session *session) {
    ERR_clear_error();
    int value = SSL_do_handshake(session->tls);
    if (value != 1) {
        if (judge(session, value) == BROKEN) {
            fail(session, "the TLS handshake failed");
            return false;
        }
        watch(session, SSL_want_write(session->tls) ? EPOLLIN | EPOLLOUT : EPOLLIN);
        return true;
    }
    if (SSL_session_reused(session->tls)) give_up("a TLS session was resumed: only full handshakes are to be measured");
    session->secured = true;
    session->step = SECURE_HELLO;
    say(session, "EHLO load.example.com\r\n");
    return flush(session);
}

static void receive(struct session *session) {
    static char octets[16384];
    for (;;) {
        size_t length = 0;
        switch (read_some(session, octets, sizeof octets, &length)) {
        case BLOCKED: return;
        case BROKEN: return fail(session, "the server ended the connection");
        case DONE: break;
        }
        for (size_t i = 0; i < length; i++) {
            if (!heard(session, octets[i])) return;
            if (session->step == HANDSHAKE) {
                if (i + 1 < length) return fail(session, "octets in clear behind the reply to STARTTLS");
                shake_hands(session);
                return;
            }
        }
        if (!flush(session)) return;
    }
}

static void connected(struct session *session) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(session->socket, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) return fail(session, strerror(error));
    session->step = GREETING;
    watch(session, EPOLLIN);
}

static void handle(struct session *session, uint32_t events) {
    switch (session->step) {
    case UNUSED: return;
    case CONNECTING: connected(session); return;
    case HANDSHAKE: shake_hands(session); return;
    default: break;
    }
    if (events & EPOLLOUT && !flush(session)) return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(session);
}

// ---- Beginning connections

static void begin(struct session *session) {
    session->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (session->socket < 0) give_up("socket: %s", strerror(errno));
    int on = 1;
    setsockopt(session->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    session->left = unassigned < options.per_session ? unassigned : options.per_session;
    unassigned -= session->left;
    session->step = CONNECTING;
    session->connected_at = now();
    session->line_length = session->head_length = session->head_done = session->content_length = 0;
    session->code = 0;
    setting_up++;
    result.connections++;
    session->interest = EPOLLIN | EPOLLOUT;
    struct epoll_event event = {.events = session->interest, .data.ptr = session};
    bool begun = connect(session->socket, (struct sockaddr *)&server, sizeof server) == 0 || errno == EINPROGRESS;
    if (!begun) return fail(session, strerror(errno));
    if (epoll_ctl(poller, EPOLL_CTL_ADD, session->socket, &event)) give_up("epoll_ctl: %s", strerror(errno));
}

// Begins the connections that may begin now. Returns how many connections there are.
static long begin_due(void) {
    double time = now();
    long busy = 0;
    for (long i = 0; i < session_count; i++) {
        struct session *session = &sessions[i];
        bool wanted = options.idle ? !ending : unassigned > 0;
        if (session->step == UNUSED && wanted && setting_up < options.sessions && time >= session->retry_at) begin(session);
        busy += session->step != UNUSED;
    }
    return busy;
}

static void wake_idle(void) {
    ending = true;
    for (long i = 0; i < session_count; i++) {
        struct session *session = &sessions[i];
        if (session->step != IDLE) continue;
        session->step = NOOP;
        say(session, "NOOP\r\n");
        flush(session);
    }
}

// ---- Set-up and report

static void make_content(void) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    enum { WIDTH = 76, LINE = WIDTH + 2 };
    size_t size = options.size;
    char *octets = malloc(size + 4);
    if (!octets) give_up("out of memory");
    unsigned random = 1;
    for (size_t i = 0; i < size; i++) {
        size_t column = i % LINE;
        random = random * 1103515245 + 12345;
        octets[i] = column == WIDTH ? '\r' : column == WIDTH + 1 ? '\n' : alphabet[random >> 16 & 63];
    }
    // The last line ends with CRLF too, and nothing else in it is a CR.
    memcpy(octets + size - 2, "\r\n", 2);
    if (octets[size - 3] == '\r') octets[size - 3] = 'x';
    memcpy(octets + size, ".\r\n", 4);
    shared_content = octets;
    shared_length = size + 3;
}

static void make_credentials(void) {
    unsigned char plain[500];
    int length = snprintf((char *)plain, sizeof plain, "%c%s%c%s", 0, options.user, 0, options.password);
    if (length < 0 || (size_t)length >= sizeof plain) give_up("user name and password are too long");
    EVP_EncodeBlock((unsigned char *)credentials, plain, length);
}

static void prepare(void) {
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)options.port);
    if (inet_pton(AF_INET, options.host, &server.sin_addr) != 1) give_up("--host must be an IPv4 address");
    tls_context = SSL_CTX_new(TLS_client_method());
    if (!tls_context) give_up("SSL_CTX_new failed");
    SSL_CTX_set_min_proto_version(tls_context, TLS1_3_VERSION);
    SSL_CTX_set_verify(tls_context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(tls_context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(tls_context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);

    time_t time_now = time(NULL);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", gmtime(&time_now));
    snprintf(run_name, sizeof run_name, "%llx.%x", (unsigned long long)time_now, (unsigned)getpid());
    make_content();
    make_credentials();

    session_count = options.idle ? options.idle : options.sessions;
    unassigned = options.idle ? 0 : options.messages;
    sessions = calloc((size_t)session_count, sizeof *sessions);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (!sessions || poller < 0) give_up("out of memory or files");
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The value that this part of all values does not exceed (nearest rank).
static double percentile(const struct sample *sample, double part) {
    size_t rank = (size_t)ceil(part * (double)sample->count);
    return sample->values[rank > 0 ? rank - 1 : 0];
}

static void print_sample(const char *name, struct sample *sample) {
    if (sample->count == 0) return;
    qsort(sample->values, sample->count, sizeof *sample->values, ascending);
    printf(", \"%s\": {\"count\": %zu, \"p50\": %.3f, \"p95\": %.3f, \"p99\": %.3f, \"max\": %.3f}", name, sample->count,
           percentile(sample, 0.5), percentile(sample, 0.95), percentile(sample, 0.99), percentile(sample, 1));
}

static double seconds(struct timeval time) { return (double)time.tv_sec + (double)time.tv_usec * 1e-6; }

static void report(double elapsed) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"accepted\": %ld, \"refused_4xx\": %ld, \"refused_5xx\": %ld, \"unexpected\": %ld, \"dropped\": %ld, "
           "\"connections\": %ld, \"failed_connections\": %ld, \"alive\": %ld, \"lost\": %ld, ",
           result.accepted, result.temporary, result.permanent, result.unexpected, result.dropped, result.connections,
           result.failed_connections, result.alive, result.lost);
    printf("\"seconds\": %.4f, \"client_cpu_seconds\": %.4f", elapsed, seconds(usage.ru_utime) + seconds(usage.ru_stime));
    print_sample("ready_ms", &result.ready);
    print_sample("message_ms", &result.message);
    print_sample("visit_ms", &result.visit);
    printf(", \"first_failure\": \"%s\"}\n", result.first_failure);
}

static long number(const char *name, const char *text, long least, long most) {
    char *rest;
    errno = 0;
    long value = strtol(text, &rest, 10);
    if (errno || *rest || rest == text || value < least || value > most)
        give_up("--%s must be a number from %ld to %ld", name, least, most);
    return value;
}

static void read_options(int count, char **words) {
    static const struct option names[] = {
        {"host", required_argument, 0, 'h'},      {"port", required_argument, 0, 'p'},
        {"user", required_argument, 0, 'u'},      {"sender", required_argument, 0, 'f'},
        {"recipient", required_argument, 0, 'r'}, {"sessions", required_argument, 0, 's'},
        {"messages", required_argument, 0, 'm'},  {"per-session", required_argument, 0, 'c'},
        {"size", required_argument, 0, 'o'},      {"idle", required_argument, 0, 'i'},
        {"timeout", required_argument, 0, 't'},   {0, 0, 0, 0},
    };
    for (int which, at = 0; (which = getopt_long(count, words, "", names, &at)) != -1;) {
        switch (which) {
        case 'h': options.host = optarg; break;
        case 'p': options.port = (int)number("port", optarg, 1, 65535); break;
        case 'u': options.user = optarg; break;
        case 'f': options.sender = optarg; break;
        case 'r': options.recipient = optarg; break;
        case 's': options.sessions = number("sessions", optarg, 1, 100000); break;
        case 'm': options.messages = number("messages", optarg, 1, 100000000); break;
        case 'c': options.per_session = number("per-session", optarg, 1, 100000000); break;
        case 'o': options.size = (size_t)number("size", optarg, 16, 1 << 30); break;
        case 'i': options.idle = number("idle", optarg, 1, 100000); break;
        case 't': options.timeout = (double)number("timeout", optarg, 1, 86400); break;
        default:
            give_up("usage: smtp-load [--host ADDRESS] [--port N] [--user NAME] [--sender ADDRESS] [--recipient ADDRESS]\n"
                    "    [--sessions N] [--messages N] [--per-session N] [--size OCTETS] [--idle N] [--timeout SECONDS]\n"
                    "The password comes from the environment: SMTP_LOAD_PASSWORD.");
        }
    }
    if (optind < count) give_up("'%s' is no option", words[optind]);
    // The password is not an option, so that the list of processes does not show it.
    options.password = getenv("SMTP_LOAD_PASSWORD");
    if (!options.password) give_up("SMTP_LOAD_PASSWORD is not set");
}

// Tells the process that started this one that all idle connections are open, and waits for the end of standard input.
static void announce_idle(void) {
    printf("{\"idle\": %ld}\n", idle_ready);
    fflush(stdout);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &event)) give_up("standard input must be a pipe or a terminal");
}

static bool input_ended(void) {
    char octets[256];
    return read(STDIN_FILENO, octets, sizeof octets) <= 0;
}

int main(int count, char **words) {
    read_options(count, words);
    prepare();
    double start = now(), last_message = 0, look_at = 0;
    long ended = 0, most_failures = 20 + session_count;
    bool announced = false;
    for (;;) {
        double time = now();
        if (time - start > options.timeout || result.failed_connections > most_failures) {
            note(UNUSED, time - start > options.timeout ? "gave up: time is over" : "gave up: connections fail");
            break;
        }
        if (options.idle && idle_ready == options.idle && !announced) {
            announced = true;
            announce_idle();
        }
        // With thousands of connections, looking through them all after each event would cost more than the events.
        if (session_count < 200 || time >= look_at) {
            look_at = time + 0.002;
            if (begin_due() == 0 && (options.idle ? ending : unassigned == 0)) break;
        }
        struct epoll_event events[256];
        int ready_events = epoll_wait(poller, events, 256, 20);
        if (ready_events < 0 && errno != EINTR) give_up("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < ready_events; i++) {
            if (events[i].data.ptr) {
                handle(events[i].data.ptr, events[i].events);
            } else if (input_ended()) {
                epoll_ctl(poller, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
                wake_idle();
            }
        }
        long now_ended = result.accepted + result.temporary + result.permanent + result.unexpected + result.dropped;
        if (now_ended > ended) last_message = now();
        ended = now_ended;
    }
    report((last_message > 0 ? last_message : now()) - start);
    bool complete = options.idle ? result.alive == options.idle : result.accepted == options.messages;
    return complete ? 0 : 1;
}
