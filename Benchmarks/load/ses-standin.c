// Answers as Amazon SES does, after a fixed time. The benchmark measures how the relay sends mail to it.
//
//   ses-standin MILLISECONDS
//
// Prints the port it listens on (127.0.0.1), and accepts requests over HTTP/1.1 until its standard input ends. Then it prints a
// line of JSON: how many messages it accepted, the seconds from the first answer to the last, the most requests that were open
// at a time, and the octets that it read. It has one thread. It counts the octets of a request's body and does not keep them.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 4096

typedef struct {
    int descriptor;
    char head[16384];
    size_t head_length;
    size_t body_left;
    int in_body, is_message;
    double answer_at;
} Connection;

static Connection *connections[CONNECTIONS];
// Requests wait equally long, so the first to come is the first to be answered.
static int waiting[CONNECTIONS];
static size_t first, count;
static double delay_seconds, first_answer, last_answer;
static unsigned long long messages, octets;
static size_t most;
static int timer;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void arm(double at) {
    double left = at - now();
    if (left < 1e-6) left = 1e-6;
    struct itimerspec setting = {.it_value = {(time_t)left, (long)((left - (time_t)left) * 1e9)}};
    if (timerfd_settime(timer, 0, &setting, NULL)) fail("timerfd_settime");
}

static void drop(int descriptor) {
    close(descriptor);
    free(connections[descriptor]);
    connections[descriptor] = NULL;
}

static void answer(Connection *connection) {
    static const char account[] =
        "{\"SendQuota\":{\"Max24HourSend\":-1,\"MaxSendRate\":1000000,\"SentLast24Hours\":0},"
        "\"SendingEnabled\":true,\"ProductionAccessEnabled\":true,\"EnforcementStatus\":\"HEALTHY\"}";
    char body[256], response[512];
    if (connection->is_message) {
        last_answer = now();
        if (messages++ == 0) first_answer = last_answer;
        snprintf(body, sizeof body, "{\"MessageId\":\"%016llx-benchmark-000000\"}", messages);
    } else {
        snprintf(body, sizeof body, "%s", account);
    }
    int length = snprintf(response, sizeof response,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    if (write(connection->descriptor, response, length) != length) drop(connection->descriptor);
}

static void finished(Connection *connection) {
    connection->in_body = 0;
    connection->answer_at = now() + delay_seconds;
    waiting[(first + count++) % CONNECTIONS] = connection->descriptor;
    if (count > most) most = count;
    if (count == 1) arm(connection->answer_at);
}

// Handles octets that have arrived. A client sends the next request only after the answer.
static void received(Connection *connection, const char *bytes, size_t length) {
    if (!connection->in_body) {
        if (connection->head_length + length >= sizeof connection->head) {
            // If the first piece is large, only the head is kept.
            size_t room = sizeof connection->head - 1 - connection->head_length;
            memcpy(connection->head + connection->head_length, bytes, room);
            connection->head[sizeof connection->head - 1] = 0;
        } else {
            memcpy(connection->head + connection->head_length, bytes, length);
            connection->head[connection->head_length + length] = 0;
        }
        char *end = strstr(connection->head, "\r\n\r\n");
        if (!end) {
            connection->head_length += length;
            if (connection->head_length >= sizeof connection->head) drop(connection->descriptor);
            return;
        }
        size_t head = end + 4 - connection->head;
        const char *field = strcasestr(connection->head, "\r\ncontent-length:");
        connection->body_left = field && field < end ? strtoull(field + 17, NULL, 10) : 0;
        connection->is_message = !strncmp(connection->head, "POST ", 5);
        connection->in_body = 1;
        size_t consumed = head - connection->head_length;
        connection->head_length = 0;
        bytes += consumed;
        length -= consumed;
    }
    octets += length;
    connection->body_left -= length < connection->body_left ? length : connection->body_left;
    if (connection->body_left == 0) finished(connection);
}

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: %s MILLISECONDS\n", argv[0]), 64;
    delay_seconds = atof(argv[1]) / 1000;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), events = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    timer = timerfd_create(CLOCK_MONOTONIC, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1024)) fail("listen");
    if (getsockname(listener, (struct sockaddr *)&address, &size)) fail("getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    int sources[] = {0, listener, timer};
    for (size_t i = 0; i < 3; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = sources[i]};
        if (epoll_ctl(events, EPOLL_CTL_ADD, sources[i], &event)) fail("epoll_ctl");
    }
    static char buffer[1 << 20];
    for (;;) {
        struct epoll_event ready[64];
        int number = epoll_wait(events, ready, 64, -1);
        for (int i = 0; i < number; i++) {
            int descriptor = ready[i].data.fd;
            if (descriptor == 0) {
                if (read(0, buffer, sizeof buffer) > 0) continue;
                printf("{\"messages\": %llu, \"seconds\": %.6f, \"most_open\": %zu, \"octets\": %llu}\n", messages,
                    last_answer - first_answer, most, octets);
                return 0;
            } else if (descriptor == listener) {
                int client;
                while ((client = accept(listener, NULL, NULL)) >= 0) {
                    int one = 1;
                    if (client >= CONNECTIONS || !(connections[client] = calloc(1, sizeof(Connection)))) fail("accept");
                    connections[client]->descriptor = client;
                    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    struct epoll_event event = {.events = EPOLLIN, .data.fd = client};
                    if (epoll_ctl(events, EPOLL_CTL_ADD, client, &event)) fail("epoll_ctl");
                }
            } else if (descriptor == timer) {
                unsigned long long ticks;
                if (read(timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN) fail("timer");
                double moment = now();
                while (count > 0) {
                    Connection *connection = connections[waiting[first]];
                    if (connection && connection->answer_at > moment) break;
                    first = (first + 1) % CONNECTIONS;
                    count--;
                    if (connection) answer(connection);
                }
                if (count > 0) arm(connections[waiting[first]]->answer_at);
            } else if (connections[descriptor]) {
                ssize_t length = read(descriptor, buffer, sizeof buffer);
                if (length > 0) received(connections[descriptor], buffer, length);
                else drop(descriptor);
            }
        }
    }
}
