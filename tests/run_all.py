"""Builds the presets, runs all suites and adds up the counts. Started by tests/run."""

import concurrent.futures
import functools
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import verdicts  # noqa: E402

OUTPUT = ROOT / "build" / "test-output"
CORES = os.cpu_count() or 2
FUZZ_SECONDS = 20
# Most tests wait most of their time: for a heartbeat, a time-out, a source that sends slowly. So more of
# them run than there are processors; under sanitizers, where two presets run side by side, a few fewer.
WORKERS = 6
WORKERS_SANITIZED = 5
STARTED = time.monotonic()
GROUPS = set()  # process groups that run now


# Tests share the time of the machine with each other and with whatever else runs on it, and a few of
# them measure time: so a test that fails gets one more run with nothing beside it, and failing again
# is failing. More than these few at once are no accident, nor is ever what a sanitizer says or a
# daemon that ends by itself.
RETRIES = 3


class Failure:
    """again runs it once more, alone: None when it passed, else what failed; without, it failed."""

    def __init__(self, name, remark, again=None):
        self.name, self.remark, self.again = name, remark, again


class Suite:
    """The outcome of one step."""

    def __init__(self, name):
        self.name = name
        self.passed = self.skipped = 0
        self.failures = []
        self.skips = []  # their reasons, one line each
        self.unsteady = []  # what failed and then passed, one line each
        self.started = time.monotonic()
        self.processor_s = 0.0

    @property
    def failed(self):
        return len(self.failures)

    @property
    def remarks(self):
        return [f"FAILED  {self.name}: {failure.name}: {failure.remark}"
                for failure in self.failures] + self.skips

    def fail(self, name, remark, again=None):
        self.failures.append(Failure(name, remark, again))

    def skip(self, remark):
        self.skipped += 1
        self.skips.append(f"SKIPPED {self.name}: {remark}")

    def done(self):
        say(f"{self.name:14} {self.passed:5} passed {self.failed:4} failed {self.skipped:4} skipped"
            f"  {time.monotonic() - self.started:5.0f} s, {self.processor_s:5.0f} s of processors")
        return self

    def retry(self):
        """Nothing else may run meanwhile. Does nothing when nothing failed."""
        if 0 < self.failed <= RETRIES:
            self.failures = [failure for failure in self.failures if not self.passes_now(failure)]
        return self

    def passes_now(self, failure):
        if failure.again is None:
            return False
        problem = failure.again()
        say(f"{self.name}: {failure.name}, alone: {problem or 'passed'}")
        if problem:
            return False
        self.passed += 1
        self.unsteady.append(f"UNSTEADY {self.name}: {failure.name}: {failure.remark}")
        return True


def say(text):
    elapsed = int(time.monotonic() - STARTED)
    print(f"[{elapsed // 60:2}:{elapsed % 60:02}] {text}", flush=True)


def end_group(group):
    """Ends whatever a command has left running."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def stop_all(number, _frame):
    for group in list(GROUPS):
        end_group(group)
    os._exit(128 + number)


def wait_for(process, timeout):
    """Exit status (None: out of time), and the processor time of it and of all that it waited for."""
    out_of_time = threading.Event()

    def end():
        out_of_time.set()
        end_group(process.pid)

    timer = threading.Timer(timeout, end)
    timer.start()
    _, status, usage = os.wait4(process.pid, 0)
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return None if out_of_time.is_set() else process.returncode, usage.ru_utime + usage.ru_stime


def run(suite, name, argv, timeout, **environment):
    """Runs a command with its output in a file. Exit status (None: out of time) and the file."""
    log = OUTPUT / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True,
                                   env={**os.environ, **environment})
        GROUPS.add(process.pid)
        try:
            status, processor_s = wait_for(process, timeout)
        finally:
            end_group(process.pid)
            GROUPS.discard(process.pid)
    suite.processor_s += processor_s
    return status, log


def tail(log, lines=60):
    text = log.read_text(errors="replace").splitlines()[-lines:]
    print("\n".join("    " + line for line in text), flush=True)


def build(preset):
    suite = Suite(f"build {preset}")
    status, log = run(suite, f"configure-{preset}", ["cmake", "--preset", preset], 900)
    if status == 0:
        # The preset fuzz is for the fuzz targets; its other tests would only repeat asan's.
        target = ["--target", "fuzz_targets"] if preset == "fuzz" else []
        status, log = run(suite, f"build-{preset}", ["cmake", "--build", "--preset", preset,
                                                     "--parallel", str(CORES), *target], 1800)
    if status == 0:
        suite.passed += 1
    else:
        suite.fail("build", f"see {log}")
        tail(log)
    return suite.done()


def read_junit(path):
    try:
        return list(xml.etree.ElementTree.parse(path).iter("testcase"))
    except (OSError, xml.etree.ElementTree.ParseError):
        return []


def unit_again(suite, preset, name):
    """One program of CTest's, alone. None when it passed, else a word on it."""
    status, log = run(suite, f"unit-{preset}-{name}", ["ctest", "--preset", preset, "--no-tests=error",
                                                      "--tests-regex", f"^{re.escape(name)}$"], 300)
    if status == 0:
        return None
    tail(log)
    return f"failed again, see {log}"


def unit(preset, *selection):
    """CTest: each program counts with the tests inside it. The caller retries (side_by_side)."""
    suite = Suite(f"unit {preset}")
    junit = OUTPUT / f"unit-{preset}.xml"
    junit.unlink(missing_ok=True)
    status, log = run(suite, f"unit-{preset}", ["ctest", "--preset", preset, "--parallel", "4",
                                                "--no-tests=error", "--output-junit", str(junit),
                                                *selection], 1800)
    for case in read_junit(junit):
        name = case.get("name")
        output = case.findtext("system-out") or ""
        passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", output)))
        if case.get("status") == "run":
            suite.passed += passed or 1
        elif case.get("status") in ("notrun", "disabled"):
            suite.fail(name, "did not run")
        else:
            suite.passed += passed
            certain = verdicts.is_certain(output) or not verdicts.UNIT_END.search(output)
            what = re.findall(r"^\[ +(?:ERROR|LINE) +\] --- (.*)", output, re.MULTILINE)
            suite.fail(name, " ".join(what[:2])[:200] or "it broke off",
                       None if certain else functools.partial(unit_again, suite, preset, name))
            print("\n".join("    " + line for line in output.splitlines()[-40:]), flush=True)
    if status != 0 and not suite.failed:
        suite.fail("ctest", f"ended with {status}, see {log}")
        tail(log)
    return suite.done()


def pytest(suite, label, preset, workers, timeout, per_test, *arguments):
    """Exit status, log and test cases."""
    junit = OUTPUT / f"{label}.xml"
    junit.unlink(missing_ok=True)
    status, log = run(
        suite, label, ["/usr/bin/python3", "-m", "pytest", "-q", "-rfEs", "-n", str(workers),
                f"--junitxml={junit}", f"--timeout={per_test}", *arguments], timeout,
        P2P_BUILD=str(ROOT / "build" / preset), PYTHONDONTWRITEBYTECODE="",
        PYTHONPYCACHEPREFIX=str(OUTPUT / "pycache"))  # what one worker has translated serves all
    return status, log, read_junit(junit)


def end_to_end_again(suite, label, preset, per_test, test):
    label += "-again-" + re.sub(r"\W+", "-", test)[:100]
    status, log, _ = pytest(suite, label, preset, 0, 2 * per_test, per_test, f"tests/e2e/{test}")
    if status == 0:
        return None
    tail(log, 200)
    return f"failed again, see {log}"


def end_to_end(name, preset, arguments, workers, timeout, per_test):
    """The caller retries when nothing runs beside it any more (side_by_side)."""
    suite = Suite(name)
    label = name.replace(" ", "-")
    status, log, cases = pytest(suite, label, preset, workers, timeout, per_test, *arguments)
    bad = {}  # test -> what went wrong in it and, a case of its own then, after it
    for case in cases:
        test = f"{case.get('classname')}::{case.get('name')}"
        problems = [child for child in case if child.tag in ("failure", "error")]
        skipped = case.find("skipped")
        if problems:
            bad.setdefault(test, []).extend(problems)
        elif skipped is not None:
            suite.skip(f"{test}: {skipped.get('message')}")
        else:
            suite.passed += 1
    argument = {f"{case.get('classname')}::{case.get('name')}": row.get("value")
                for case in cases for row in case.iter("property") if row.get("name") == "argument"}
    for test, problems in bad.items():
        # Without an argument the worker was lost that ran it: it was out of time, or broke.
        certain = test not in argument or any(
            verdicts.is_certain(f"{one.get('message')}\n{one.text}") for one in problems)
        again = None if certain else functools.partial(end_to_end_again, suite, label, preset, per_test,
                                                       argument[test])
        suite.fail(test, " ".join((problems[0].get("message") or "").split())[:200], again)
    if status not in (0, 1) or (status == 1 and not suite.failed):  # 1: tests failed
        suite.fail("pytest", f"ended with {status}, see {log}")
    if suite.failed:
        tail(log, 200)
    return suite.done()


def fuzz():
    """Each target for a while, with what the machine has left; its seeds were replayed by CTest in
    every build."""
    suite = Suite("fuzz")
    status, log = run(suite, "fuzz", ["nice", "-n", "5", "tests/fuzz/run", str(FUZZ_SECONDS), "build/fuzz"], 900)
    found = re.search(r"^(\d+) passed, (\d+) failed$", log.read_text(errors="replace"), re.MULTILINE)
    if found:
        suite.passed = int(found.group(1))
        for _ in range(int(found.group(2))):
            suite.fail("target", f"see {log}")
    if status != 0 and not suite.failed:
        suite.fail("tests/fuzz/run", f"ended with {status}, see {log}")
    if suite.failed:
        tail(log)
    return suite.done()


def layout():
    """clang-format decides the layout."""
    suite = Suite("clang-format")
    files = subprocess.run(["git", "ls-files", "*.c", "*.h"], cwd=ROOT, stdout=subprocess.PIPE,
                           text=True).stdout.split()
    if not files:  # not a clone: an unpacked archive
        files = [str(path.relative_to(ROOT)) for folder in ("common", "directory", "peer", "tests")
                 for path in (ROOT / folder).rglob("*.[ch]")]
    status, log = run(suite, "clang-format", ["clang-format", "--dry-run", "-Werror", *files], 120)
    if status == 0:
        suite.passed += 1
    else:
        suite.fail("layout", f"see {log}")
        tail(log, 20)
    return suite.done()


def side_by_side(*steps):
    """The suites of steps that leave each other room; what failed is run again when all are done."""
    with concurrent.futures.ThreadPoolExecutor(len(steps) or 1) as pool:
        jobs = [pool.submit(*step) for step in steps]
    return [job.result().retry() for job in jobs]


def everything():
    suites = [layout()]
    presets = "dev", "release", "asan", "tsan", "fuzz"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:  # to configure takes one processor
        builds = dict(zip(presets, pool.map(build, presets)))
    suites.extend(builds.values())
    built = {preset for preset, suite in builds.items() if not suite.failed}
    demo = ["tests/e2e", "-k", "test_demo"]
    rest = ["tests/e2e", "-k", "not test_demo"]
    # One after the other; of each what runs side by side: the preset that it needs, and what to call.
    steps = [
        [("dev", unit, "dev"), ("asan", unit, "asan"), ("tsan", unit, "tsan"),
         ("fuzz", unit, "fuzz", "--label-regex", "fuzz")],
        [("dev", end_to_end, "e2e dev", "dev", rest, WORKERS, 1500, 300)],
        [("asan", end_to_end, "e2e asan", "asan", rest, WORKERS_SANITIZED, 1800, 600),
         ("tsan", end_to_end, "e2e tsan", "tsan", rest, WORKERS_SANITIZED, 1800, 600)],
        # The demo mostly waits: for packages, a build, and heartbeats.
        [("release", end_to_end, "demo", "release", demo, 1, 1500, 900), ("fuzz", fuzz)]]
    for step in steps:
        suites.extend(side_by_side(*(call for preset, *call in step if preset in built)))
    return suites


def quick():
    suites = [layout(), build("dev")]
    if not suites[-1].failed:
        suites.extend(side_by_side((unit, "dev")))
        suites.extend(side_by_side((end_to_end, "e2e dev", "dev", ["tests/e2e", "-k", "not test_demo"],
                                    WORKERS, 1500, 300)))
    return suites


def main():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop_all)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    suites = quick() if "--quick" in sys.argv[1:] else everything()
    print()
    for suite in suites:
        for remark in suite.remarks:
            print(remark)
    unsteady = [line for suite in suites for line in suite.unsteady]
    if unsteady:
        print(f"\nFailed once, and passed alone ({len(unsteady)}): look at each of them.")
        print("\n".join(unsteady))
    passed, failed, skipped = (sum(getattr(suite, what) for suite in suites)
                               for what in ("passed", "failed", "skipped"))
    ran = sum(suite.passed + suite.failed for suite in suites if suite.name.startswith(("unit", "e2e")))
    if ran == 0:
        print("no test ran")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or ran == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
