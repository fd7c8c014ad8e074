/*
 * rot13-speed: how fast is rot13(), in units of memcpy()?
 *
 * A server moves every byte through the kernel twice, each time a copy.  As long as
 * the rotation takes not much longer than a copy, it is not what a server waits for.
 *
 *     rot13-speed
 */
#include "rot13.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIZE  16384 /* MAX_LINE, the buffer that the servers rotate */
#define TIMES 20000 /* a few milliseconds for one run */
#define RUNS  31    /* odd, so that one of them is the median */

/* Through a pointer that might change, so that the compiler cannot see that nobody
 * needs the copies. */
static void *(*volatile copy)(void *, const void *, size_t) = memcpy;

static double
seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double
median(double *of)
{
    qsort(of, RUNS, sizeof(*of), compare);
    return of[RUNS / 2];
}

int
main(void)
{
    static char from[SIZE], to[SIZE];
    double rotating[RUNS], copying[RUNS], ratio[RUNS];
    for (size_t i = 0; i < SIZE; ++i)
        from[i] = (char)i;

    /* In turn, so that a machine that slows down slows both down. */
    for (int run = 0; run < RUNS; ++run) {
        double start = seconds();
        for (int i = 0; i < TIMES; ++i)
            rot13(from, SIZE);
        double middle = seconds();
        for (int i = 0; i < TIMES; ++i)
            copy(to, from, SIZE);
        double end = seconds();
        rotating[run] = middle - start;
        copying[run] = end - middle;
        ratio[run] = rotating[run] / copying[run];
    }

    double gb = (double)SIZE * TIMES / 1e9;
    double times = median(ratio);
    printf("%d bytes: rot13 %.1f GB/s, memcpy %.1f GB/s: rot13 takes %.2f times as long"
           " (median of %d runs; %.2f to %.2f; the aim is 3)\n",
           SIZE, gb / median(rotating), gb / median(copying), times, RUNS, ratio[0],
           ratio[RUNS - 1]);
    return 0;
}
