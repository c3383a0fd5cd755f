"""Builds the presets, runs all suites and adds up the counts. Started by tests/run."""

import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "build" / "test-output"
CORES = os.cpu_count() or 2
FUZZ_SECONDS = 20
STARTED = time.monotonic()
GROUPS = set()  # process groups that run now


class Suite:
    """The outcome of one step."""

    def __init__(self, name):
        self.name = name
        self.passed = self.failed = self.skipped = 0
        self.remarks = []  # failures and reasons of skips, one line each
        self.started = time.monotonic()

    def fail(self, remark):
        self.failed += 1
        self.remarks.append(f"FAILED  {self.name}: {remark}")

    def skip(self, remark):
        self.skipped += 1
        self.remarks.append(f"SKIPPED {self.name}: {remark}")

    def done(self):
        self.seconds = time.monotonic() - self.started
        say(f"{self.name:14} {self.passed:5} passed {self.failed:4} failed {self.skipped:4} skipped"
            f"  {self.seconds:5.0f} s")
        return self


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


def run(name, argv, timeout, **environment):
    """Runs a command with its output in a file. Exit status (None: out of time) and the file."""
    log = OUTPUT / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True,
                                   env={**os.environ, **environment})
        GROUPS.add(process.pid)
        try:
            return process.wait(timeout), log
        except subprocess.TimeoutExpired:
            return None, log
        finally:
            end_group(process.pid)
            process.wait()
            GROUPS.discard(process.pid)


def tail(log, lines=60):
    text = log.read_text(errors="replace").splitlines()[-lines:]
    print("\n".join("    " + line for line in text), flush=True)


def build(preset):
    suite = Suite(f"build {preset}")
    status, log = run(f"configure-{preset}", ["cmake", "--preset", preset], 300)
    if status == 0:
        # The preset fuzz is for the fuzz targets; its other tests would only repeat asan's.
        target = ["--target", "fuzz_targets"] if preset == "fuzz" else []
        status, log = run(f"build-{preset}", ["cmake", "--build", "--preset", preset, "--parallel",
                                              str(CORES), *target], 1800)
    if status == 0:
        suite.passed += 1
    else:
        suite.fail(f"see {log}")
        tail(log)
    return suite.done()


def read_junit(path):
    try:
        return list(xml.etree.ElementTree.parse(path).iter("testcase"))
    except (OSError, xml.etree.ElementTree.ParseError):
        return []


def unit(preset, *selection):
    """CTest: each program counts with the tests inside it."""
    suite = Suite(f"unit {preset}")
    junit = OUTPUT / f"unit-{preset}.xml"
    junit.unlink(missing_ok=True)
    status, log = run(f"unit-{preset}", ["ctest", "--preset", preset, "--parallel", "4",
                                         "--no-tests=error", "--output-junit", str(junit),
                                         *selection], 900)
    for case in read_junit(junit):
        output = case.findtext("system-out") or ""
        passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", output)))
        if case.get("status") == "run":
            suite.passed += passed or 1
        elif case.get("status") in ("notrun", "disabled"):
            suite.fail(f"{case.get('name')} did not run")
        else:
            suite.passed += passed
            suite.fail(f"{case.get('name')} ({log})")
            print("\n".join("    " + line for line in output.splitlines()[-40:]), flush=True)
    if status != 0 and not suite.failed:
        suite.fail(f"ctest ended with {status}, see {log}")
        tail(log)
    return suite.done()


def end_to_end(name, preset, arguments, workers, timeout, per_test=180):
    suite = Suite(name)
    label = name.replace(" ", "-")
    junit = OUTPUT / f"{label}.xml"
    junit.unlink(missing_ok=True)
    status, log = run(
        label, ["/usr/bin/python3", "-m", "pytest", "-q", "-rfEs", "-n", str(workers),
                f"--junitxml={junit}", f"--timeout={per_test}", *arguments], timeout, P2P_BUILD=str(ROOT / "build" / preset),
        PYTHONDONTWRITEBYTECODE="1")
    for case in read_junit(junit):
        test = f"{case.get('classname')}::{case.get('name')}"
        bad = [child for child in case if child.tag in ("failure", "error")]
        skipped = case.find("skipped")
        if bad:
            suite.fail(f"{test}: {(bad[0].get('message') or '').splitlines()[0][:200]}"
                       if bad[0].get("message") else test)
        elif skipped is not None:
            suite.skip(f"{test}: {skipped.get('message')}")
        else:
            suite.passed += 1
    if status != 0 and not suite.failed:
        suite.fail(f"pytest ended with {status}, see {log}")
    if suite.failed:
        tail(log, 200)
    return suite.done()


def fuzz():
    """Each target for a while; its seeds were replayed by CTest in every build."""
    suite = Suite("fuzz")
    status, log = run("fuzz", ["tests/fuzz/run", str(FUZZ_SECONDS), "build/fuzz"], 900)
    found = re.search(r"^(\d+) passed, (\d+) failed$", log.read_text(errors="replace"), re.MULTILINE)
    if found:
        suite.passed = int(found.group(1))
        for _ in range(int(found.group(2))):
            suite.fail(f"see {log}")
    if status != 0 and not suite.failed:
        suite.fail(f"ended with {status}, see {log}")
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
    status, log = run("clang-format", ["clang-format", "--dry-run", "-Werror", *files], 120)
    if status == 0:
        suite.passed += 1
    else:
        suite.fail(f"see {log}")
        tail(log, 20)
    return suite.done()


def everything():
    suites = [layout()]
    builds = {preset: build(preset) for preset in ("dev", "release", "asan", "tsan", "fuzz")}
    suites.extend(builds.values())
    built = {preset for preset, suite in builds.items() if not suite.failed}
    suites.extend(unit(preset) for preset in ("dev", "asan", "tsan") if preset in built)
    demo = ["tests/e2e", "-k", "test_demo"]
    rest = ["tests/e2e", "-k", "not test_demo"]
    if "dev" in built:
        suites.append(end_to_end("e2e dev", "dev", rest, 3, 1200))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = []
        if "asan" in built:
            jobs.append(pool.submit(end_to_end, "e2e asan", "asan", rest, 3, 1500, 400))
        if "tsan" in built:
            jobs.append(pool.submit(end_to_end, "e2e tsan", "tsan", rest, 3, 1800, 600))
        suites.extend(job.result() for job in jobs)
    if "release" in built:
        suites.append(end_to_end("demo", "release", demo, 1, 1500, 900))
    if "fuzz" in built:
        suites.append(unit("fuzz", "--label-regex", "fuzz"))
        suites.append(fuzz())
    return suites


def quick():
    suites = [layout(), build("dev")]
    if not suites[-1].failed:
        suites.append(unit("dev"))
        suites.append(end_to_end("e2e dev", "dev", ["tests/e2e", "-k", "not test_demo"], 3, 1200))
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
    passed, failed, skipped = (sum(getattr(suite, what) for suite in suites)
                               for what in ("passed", "failed", "skipped"))
    ran = sum(suite.passed + suite.failed for suite in suites if suite.name.startswith(("unit", "e2e")))
    if ran == 0:
        print("no test ran")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or ran == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
