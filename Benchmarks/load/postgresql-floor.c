// The least work that PostgreSQL needs to accept messages. This program writes the relay's rows into the relay's tables, under
// its locks, in two round trips and with the fewest statements. It makes no decisions, and leaves out what the relay checks (a
// node's place, daily caps, which message had a fingerprint before).
//
//   postgresql-floor CONNINFO KEY BATCH MESSAGES SIZE
//
// Prints `ready`, starts when it reads a line from standard input, prints a report, and ends when it reads another line.

#include "CPostgreSQL.h"

#include <arpa/inet.h>
#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BYTES = 17, INTEGER = 20, TEXT = 25, TEXTS = 1009, INTEGERS = 1016, BYTESES = 1001 };

typedef struct {
    char *octets;
    size_t length, room;
    unsigned type;
} Value;

static void fail(const char *what, PGconn *connection) {
    fprintf(stderr, "%s: %s\n", what, connection ? pq_error_message(connection) : "");
    exit(1);
}

static void add(Value *value, const void *octets, size_t length) {
    if (value->length + length > value->room) {
        value->room = (value->length + length) * 2;
        value->octets = realloc(value->octets, value->room);
        if (!value->octets) fail("no memory", NULL);
    }
    memcpy(value->octets + value->length, octets, length);
    value->length += length;
}

static void add32(Value *value, unsigned number) {
    number = htonl(number);
    add(value, &number, 4);
}

static void begin(Value *value, unsigned type, unsigned element, unsigned count) {
    value->length = 0;
    value->type = type;
    add32(value, 1);
    add32(value, 0);
    add32(value, element);
    add32(value, count);
    add32(value, 1);
}

static void element(Value *value, const void *octets, unsigned length) {
    add32(value, length);
    add(value, octets, length);
}

static void number(Value *value, long number) {
    unsigned long wire = htobe64((unsigned long)number);
    element(value, &wire, 8);
}

static void prepare(PGconn *connection, const char *name, const char *sql, int count, const unsigned *types) {
    if (!pq_send_prepare(connection, name, sql, count, types)) fail(name, connection);
}

static void queue(PGconn *connection, const char *name, int count, const Value *values) {
    const char *octets[16];
    int lengths[16], formats[16];
    for (int i = 0; i < count; i++) {
        octets[i] = values[i].octets;
        lengths[i] = (int)values[i].length;
        formats[i] = 1;
    }
    if (!pq_send_prepared(connection, name, count, octets, lengths, formats, 1)) fail(name, connection);
}

static void await(PGconn *connection) {
    if (!pq_pipeline_sync(connection)) fail("sync", connection);
    for (;;) {
        PGresult *result = pq_get_result(connection);
        if (!result) continue;
        PQResultStatus status = pq_result_status(result);
        if (status != PQ_COMMAND_OK && status != PQ_TUPLES_OK && status != PQ_PIPELINE_SYNC) fail("statement", connection);
        pq_clear(result);
        if (status == PQ_PIPELINE_SYNC) return;
    }
}

int main(int count, char **words) {
    if (count != 6) fail("usage: postgresql-floor CONNINFO KEY BATCH MESSAGES SIZE", NULL);
    const char *why = pq_load();
    if (why) fail(why, NULL);
    const char *key = words[2];
    int batch = atoi(words[3]), messages = atoi(words[4]), size = atoi(words[5]);
    const char *keywords[] = {"dbname", NULL}, *given[] = {words[1], NULL};
    PGconn *connection = pq_connect(keywords, given, 1);
    if (pq_status(connection) != PQ_CONNECTION_OK) fail("connect", connection);
    pq_enter_pipeline_mode(connection);

    prepare(connection, "begin", "BEGIN", 0, NULL);
    prepare(connection, "commit", "COMMIT", 0, NULL);
    prepare(connection, "key", "SELECT * FROM key WHERE id = ANY ($1) FOR SHARE", 1, (unsigned[]){TEXTS});
    prepare(connection, "repeat", "INSERT INTO repeat (fingerprint, message) SELECT * FROM unnest($1, $2) ON CONFLICT DO NOTHING", 2,
            (unsigned[]){BYTESES, INTEGERS});
    prepare(connection, "message",
            "INSERT INTO message (id, key, lane, client, reverse_path, subject, size, accepted_at) "
            "SELECT *, $6, $7 FROM unnest($1, $2, $3, $4, $5, $8) AS x (a, b, c, d, e, f)",
            8, (unsigned[]){INTEGERS, TEXTS, TEXTS, BYTESES, TEXTS, INTEGER, INTEGER, TEXTS});
    prepare(connection, "body", "INSERT INTO body (message, part, bytes) SELECT a, 0, b FROM unnest($1, $2) AS x (a, b)", 2,
            (unsigned[]){INTEGERS, BYTESES});
    prepare(connection, "delivery",
            "INSERT INTO delivery (message, key, lane, recipients, state, next_attempt_at, queued_since) "
            "SELECT a, b, c, d, 'queued', $5, $5 FROM unnest($1, $2, $3, $4) AS x (a, b, c, d)",
            5, (unsigned[]){INTEGERS, TEXTS, TEXTS, TEXTS, INTEGER});
    prepare(connection, "usage",
            "INSERT INTO usage (key, day, node, emails, messages, last_at) VALUES ($1, 0, 0, $2, $2, $3) ON CONFLICT (key, day, node) "
            "DO UPDATE SET emails = usage.emails + excluded.emails, messages = usage.messages + excluded.messages",
            3, (unsigned[]){TEXT, INTEGER, INTEGER});
    await(connection);

    Value keys = {0}, ids = {0}, keyOfEach = {0}, lanes = {0}, clients = {0}, paths = {0}, subjects = {0}, bodies = {0}, recipients = {0},
          fingerprints = {0}, sizes = {0}, now = {0}, one = {0}, emails = {0};
    char *pool = malloc((size_t)size + 1000000);
    if (!pool) fail("no memory", NULL);
    for (int i = 0; i < size + 1000000; i++) pool[i] = (char)('A' + random() % 50);
    struct timespec began, ended;
    // Ids that no relay gives: their number is 0.
    long id = (long)time(NULL) << 32;

    for (int done = -20 * batch; done < messages; done += batch) {
        if (done == 0) {
            puts("ready");
            fflush(stdout);
            getchar();
            clock_gettime(CLOCK_MONOTONIC, &began);
        }
        begin(&keys, TEXTS, TEXT, 1);
        element(&keys, key, strlen(key));
        begin(&ids, INTEGERS, INTEGER, batch);
        begin(&keyOfEach, TEXTS, TEXT, batch);
        begin(&lanes, TEXTS, TEXT, batch);
        begin(&clients, BYTESES, BYTES, batch);
        begin(&paths, TEXTS, TEXT, batch);
        begin(&subjects, TEXTS, TEXT, batch);
        begin(&bodies, BYTESES, BYTES, batch);
        begin(&recipients, TEXTS, TEXT, batch);
        begin(&fingerprints, BYTESES, BYTES, batch);
        for (int i = 0; i < batch; i++) {
            char fingerprint[16];
            for (int j = 0; j < 4; j++) ((int *)fingerprint)[j] = (int)random();
            number(&ids, id++);
            element(&keyOfEach, key, strlen(key));
            element(&lanes, "live", 4);
            element(&clients, "\x7f\0\0\1", 4);
            element(&paths, "sender@example.com", 18);
            element(&subjects, "Your order 12345 has been shipped", 33);
            element(&bodies, pool + random() % 1000000, size);
            element(&recipients, "recipient@example.org", 21);
            element(&fingerprints, fingerprint, 16);
        }
        long moment = 1700000000000;
        sizes.length = now.length = one.length = emails.length = 0;
        unsigned long wire = htobe64((unsigned long)size);
        add(&sizes, &wire, 8);
        wire = htobe64((unsigned long)moment);
        add(&now, &wire, 8);
        add(&one, key, strlen(key));
        wire = htobe64((unsigned long)batch);
        add(&emails, &wire, 8);

        queue(connection, "begin", 0, NULL);
        queue(connection, "key", 1, (Value[]){keys});
        queue(connection, "repeat", 2, (Value[]){fingerprints, ids});
        await(connection);
        queue(connection, "message", 8, (Value[]){ids, keyOfEach, lanes, clients, paths, sizes, now, subjects});
        queue(connection, "body", 2, (Value[]){ids, bodies});
        queue(connection, "delivery", 5, (Value[]){ids, keyOfEach, lanes, recipients, now});
        queue(connection, "usage", 3, (Value[]){one, emails, now});
        queue(connection, "commit", 0, NULL);
        await(connection);
    }
    clock_gettime(CLOCK_MONOTONIC, &ended);
    double seconds = (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9;
    printf("{\"messages\": %d, \"seconds\": %f}\n", messages, seconds);
    fflush(stdout);
    getchar();
    pq_finish(connection);
    return 0;
}
