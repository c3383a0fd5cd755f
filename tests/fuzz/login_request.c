/* The login that a peer writes (peer/network/directory_requests) is what the directory reads
 * (directory/query, directory/files_index): same user, same password, same files
 * with their sizes and content ids. The input is the
 * user, the password and names of files, apart by 0x1f. */
#include "fuzz.h"

#include "common/memory.h"
#include "common/text.h"
#include "directory/files_index.h"
#include "directory/query.h"
#include "peer/network/directory_requests.h"

#define FILES_MAX 64
#define ADVERTISE "[2001:db8::7]:8001"

enum { USERNAME, PASSWORD, FILES_INDEX, FIELDS };

/* Made of the name alone, so that a name that is there twice has the same content twice. */
static void make_content(struct share_file *file)
{
    size_t length = strlen(file->name);

    file->size_bytes = (int64_t)length << (file->name[0] & 0x1f);
    file->has_content = length % 2 == 0;
    for (size_t i = 0; i < HASH_BYTES; i++)
        file->content.bytes[i] = (uint8_t)file->name[i % length];
}

static void check_listed(const struct files_index *index, const struct share_file *file,
                         bool names_only)
{
    size_t item = 0;

    while (item < files_index_count(index) &&
           strcmp(files_index_name(index, item), file->name) != 0)
        item++;
    fuzz_check(item < files_index_count(index));
    struct file_content content = files_index_content(index, item);
    fuzz_check(content.size_bytes == (names_only ? FILE_SIZE_UNKNOWN : file->size_bytes));
    fuzz_check(!content.id == (names_only || !file->has_content));
    fuzz_check(!content.id || content_id_equal(content.id, &file->content));
}

/* One request with the files from number `first` on; returns the first that is left. */
static size_t check_request(const struct directory_login *login, size_t first, size_t max_bytes)
{
    struct query_field fields[FIELDS] = {
        {.name = "username"}, {.name = "password"}, {.name = "files_index"}};
    struct files_index *index = NULL;
    auto_buffer text;

    buffer_init(&text, 1 << 24);
    directory_append_user(&text, login);
    size_t next = directory_append_index(&text, login, first, max_bytes);
    fuzz_check(!text.failed && next <= login->files->count);
    fuzz_check(next > first || login->files->count == 0);
    fuzz_check(text.length <= max_bytes || next == first + 1 || login->files->count == 0);
    fuzz_check(query_parse(text.data, text.length, fields, FIELDS, NULL) == ERROR_NONE);
    fuzz_check(strcmp(fields[USERNAME].value, login->username) == 0);
    fuzz_check(strcmp(fields[PASSWORD].value, login->password) == 0);
    fuzz_check(files_index_parse(fields[FILES_INDEX].value, fields[FILES_INDEX].length, "10.0.0.1",
                                 &index, NULL) == ERROR_NONE);
    for (size_t i = first; i < next; i++)
        check_listed(index, &login->files->files[i], login->names_only);
    fuzz_check(files_index_count(index) <= next - first);
    fuzz_check(strcmp(files_index_usual_urls(index), next > first ? "[\"" ADVERTISE "\"]" : "[]") ==
               0);
    files_index_free(index);
    return next;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t length;
    const char *part = fuzz_part(&data, &size, &length);
    auto_free char *username = memory_copy(part, length);
    part = fuzz_part(&data, &size, &length);
    auto_free char *password = memory_copy(part, length);
    auto_free struct share_file *files = memory_new(FILES_MAX, sizeof *files);
    auto_free struct file_name *names = memory_new(FILES_MAX, sizeof *names);
    struct share_list list = {.files = files};

    if (!text_is_utf8(username, strlen(username)) || !text_is_utf8(password, strlen(password)))
        return 0; /* they come out of a JSON document */
    while (size > 0 && list.count < FILES_MAX) {
        part = fuzz_part(&data, &size, &length);
        if (file_name_parse_path(part, length, &names[list.count], NULL))
            continue;
        files[list.count].name = names[list.count].text;
        make_content(&files[list.count++]);
    }
    struct directory_login login = {.username = username,
                                    .password = password,
                                    .advertise = ADVERTISE,
                                    .files = &list,
                                    .folders = true};
    check_request(&login, 0, SIZE_MAX);
    login.names_only = list.count % 2 == 0;
    for (size_t next = 0; next < list.count;)
        next = check_request(&login, next, 600);
    return 0;
}
