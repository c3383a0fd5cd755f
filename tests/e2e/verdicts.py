"""What makes a failure certain, whatever else the machine had to do: a sanitizer's report, a crash."""

import re

REPORT = re.compile(r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|WARNING: ThreadSanitizer"
                    r"|runtime error:|Assertion .* failed|double free|stack smashing")
# The words of harness.py on a program that ended as none may, an assertion on its exit status (a
# signal's, or a sanitizer's), and those of cmocka.
CRASH = re.compile(r"ended by itself with|ended with -?\d|ended by signal \d|assert (-\d+|66) == "
                   r"|Test failed with exception")
# What a unit test says last when an assertion failed; without it, it broke off or hung.
UNIT_END = re.compile(r"^\[  FAILED  \] \d+ test", re.MULTILINE)


def is_certain(text):
    return bool(REPORT.search(text) or CRASH.search(text))
