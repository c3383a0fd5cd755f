/*
 * Tells the thread sanitizer of an order between threads that it cannot see: one that a library
 * makes which is not instrumented (what was written before an operation was handed to the library
 * can be read where its end is reported). No code in other builds. Any thread.
 */
#pragma once

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define thread_order_before(object) __tsan_release(object) /* before handing over */
#define thread_order_after(object)  __tsan_acquire(object) /* after getting back */
#else
#define thread_order_before(object) ((void)(object))
#define thread_order_after(object)  ((void)(object))
#endif
