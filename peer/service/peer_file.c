/* A file of the share that somebody asks for by its content: whether it is that, and in order. */
#include "peer/catalogue/catalogue_check.h"
#include "peer/service/peer_service_private.h"

enum error_code peer_check_content(struct peer_service *service, const struct share_reader *reader,
                                   const struct content_id *wanted, struct error *error)
{
    struct share_identity identity;
    struct content_id id;

    if (!service->catalogue)
        return error_set(error, ERROR_UNSUPPORTED, "Este peer no calcula contenidos");
    share_reader_identity(reader, &identity);
    if (!catalogue_find_id(service->catalogue, &identity, &id)) {
        catalogue_share_changed(service->catalogue);
        return error_set(error, ERROR_BUSY, "El contenido del archivo todavía se está calculando");
    }
    return content_id_equal(&id, wanted) ? ERROR_NONE : peer_other_content(error);
}

enum error_code peer_check_damage(struct peer_service *service, const struct share_reader *reader,
                                  int64_t offset, int64_t length, struct error *error)
{
    struct share_identity identity;

    if (!service->catalogue)
        return ERROR_NONE;
    share_reader_identity(reader, &identity);
    return catalogue_check_part(service->catalogue, &identity, offset, length, error);
}
