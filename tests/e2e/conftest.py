"""Fixtures of the end-to-end tests. Everything is made anew for each test, below its own folder.

P2P_BUILD names the build directory whose programs are tested (default build/dev).
"""

import os
import resource
import shutil
import signal
import subprocess
import zlib

import pytest

import harness


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # started in the background of a script
        signal.signal(signal.SIGINT, signal.default_int_handler)  # our programs would ignore it, too
    config.addinivalue_line("markers", "plain: figures mean nothing in a build with sanitizers")
    config.addinivalue_line("markers", "no_thread_sanitizer: too slow, or too large, under it")
    config.addinivalue_line("markers", "root: needs root, for a mount or a network namespace")
    config.addinivalue_line("markers", "long: twenty seconds or more: not begun when the others end")


def pytest_collection_modifyitems(config, items):
    """Tests that say nothing in this build are left out; those that cannot run here are skipped."""
    unfit = [item for item in items
             if (harness.SANITIZER and item.get_closest_marker("plain"))
             or (harness.SANITIZER == "thread" and item.get_closest_marker("no_thread_sanitizer"))]
    if unfit:
        config.hook.pytest_deselected(items=unfit)
        items[:] = [item for item in items if item not in unfit]
    for item in items:
        item.user_properties.append(("argument", item.nodeid))  # for who runs it again
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=place)


def place(item):
    """Several workers share the tests in an order that deals those of a file out to all of them, the
    same each time, and leaves no long one for the end, when there is nothing to do beside it."""
    number = zlib.crc32(item.nodeid.encode()) / (1 << 32)
    return 0.6 * number if item.get_closest_marker("long") else number


def processor_s():
    """Of this process and of all that it waited for."""
    return sum(usage.ru_utime + usage.ru_stime
               for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Its report tells, beside how long a test took, how long processors worked for it."""
    item.processor_before_s = processor_s()
    yield


@pytest.fixture(scope="session")
def users_file(tmp_path_factory):
    """Path of a users file with Peer1 to Peer4, made once by the real program."""
    made = {}

    def path():
        if not made:
            made["path"] = tmp_path_factory.mktemp("users") / "users"
            for number in range(1, 5):
                harness.add_user(made["path"], f"Peer{number}")
        return made["path"]

    return path


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    if call.when == "teardown":
        item.user_properties.append(("processor_s", round(processor_s() - item.processor_before_s, 2)))
    report = (yield).get_result()
    if report.when == "call":
        item.failed_in_call = report.failed


@pytest.fixture
def net(request, tmp_path, users_file):
    """Starts daemons: net.directory(), net.peer(), net.reference_directory(), net.reference_peer()."""
    network = harness.Network(tmp_path, users_file)
    yield network
    try:
        network.finish()
    finally:
        failed = getattr(request.node, "failed_in_call", True)
        if failed:
            network.show_logs()
    if not failed:
        shutil.rmtree(tmp_path, ignore_errors=True)  # some files here are large


@pytest.fixture
def directory(net):
    """A directory of ours that knows Peer1 to Peer4."""
    return net.directory()


@pytest.fixture
def peer(net):
    """A peer of ours that serves without a directory."""
    return net.peer()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MiB."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        pytest.skip(f"no mount here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
