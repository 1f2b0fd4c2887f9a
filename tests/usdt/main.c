/* Runs until its standard input ends. */

#include <stdio.h>

#include "probes.h"

#ifdef WITHOUT_PROBES
void
handle(const char *name, const struct upcall *first, const struct upcall *second)
{
    (void) name, (void) first, (void) second;
}
#endif

int
main(int argc, char **argv)
{
    struct upcall first = { argc, 60, 8, argv, argv }, second = { argc, 0, 8, argv, argv };

    puts("ready");
    fflush(stdout);
    while (getchar() != EOF) {
        handle(argv[0], &first, &second);
    }
    return 0;
}
