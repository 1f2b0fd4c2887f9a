/* Places of recv_upcall whose arguments have the forms that compilers use, at known values. Its
 * orders are the digits 0 to 5: one place each. */

#include <stdio.h>

static const char name[] = "system@ovs-system";
static unsigned char packet[4096], key[4096];

/* A note as sys/sdt.h makes it, with arguments of our choice. */
#define PLACE(ARGUMENTS)                                                  \
    __asm__ volatile (                                                    \
        "990: nop\n"                                                      \
        ".pushsection .note.stapsdt,\"\",\"note\"\n"                      \
        ".balign 4\n"                                                     \
        ".4byte 992f-991f, 994f-993f, 3\n"                                \
        "991: .asciz \"stapsdt\"\n"                                       \
        "992: .balign 4\n"                                                \
        "993: .8byte 990b, _.stapsdt.base, 0\n"                           \
        ".asciz \"dpif_recv\"\n"                                          \
        ".asciz \"recv_upcall\"\n"                                        \
        ".asciz \"" ARGUMENTS "\"\n"                                      \
        "994: .balign 4\n"                                                \
        ".popsection\n"                                                   \
        :: "a" (0x8877665544338cfeUL), "b" (&table), "c" (3L),             \
           "d" (key), "S" (packet), "D" (name) : "memory")

/* What the notes' addresses are relative to. */
__asm__ (".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
         ".weak _.stapsdt.base\n"
         ".hidden _.stapsdt.base\n"
         "_.stapsdt.base: .space 1\n"
         ".size _.stapsdt.base, 1\n"
         ".popsection\n");

/* rbx points here, rcx is 3. */
static struct {
    const void *pointers[4];
    unsigned char bytes[8];
    unsigned short shorts[4];
    unsigned int ints[4];
} table = {
    { NULL, NULL, NULL, packet },
    { 0, 1, 2, 0x83, 4, 5, 6, 7 },
    { 0, 1, 2, 0x8003 },
    { 0, 1, 2, 0x80000003 },
};

static void
fire(int order)
{
    switch (order) {
    case '0':                   /* Constants. */
        PLACE("8@%%rdi -4@$-7 8@%%rsi 4@$60 8@%%rdx 8@$8");
        break;
    case '1':                   /* A byte in a register, with and without sign. */
        PLACE("8@%%rdi -1@%%al 8@%%rsi 1@%%al 8@%%rdx 8@$8");
        break;
    case '2':                   /* Two bytes. */
        PLACE("8@%%rdi -2@%%ax 8@%%rsi 2@%%ax 8@%%rdx 8@$8");
        break;
    case '3':                   /* Four and eight. */
        PLACE("8@%%rdi -4@%%eax 8@%%rsi 4@%%eax 8@%%rdx 8@%%rax");
        break;
    case '4':                   /* Memory with an index of each scale. */
        PLACE("8@%%rdi -2@40(%%rbx,%%rcx,2) 8@(%%rbx,%%rcx,8) 1@32(%%rbx,%%rcx) "
              "8@%%rdx 4@48(%%rbx,%%rcx,4)");
        break;
    case '5':                   /* Memory with a displacement. */
        PLACE("8@%%rdi 1@35(%%rbx) 8@24(%%rbx) 2@46(%%rbx) 8@%%rdx -4@60(%%rbx)");
        break;
    }
}

int
main(void)
{
    int order;

    for (unsigned int i = 0; i < sizeof packet; i++) {
        packet[i] = i + 1;
        key[i] = ~i;
    }
    puts("ready");
    fflush(stdout);
    while ((order = getchar()) != EOF) {
        fire(order);
        puts("done");
        fflush(stdout);
    }
    return 0;
}
