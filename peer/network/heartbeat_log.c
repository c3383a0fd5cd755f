#include "peer/network/heartbeat_log.h"

#include "common/log.h"

void heartbeat_log_news(const struct heartbeat_names *names, enum heartbeat_news news,
                        const struct error *error)
{
    const char *name = names->username;

    switch (news) {
    case HEARTBEAT_NO_NEWS:
        break;
    case HEARTBEAT_IS_LISTED:
        log_line(LOG_INFO, HEARTBEAT_MODULE, "'%s' is listed at %s as %s", name, names->login_url,
                 names->advertise);
        break;
    case HEARTBEAT_IS_BACK:
        log_line(LOG_INFO, HEARTBEAT_MODULE, "the directory %s is back, '%s' is listed again",
                 names->login_url, name);
        break;
    case HEARTBEAT_IS_AWAY:
        log_line(LOG_WARNING, HEARTBEAT_MODULE, "the directory %s does not take us, trying on: %s",
                 names->login_url, error->text);
        break;
    case HEARTBEAT_IS_REFUSED:
        log_line(LOG_ERROR, HEARTBEAT_MODULE,
                 "the directory %s refuses user '%s' (peer_name) with this password: %s",
                 names->login_url, name, error->text);
        break;
    case HEARTBEAT_INDEX_LOST:
        log_line(LOG_WARNING, HEARTBEAT_MODULE,
                 "the directory %s has other files under the name '%s' than those that it took "
                 "from us, they are sent again: does another peer have that name?",
                 names->login_url, name);
        break;
    case HEARTBEAT_INDEX_REFUSED:
        log_line(LOG_ERROR, HEARTBEAT_MODULE, "the directory %s refuses the list of our files: %s",
                 names->login_url, error->text);
        break;
    }
}

void heartbeat_log_rival(const struct heartbeat_names *names, enum name_rival_news news,
                         const struct name_rival_status *rival)
{
    if (news == NAME_RIVAL_COMES)
        log_line(LOG_WARNING, HEARTBEAT_MODULE,
                 "at the directory %s another peer goes by the name '%s', too, from %s: %s",
                 names->login_url, names->username,
                 rival->address[0] ? rival->address : "the same address",
                 rival->is_listed ? "its files are listed, ours are not as long as it is there"
                                  : "the one that started last is listed");
    else if (news == NAME_RIVAL_GOES)
        log_line(LOG_INFO, HEARTBEAT_MODULE,
                 "the directory %s tells of no other peer '%s' any more", names->login_url,
                 names->username);
}
