/* The inner loops of scripts/bench: a script's own overhead would hide what is measured.
 *
 *   bench_io write FILE MIB       writes MIB MiB of noise in 1 MiB pieces, fsyncs, closes
 *   bench_io read FILE            reads FILE in 1 MiB pieces
 *   bench_io random FILE COUNT    COUNT reads of 4 KiB at random places
 *   bench_io commits DIR COUNT    COUNT times: create a file, write 1 KiB, fsync, close
 *   bench_io closes DIR COUNT     the same without fsync
 *   bench_io versions FILE COUNT START   COUNT times: truncate, write 16 new bytes, close
 *
 * Prints the seconds of the loop; for commits and closes the median of one turn.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint64_t noise(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void check(int ok, const char *what) {
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    enum { MIB = 1 << 20 };
    static uint64_t buffer[MIB / 8];
    if (argc < 3) return 2;
    const char *what = argv[1], *path = argv[2];
    long count = argc > 3 ? atol(argv[3]) : 0;
    double start, seconds;

    if (!strcmp(what, "write")) {
        /* The noise is made before the clock starts; each piece then differs in its head. */
        for (size_t i = 0; i < MIB / 8; i++) buffer[i] = noise();
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        check(fd >= 0, path);
        start = now();
        for (long i = 0; i < count; i++) {
            for (size_t j = 0; j < MIB / 8; j += 512) buffer[j] += 0x9e3779b97f4a7c15u * (i + 1);
            check(write(fd, buffer, MIB) == MIB, "write");
        }
        check(fsync(fd) == 0, "fsync");
        check(close(fd) == 0, "close");
        seconds = now() - start;
    } else if (!strcmp(what, "read")) {
        int fd = open(path, O_RDONLY);
        check(fd >= 0, path);
        start = now();
        ssize_t n;
        while ((n = read(fd, buffer, MIB)) > 0) {}
        check(n == 0, "read");
        close(fd);
        seconds = now() - start;
    } else if (!strcmp(what, "random")) {
        int fd = open(path, O_RDONLY);
        check(fd >= 0, path);
        off_t pages = lseek(fd, 0, SEEK_END) / 4096;
        start = now();
        for (long i = 0; i < count; i++)
            check(pread(fd, buffer, 4096, (off_t)(noise() % pages) * 4096) == 4096, "pread");
        close(fd);
        seconds = now() - start;
    } else if (!strcmp(what, "commits") || !strcmp(what, "closes")) {
        int sync = !strcmp(what, "commits");
        double *turns = calloc(count, sizeof *turns);
        char name[4096];
        for (long i = 0; i < count; i++) {
            for (int j = 0; j < 128; j++) buffer[j] = noise() ^ (uint64_t)(now() * 1e9);
            snprintf(name, sizeof name, "%s/%ld", path, i);
            double turn = now();
            int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
            check(fd >= 0, name);
            check(write(fd, buffer, 1024) == 1024, "write");
            if (sync) check(fsync(fd) == 0, "fsync");
            check(close(fd) == 0, "close");
            turns[i] = now() - turn;
        }
        qsort(turns, count, sizeof *turns, by_value);
        seconds = turns[count / 2];
    } else if (!strcmp(what, "versions")) {
        long first = argc > 4 ? atol(argv[4]) : 0;
        char text[32];
        start = now();
        for (long i = 0; i < count; i++) {
            int length = snprintf(text, sizeof text, "%016ld", first + i);
            int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
            check(fd >= 0, path);
            check(write(fd, text, length) == length, "write");
            check(close(fd) == 0, "close");
        }
        seconds = now() - start;
    } else {
        return 2;
    }
    printf("%.9f\n", seconds);
    return 0;
}
