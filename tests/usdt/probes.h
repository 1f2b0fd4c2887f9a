struct upcall {
    int type;
    unsigned int packet_size;
    unsigned long key_size;
    const void *packet;
    const void *key;
};

void handle(const char *name, const struct upcall *first, const struct upcall *second);
