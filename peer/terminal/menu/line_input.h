/*
 * Reading lines from the user while other things happen: the common words of line_editor (a
 * terminal) and line_plain (a pipe, or a terminal that can do nothing).
 */
#pragma once

enum line_result {
    LINE_READ,
    LINE_END,         /* of input */
    LINE_INTERRUPTED, /* by a signal */
};
