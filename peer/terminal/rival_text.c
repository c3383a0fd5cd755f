#include "peer/terminal/rival_text.h"

#include "common/memory.h"

char *rival_text(const P2p__Control__Directory *directory)
{
    const char *address = directory->rival_address;

    if (!directory->rival)
        return NULL;
    return memory_format(
        "otro peer usa el mismo nombre%s%s: %s", address[0] ? " desde " : "", address,
        directory->rival_listed ? "el directorio muestra sus archivos, no los de este peer"
                                : "el directorio muestra los archivos de este peer, no los suyos");
}

char *rival_notice(const P2p__Control__StatusReply *status)
{
    for (size_t i = 0; i < status->n_directories; i++) {
        auto_free char *text = rival_text(status->directories[i]);
        if (text)
            return memory_format("Aviso: %s.", text);
    }
    return NULL;
}
