#include "directory/login_arguments.h"

#include "directory/replies.h"

#include <string.h>
#include <strings.h>

static const char *const names[LOGIN_FIELD_COUNT] = {
    [LOGIN_USERNAME] = "username",       [LOGIN_PASSWORD] = "password",
    [LOGIN_FILES_INDEX] = "files_index", [LOGIN_FOLDERS] = "folders",
    [LOGIN_INDEX_ETAG] = "index_etag",   [LOGIN_INDEX_BASE] = "index_base",
    [LOGIN_FILES_ADDED] = "files_added", [LOGIN_FILES_REMOVED] = "files_removed",
};

/* Of these a JSON body may give the list itself, too. */
static bool is_list(enum login_field field)
{
    return field == LOGIN_FILES_INDEX || field == LOGIN_FILES_ADDED || field == LOGIN_FILES_REMOVED;
}

const char *login_bearer(const struct http_request *request)
{
    static const char scheme[] = "bearer ";
    const char *text = request->authorization;

    if (!text || strncasecmp(text, scheme, sizeof scheme - 1) != 0)
        return NULL;
    text += sizeof scheme - 1;
    return text + strspn(text, " ");
}

void login_arguments_init(struct login_arguments *arguments, const struct http_request *request,
                          char *query, size_t query_length)
{
    *arguments = (struct login_arguments){
        .query = query, .query_length = query_length, .token = login_bearer(request)};
    for (size_t i = 0; i < LOGIN_FIELD_COUNT; i++)
        arguments->fields[i].name = names[i];
}

void login_arguments_done(struct login_arguments *arguments)
{
    json_free(arguments->body);
    arguments->body = NULL;
}

enum error_code login_arguments_take_query(struct login_arguments *arguments, struct error *error)
{
    return query_parse(arguments->query, arguments->query_length, arguments->fields,
                       LOGIN_FIELD_COUNT, error);
}

static bool content_is(const struct http_request *request, const char *type)
{
    size_t length = strlen(type);

    return request->content_type && strncasecmp(request->content_type, type, length) == 0 &&
           strchr(" ;", request->content_type[length]) != NULL;
}

static bool take_json_field(struct login_arguments *arguments, enum login_field field,
                            const struct json *item)
{
    struct query_field *taken = &arguments->fields[field];
    const char *text = json_string(item);

    if (text) {
        taken->length = strlen(text);
        /* The fields' values are changeable for the query's sake; this one is not changed. */
        memcpy(&taken->value, &text, sizeof text);
        return true;
    }
    if (is_list(field)) {
        arguments->lists[field] = item;
        return true;
    }
    return field == LOGIN_FOLDERS && json_boolean(item, &arguments->folders);
}

static enum error_code take_json(struct login_arguments *arguments,
                                 const struct http_request *request, struct error *error)
{
    if (files_index_check_size(request->body, request->body_length, NULL) ||
        json_parse(request->body, request->body_length, &arguments->body, NULL) ||
        !json_is_object(arguments->body))
        return error_set(error, ERROR_INVALID, TEXT_BAD_BODY);
    for (enum login_field i = 0; i < LOGIN_FIELD_COUNT; i++) {
        const struct json *item = json_find(arguments->body, names[i]);
        if (arguments->fields[i].value || !item || json_is_null(item))
            continue;
        if (!take_json_field(arguments, i, item))
            return error_set(error, ERROR_INVALID, TEXT_BAD_BODY);
    }
    return ERROR_NONE;
}

enum error_code login_arguments_take_body(struct login_arguments *arguments,
                                          const struct http_request *request, struct error *error)
{
    struct query_field body[LOGIN_FIELD_COUNT];

    if (!request->body)
        return ERROR_NONE;
    /* Differs: the reference takes the query only, and so about 2,000 files. */
    if (content_is(request, "application/json"))
        return take_json(arguments, request, error);
    if (!content_is(request, "application/x-www-form-urlencoded"))
        return ERROR_NONE; /* the reference reads no body either */
    for (size_t i = 0; i < LOGIN_FIELD_COUNT; i++)
        body[i] = (struct query_field){.name = names[i]};
    enum error_code code =
        query_parse(request->body, request->body_length, body, LOGIN_FIELD_COUNT, error);
    for (size_t i = 0; i < LOGIN_FIELD_COUNT && !code; i++)
        if (!arguments->fields[i].value)
            arguments->fields[i] = body[i];
    return code;
}

bool login_arguments_has_credentials(const struct login_arguments *arguments)
{
    return arguments->fields[LOGIN_USERNAME].value &&
           (arguments->fields[LOGIN_PASSWORD].value || arguments->token);
}

size_t login_arguments_missing(const struct login_arguments *arguments, const char *missing[2])
{
    size_t count = 0;

    if (!arguments->fields[LOGIN_USERNAME].value)
        missing[count++] = names[LOGIN_USERNAME];
    if (!arguments->fields[LOGIN_PASSWORD].value && !arguments->token)
        missing[count++] = names[LOGIN_PASSWORD];
    return count;
}

static bool take_sum(const struct query_field *field, bool *given, struct index_sum *sum)
{
    *given = field->value != NULL;
    return !field->value || index_sum_parse(field->value, field->length, sum);
}

static bool is_given(const struct login_arguments *arguments, enum login_field field)
{
    return arguments->fields[field].value || arguments->lists[field];
}

enum error_code login_arguments_check(struct login_arguments *arguments, struct error *error)
{
    /* As text; a JSON body may also have given a boolean. */
    if (!query_flag(&arguments->fields[LOGIN_FOLDERS], &arguments->folders))
        return error_set(error, ERROR_INVALID, TEXT_BAD_FOLDERS);
    if (!take_sum(&arguments->fields[LOGIN_INDEX_ETAG], &arguments->has_etag, &arguments->etag))
        return error_set(error, ERROR_INVALID, TEXT_BAD_ETAG);
    if (!take_sum(&arguments->fields[LOGIN_INDEX_BASE], &arguments->has_base, &arguments->base))
        return error_set(error, ERROR_INVALID, TEXT_BAD_BASE);
    if ((is_given(arguments, LOGIN_FILES_ADDED) || is_given(arguments, LOGIN_FILES_REMOVED)) &&
        (!arguments->has_etag || !arguments->has_base || is_given(arguments, LOGIN_FILES_INDEX)))
        return error_set(error, ERROR_INVALID, TEXT_BAD_CHANGE);
    return ERROR_NONE;
}

enum error_code login_arguments_read_list(const struct login_arguments *arguments,
                                          const char *client_host, struct files_index **files,
                                          struct error *error)
{
    const struct query_field *field = &arguments->fields[LOGIN_FILES_INDEX];
    const struct json *list = arguments->lists[LOGIN_FILES_INDEX];
    enum error_code code = ERROR_NONE;

    *files = NULL;
    if (list)
        code = files_index_from_json(list, client_host, files, NULL);
    else if (field->value)
        code = files_index_parse(field->value, field->length, client_host, files, NULL);
    /* Who does not say that he knows such names has always been refused them. */
    if (!code && *files && !arguments->folders && files_index_has_folders(*files))
        code = ERROR_INVALID;
    /* Differs: a wrong shape is 400 like wrong JSON; the reference answers 500. */
    return code ? error_set(error, ERROR_INVALID, TEXT_BAD_FILES_INDEX) : ERROR_NONE;
}

/* A list from a JSON body, or from text, which is parsed. NULL: it is not given. */
static enum error_code find_list(const struct login_arguments *arguments, enum login_field which,
                                 struct json **parsed, const struct json **list)
{
    const struct query_field *field = &arguments->fields[which];
    enum error_code code = ERROR_NONE;

    *list = arguments->lists[which];
    if (*list || !field->value)
        return ERROR_NONE;
    code = files_index_check_size(field->value, field->length, NULL);
    if (!code)
        code = json_parse(field->value, field->length, parsed, NULL);
    *list = *parsed;
    return code;
}

enum error_code login_arguments_read_change(const struct login_arguments *arguments,
                                            struct list_change **change, struct error *error)
{
    auto_json *added_json = NULL;
    auto_json *removed_json = NULL;
    const struct json *added;
    const struct json *removed;
    enum error_code code = find_list(arguments, LOGIN_FILES_ADDED, &added_json, &added);

    *change = NULL;
    if (!code)
        code = find_list(arguments, LOGIN_FILES_REMOVED, &removed_json, &removed);
    if (!code && !added && !removed)
        return ERROR_NONE;
    if (!code)
        code = list_change_from_json(added, removed, change, NULL);
    if (!code && !arguments->folders && list_change_has_folders(*change))
        code = ERROR_INVALID;
    return code ? error_set(error, ERROR_INVALID, TEXT_BAD_LISTS) : ERROR_NONE;
}
