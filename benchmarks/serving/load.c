/* Load on one HTTP/1.1 server from one thread, and what came of it, as one line of JSON.
 *
 *   load HOST PORT PATH BODIES CONNECTIONS SECONDS RATE
 *
 * BODIES is a file of request bodies, one a line, sent in turn. RATE 0 is a closed loop: every connection sends its next
 * request when the last is answered. A positive RATE is an open loop: requests are due at even intervals whatever the
 * server does, and their time counts from when they were due. A request that finds all CONNECTIONS busy is not sent and
 * counts as failed; so does one without an answer within a second, whose connection is then made anew.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 16, BUCKETS = 64 * 64, STATUSES = 600 };
static const double PATIENCE = 1.0, GOOD = 0.1;

typedef struct { char *text; size_t size; } Request;
typedef struct { int fd, connected, busy; double due; size_t sent, got; const Request *request; char room[ROOM]; } Caller;

static struct sockaddr_in server;
static Request *requests;
static size_t request_count, next_request;
static int poller, callers_count;
static Caller *callers;
static int *free_callers, free_count;
static double origin, began_counting, ends;
static uint64_t histogram[BUCKETS], statuses[STATUSES], answered, good, unsent, late, broken;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9 - origin;
}

static void die(const char *what) { perror(what); exit(1); }

/* Sixty-four buckets to each doubling of microseconds: at most 1.6 % wide. `load.py` knows where they begin. */
static int bucket(double seconds) {
    uint64_t us8 = (uint64_t)(seconds * 64e6);
    if (us8 < 64) return (int)us8;
    int power = 63 - __builtin_clzll(us8);
    int index = (power - 5) * 64 + (int)((us8 >> (power - 6)) & 63);
    return index < BUCKETS ? index : BUCKETS - 1;
}

static void watch(Caller *caller, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = caller};
    if (epoll_ctl(poller, operation, caller->fd, &event)) die("epoll_ctl");
}

static void open_caller(Caller *caller) {
    int one = 1;
    caller->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (caller->fd < 0) die("socket");
    setsockopt(caller->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    caller->connected = 0;
    if (connect(caller->fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS) die("connect");
    watch(caller, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void push(Caller *caller) {
    ssize_t sent = send(caller->fd, caller->request->text + caller->sent, caller->request->size - caller->sent, MSG_NOSIGNAL);
    if (sent > 0) caller->sent += sent;
    if (caller->sent < caller->request->size) watch(caller, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void ask(Caller *caller, double due) {
    caller->busy = 1;
    caller->due = due;
    caller->request = &requests[next_request++ % request_count];
    caller->sent = caller->got = 0;
    if (caller->fd < 0) open_caller(caller);
    else if (caller->connected) push(caller);
}

static void done(Caller *caller, int is_open, double at) {
    caller->busy = 0;
    if (is_open) free_callers[free_count++] = caller - callers;
    else if (at < ends) ask(caller, at);
}

static void fail(Caller *caller, uint64_t *counter, int is_open, double at) {
    if (caller->due >= began_counting) (*counter)++;
    close(caller->fd);
    caller->fd = -1;
    if (caller->busy) done(caller, is_open, at);
}

/* The size of a whole answer at the start of the room, 0 while it is not whole. */
static size_t whole(Caller *caller, int *status, int *closes) {
    char *end = memmem(caller->room, caller->got, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t head = end + 4 - caller->room, body = 0;
    int chunked = 0;
    *status = atoi(caller->room + 9);
    *closes = 0;
    for (char *line = memchr(caller->room, '\n', head); line && line < end; line = memchr(line, '\n', end - line)) {
        line++;
        if (!strncasecmp(line, "content-length:", 15)) body = strtoul(line + 15, 0, 10);
        else if (!strncasecmp(line, "transfer-encoding: chunked", 26)) chunked = 1;
        else if (!strncasecmp(line, "connection: close", 17)) *closes = 1;
    }
    if (!chunked) return caller->got >= head + body ? head + body : 0;
    char *last = memmem(caller->room + head, caller->got - head, "0\r\n\r\n", 5);
    return last ? (size_t)(last + 5 - caller->room) : 0;
}

static void take(Caller *caller, int is_open) {
    ssize_t got = recv(caller->fd, caller->room + caller->got, ROOM - caller->got, 0);
    double at = now();
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN) return;
        fail(caller, caller->busy ? &broken : &late, is_open, at);
        return;
    }
    caller->got += got;
    int status, closes;
    if (!caller->busy || !whole(caller, &status, &closes)) return;
    if (caller->due >= began_counting && (is_open || at < ends)) {
        double took = at - caller->due;
        if (status > 0 && status < STATUSES) statuses[status]++;
        if (status == 200) {
            answered++;
            histogram[bucket(took)]++;
            if (took <= GOOD) good++;
        }
    }
    if (closes) {
        close(caller->fd);
        caller->fd = -1;
    }
    done(caller, is_open, at);
}

static void read_requests(const char *path, const char *host, const char *file) {
    FILE *stream = fopen(file, "r");
    char *line = 0;
    size_t room = 0;
    ssize_t size;
    if (!stream) die(file);
    while ((size = getline(&line, &room, stream)) > 0) {
        if (line[size - 1] == '\n') size--;
        requests = realloc(requests, (request_count + 1) * sizeof *requests);
        Request *request = &requests[request_count++];
        request->size = asprintf(&request->text,
            "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %zd\r\n\r\n%.*s",
            path, host, size, (int)size, line);
    }
    if (!request_count) die("no request bodies");
}

/* Leave the core to others until shortly before something is due; what is due soon is waited for awake. */
static void doze(double seconds) {
    if (seconds < 0.001) return;
    if (seconds > 0.05) seconds = 0.05;
    struct timespec t = {.tv_nsec = (long)((seconds - 0.0002) * 1e9)};
    struct pollfd what = {.fd = poller, .events = POLLIN};
    ppoll(&what, 1, &t, 0);
}

int main(int count, char **words) {
    if (count != 8) { fprintf(stderr, "load HOST PORT PATH BODIES CONNECTIONS SECONDS RATE\n"); return 2; }
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    if (inet_pton(AF_INET, words[1], &server.sin_addr) != 1) die("HOST is an IPv4 address");
    read_requests(words[3], words[1], words[4]);
    callers_count = atoi(words[5]);
    double seconds = atof(words[6]), rate = atof(words[7]);
    int is_open = rate > 0;
    callers = calloc(callers_count, sizeof *callers);
    free_callers = calloc(callers_count, sizeof *free_callers);
    poller = epoll_create1(0);
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    origin = t.tv_sec + t.tv_nsec * 1e-9;
    double warm = seconds / 5 < 1 ? seconds / 5 : 1;
    began_counting = warm;
    ends = warm + seconds;
    uint64_t scheduled = 0;
    for (int i = callers_count; i-- > 0;) {
        callers[i].fd = -1;
        if (is_open) free_callers[free_count++] = i;
        else ask(&callers[i], now());
    }
    double swept = 0;
    struct epoll_event events[512];
    for (;;) {
        double at = now();
        if (at > ends && (!is_open || free_count == callers_count || at > ends + PATIENCE)) break;
        if (is_open && at < ends) {
            for (double due; (due = scheduled / rate) <= at && due < ends; scheduled++) {
                if (free_count) ask(&callers[free_callers[--free_count]], due);
                else if (due >= began_counting) unsent++;
            }
        }
        if (at - swept > 0.05) {
            swept = at;
            for (int i = 0; i < callers_count; i++)
                if (callers[i].busy && at - callers[i].due > PATIENCE) fail(&callers[i], &late, is_open, at);
        }
        if (is_open) doze((at < ends ? scheduled / rate : ends + PATIENCE) - now());
        int ready = epoll_wait(poller, events, 512, is_open ? 0 : 50);
        for (int i = 0; i < ready; i++) {
            Caller *caller = events[i].data.ptr;
            if (caller->fd < 0) continue;
            if (events[i].events & EPOLLOUT) {
                caller->connected = 1;
                watch(caller, EPOLL_CTL_MOD, EPOLLIN);
                if (caller->busy && caller->sent < caller->request->size) push(caller);
            }
            if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) take(caller, is_open);
        }
    }
    printf("{\"answered\": %lu, \"good\": %lu, \"unsent\": %lu, \"late\": %lu, \"broken\": %lu, \"statuses\": {",
           answered, good, unsent, late, broken);
    const char *comma = "";
    for (int i = 0; i < STATUSES; i++)
        if (statuses[i]) { printf("%s\"%d\": %lu", comma, i, statuses[i]); comma = ", "; }
    printf("}, \"buckets\": {");
    comma = "";
    for (int i = 0; i < BUCKETS; i++)
        if (histogram[i]) { printf("%s\"%d\": %lu", comma, i, histogram[i]); comma = ", "; }
    printf("}}\n");
    return 0;
}
