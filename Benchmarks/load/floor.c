/* The least that a server can do for the works of the benchmark. The relay is compared with it.
 *
 *   floor PORT CERTIFICATE KEY FILE
 *   floor PORT CERTIFICATE KEY FILE sqlite
 *
 * It offers STARTTLS, and accepts any password, any envelope and any content. It has two event loops, and a thread that appends
 * the messages that have come to FILE. The thread syncs FILE once for all messages that wait, before each client gets 250. The
 * floor parses only the first octet of a command. It checks nothing, keeps no queue, writes no log and has no time limits. What
 * remains is the work of the kernel, OpenSSL and the sync. When it is told to end, it prints how many messages it accepted.
 *
 * With "sqlite", FILE is a database that the relay has made. The thread inserts the same rows as the relay, with the same
 * durability. What remains is the work of the kernel, OpenSSL and SQLite.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { LOOPS = 2, BATCH = 256, READ = 64 * 1024 };

struct loop;

struct connection {
    int fd, in_data, waits;
    SSL *tls;
    struct loop *loop;
    char *body;
    size_t length, room;
    struct connection *next;
};

struct loop {
    int epoll, wake;
    pthread_mutex_t lock;
    struct connection *done;
    pthread_t thread;
};

static struct loop loops[LOOPS];
static SSL_CTX *context;
static int journal;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER;
static struct connection *waiting, **waiting_end = &waiting;
static unsigned long taken;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void hang_up(struct connection *c) {
    if (c->tls) SSL_free(c->tls);
    close(c->fd);
    free(c->body);
    free(c);
}

static void say(struct connection *c, const char *reply) {
    size_t length = strlen(reply);
    if (c->tls)
        SSL_write(c->tls, reply, (int)length);
    else if (write(c->fd, reply, length) < 0)
        return;
}

static sqlite3 *database;
enum { BEGIN, REPEATED, REMEMBER, MESSAGE, BODY, DELIVERY, USAGE, COMMIT, STATEMENTS };
static sqlite3_stmt *statements[STATEMENTS];

static void fail_in_database(void) {
    fprintf(stderr, "%s\n", sqlite3_errmsg(database));
    exit(1);
}

static void open_database(const char *path) {
    /* The relay's statements, from Sources/SQLiteStore/SQLiteStore+Submissions.swift. */
    static const char *const texts[STATEMENTS] = {
        "BEGIN IMMEDIATE",
        "SELECT message FROM repeat WHERE fingerprint = ? AND message >= ? AND EXISTS ("
        "SELECT 1 FROM delivery WHERE delivery.message = repeat.message AND state <> 'failed')",
        "INSERT OR REPLACE INTO repeat (fingerprint, message) VALUES (?, ?)",
        "INSERT INTO message (id, key, lane, client, reverse_path, subject, size, accepted_at, spooled)"
        " VALUES (?1, 'ABCDEFGH', 'live', X'7F000001', 'sender@example.com', 'Subject', ?2, ?3, NULL)",
        "INSERT INTO body (message, bytes) VALUES (?, ?)",
        "INSERT INTO delivery (message, key, lane, recipients, state, next_attempt_at, queued_since)"
        " VALUES (?1, 'ABCDEFGH', 'live', 'recipient@example.net', 'queued', ?2, ?2)",
        "INSERT INTO usage (key, day, emails, messages, last_at) VALUES ('ABCDEFGH', 1, ?1, ?1, ?2) ON CONFLICT (key, day)"
        " DO UPDATE SET emails = emails + excluded.emails, messages = messages + excluded.messages,"
        " last_at = MAX(COALESCE(last_at, 0), excluded.last_at)",
        "COMMIT",
    };
    if (sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
        sqlite3_exec(database, "PRAGMA synchronous = FULL", NULL, NULL, NULL) != SQLITE_OK)
        fail_in_database();
    for (int i = 0; i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(database, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], NULL) != SQLITE_OK)
            fail_in_database();
}

static void step(int which) {
    int code = sqlite3_step(statements[which]);
    if (code != SQLITE_DONE && code != SQLITE_ROW) fail_in_database();
    sqlite3_reset(statements[which]);
}

static void write_database(struct connection *batch) {
    /* The ids are as long as the relay's. */
    static sqlite3_int64 id = (sqlite3_int64)1 << 59;
    static unsigned char fingerprint[16];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    sqlite3_int64 milliseconds = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
    int count = 0;
    step(BEGIN);
    for (struct connection *c = batch; c; c = c->next) {
        id++, count++;
        /* As with hashes, each fingerprint has a different place in the index. */
        sqlite3_uint64 mixed = (sqlite3_uint64)id * 0x9E3779B97F4A7C15u;
        for (int i = 0; i < 8; i++) fingerprint[i] = (unsigned char)(mixed >> (56 - 8 * i));
        sqlite3_bind_blob(statements[REPEATED], 1, fingerprint, sizeof fingerprint, SQLITE_STATIC);
        sqlite3_bind_int64(statements[REPEATED], 2, 0);
        step(REPEATED);
        sqlite3_bind_blob(statements[REMEMBER], 1, fingerprint, sizeof fingerprint, SQLITE_STATIC);
        sqlite3_bind_int64(statements[REMEMBER], 2, id);
        step(REMEMBER);
        sqlite3_bind_int64(statements[MESSAGE], 1, id);
        sqlite3_bind_int64(statements[MESSAGE], 2, (sqlite3_int64)c->length);
        sqlite3_bind_int64(statements[MESSAGE], 3, milliseconds);
        step(MESSAGE);
        sqlite3_bind_int64(statements[BODY], 1, id);
        sqlite3_bind_blob(statements[BODY], 2, c->body, (int)c->length, SQLITE_STATIC);
        step(BODY);
        sqlite3_bind_int64(statements[DELIVERY], 1, id);
        sqlite3_bind_int64(statements[DELIVERY], 2, milliseconds);
        step(DELIVERY);
    }
    sqlite3_bind_int64(statements[USAGE], 1, count);
    sqlite3_bind_int64(statements[USAGE], 2, milliseconds);
    step(USAGE);
    step(COMMIT);
}

static void write_file(struct connection *batch) {
    struct iovec parts[BATCH];
    for (struct connection *c = batch; c;) {
        int count = 0;
        for (; c && count < BATCH; c = c->next) parts[count++] = (struct iovec){c->body, c->length};
        if (writev(journal, parts, count) < 0) fail("writev");
    }
    if (fdatasync(journal) != 0) fail("fdatasync");
}

/* Writes all waiting messages durably, and gives each connection back to its loop. */
static void *write_journal(void *nothing) {
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!waiting) pthread_cond_wait(&some, &lock);
        struct connection *batch = waiting;
        waiting = NULL;
        waiting_end = &waiting;
        pthread_mutex_unlock(&lock);
        if (database)
            write_database(batch);
        else
            write_file(batch);
        int mustWake[LOOPS] = {0};
        while (batch) {
            struct connection *c = batch;
            batch = c->next;
            taken++;
            struct loop *loop = c->loop;
            pthread_mutex_lock(&loop->lock);
            mustWake[loop - loops] |= loop->done == NULL;
            c->next = loop->done;
            loop->done = c;
            pthread_mutex_unlock(&loop->lock);
        }
        for (int i = 0; i < LOOPS; i++)
            if (mustWake[i]) eventfd_write(loops[i].wake, 1);
    }
    return nothing;
}

static void keep(struct connection *c, const char *octets, size_t count) {
    if (c->length + count > c->room) {
        c->room = (c->length + count) * 2;
        c->body = realloc(c->body, c->room);
        if (!c->body) fail("realloc");
    }
    memcpy(c->body + c->length, octets, count);
    c->length += count;
    if (c->length < 5 || memcmp(c->body + c->length - 5, "\r\n.\r\n", 5) != 0) return;
    c->in_data = 0;
    c->waits = 1;
    c->next = NULL;
    pthread_mutex_lock(&lock);
    int wasEmpty = waiting == NULL;
    *waiting_end = c;
    waiting_end = &c->next;
    pthread_mutex_unlock(&lock);
    if (wasEmpty) pthread_cond_signal(&some);
}

/* Handles one command. It is complete, because the clients wait for each reply. Returns 0 if the connection is to be closed. */
static int obey(struct connection *c, const char *line) {
    switch (line[0]) {
    case 'E': say(c, c->tls ? "250-floor\r\n250 AUTH PLAIN\r\n" : "250-floor\r\n250 STARTTLS\r\n"); break;
    case 'S':
        say(c, "220 go ahead\r\n");
        c->tls = SSL_new(context);
        SSL_set_fd(c->tls, c->fd);
        SSL_set_accept_state(c->tls);
        break;
    case 'A': say(c, "235 authenticated\r\n"); break;
    case 'D':
        say(c, "354 send it\r\n");
        c->in_data = 1;
        c->length = 0;
        break;
    case 'Q': say(c, "221 bye\r\n"); return 0;
    default: say(c, "250 OK\r\n");
    }
    return 1;
}

static void readable(struct connection *c) {
    static _Thread_local char buffer[READ];
    for (;;) {
        int count = c->tls ? SSL_read(c->tls, buffer, READ) : (int)read(c->fd, buffer, READ);
        if (count <= 0) {
            int wantsMore = c->tls ? SSL_get_error(c->tls, count) == SSL_ERROR_WANT_READ : count < 0 && errno == EAGAIN;
            if (!wantsMore) hang_up(c);
            return;
        }
        if (c->in_data)
            keep(c, buffer, (size_t)count);
        else if (!obey(c, buffer)) {
            hang_up(c);
            return;
        }
        /* Either the connection now belongs to another thread, or nothing more comes before the reply. */
        if (c->waits || !(c->tls && SSL_has_pending(c->tls))) return;
    }
}

static void *run(void *argument) {
    struct loop *loop = argument;
    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(loop->epoll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr) {
                readable(events[i].data.ptr);
                continue;
            }
            eventfd_t ignored;
            eventfd_read(loop->wake, &ignored);
            pthread_mutex_lock(&loop->lock);
            struct connection *done = loop->done;
            loop->done = NULL;
            pthread_mutex_unlock(&loop->lock);
            while (done) {
                struct connection *c = done;
                done = c->next;
                c->waits = 0;
                say(c, "250 2.0.0 stored\r\n");
            }
        }
    }
    return NULL;
}

static void end(int signal) {
    (void)signal;
    char line[64];
    int length = snprintf(line, sizeof line, "taken %lu\n", taken);
    _exit(write(1, line, (size_t)length) == length ? 0 : 1);
}

int main(int argc, char **argv) {
    if (argc != 5 && !(argc == 6 && strcmp(argv[5], "sqlite") == 0)) return 2;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, end);
    context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    if (SSL_CTX_use_certificate_chain_file(context, argv[2]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[3], SSL_FILETYPE_PEM) != 1)
        fail("certificate");
    if (argc == 6) {
        open_database(argv[4]);
    } else {
        journal = open(argv[4], O_CREAT | O_WRONLY | O_APPEND, 0600);
        if (journal < 0) fail(argv[4]);
    }
    pthread_t writer;
    pthread_create(&writer, NULL, write_journal, NULL);
    for (int i = 0; i < LOOPS; i++) {
        struct loop *loop = &loops[i];
        loop->epoll = epoll_create1(0);
        loop->wake = eventfd(0, EFD_NONBLOCK);
        pthread_mutex_init(&loop->lock, NULL);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
        epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event);
        pthread_create(&loop->thread, NULL, run, loop);
    }
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4096) != 0) fail("listen");
    for (unsigned next = 0;; next++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->loop = &loops[next % LOOPS];
        say(c, "220 floor ESMTP\r\n");
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(c->loop->epoll, EPOLL_CTL_ADD, fd, &event);
    }
}
