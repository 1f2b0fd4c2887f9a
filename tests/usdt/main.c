/* Obeys each byte of its standard input, and says "done" after each. Ends when that ends. */

#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probes.h"

#ifdef WITHOUT_PROBES
void
handle(const char *name, const struct upcall *first, const struct upcall *second)
{
    (void) name, (void) first, (void) second;
}
#endif

static unsigned char packet[4096], key[256];

static void
upcall(const void *data, unsigned int size)
{
    struct upcall first = { 0, size, 100, data, key }, second = { 0, 0, 0, NULL, NULL };

    handle("system@ovs-system", &first, &second);
}

static void *
thread(void *argument)
{
    (void) argument;
    upcall(packet, 60);
    return NULL;
}

static void *
thousand(void *argument)
{
    (void) argument;
    for (int i = 0; i < 1000; i++) {
        upcall(packet, 60);
    }
    return NULL;
}

static void
obey(int order)
{
    pthread_t four[4];
    struct upcall first = { 0, 60, 100, packet, key }, second = { 1, 1500, 200, packet + 1, key + 1 };
    struct upcall together = first;
    pthread_t other;
    pid_t child;

    switch (order) {
    case 'h':                   /* An upcall. */
        upcall(packet, 60);
        break;
    case 'b':                   /* A batch of two. */
        handle("system@ovs-system", &first, &second);
        break;
    case 'm':                   /* A thousand. */
        thousand(NULL);
        break;
    case 'p':                   /* Four threads with a thousand each. */
        for (int i = 0; i < 4; i++) {
            pthread_create(&four[i], NULL, thousand, NULL);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(four[i], NULL);
        }
        break;
    case 'k':                   /* Key and packet in one message, with 16 bytes between them. */
        together.packet = packet + 116;
        together.key = packet;
        handle("system@ovs-system", &together, &(struct upcall) { 0, 0, 0, NULL, NULL });
        break;
    case 't':                   /* One in a new thread. */
        pthread_create(&other, NULL, thread, NULL);
        pthread_join(other, NULL);
        break;
    case 'f':                   /* One in a new process. */
        child = fork();
        if (!child) {
            upcall(packet, 60);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        break;
    case '0':                   /* An empty packet. */
        upcall(packet, 0);
        break;
    case 'x':                   /* An absurdly long one. */
        upcall(packet, 0xffffffff);
        break;
    case 'u':                   /* One in memory that is not there. */
        upcall((const void *) 8, 60);
        break;
    }
}

int
main(void)
{
    int order;

    for (unsigned int i = 0; i < sizeof packet; i++) {
        packet[i] = i * 7 + 1;
    }
    for (unsigned int i = 0; i < sizeof key; i++) {
        key[i] = ~i;
    }
    puts("ready");
    fflush(stdout);
    while ((order = getchar()) != EOF) {
        obey(order);
        puts("done");
        fflush(stdout);
    }
    return 0;
}
