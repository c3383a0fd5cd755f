/*
 * What the user reads of another peer that goes by the same name. Pure.
 */
#pragma once

#include "proto/control.pb-c.h"

/* NULL: there is none at that directory. The text is the caller's; what others said is not made
 * harmless in it. */
char *rival_text(const P2p__Control__Directory *directory);

/* Of all directories, for the menu: the text of the first with one. NULL: none. */
char *rival_notice(const P2p__Control__StatusReply *status);
