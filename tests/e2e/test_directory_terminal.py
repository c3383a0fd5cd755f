"""What `p2p-directory` says on the terminal: its help, and the password of `user add`."""

import termios

import pexpect
import pytest

import harness


@pytest.fixture
def terminal(tmp_path):
    child = pexpect.spawn(str(harness.DIRECTORY_PROGRAM),
                          ["user", "add", "Ana", "--users", str(tmp_path / "users")],
                          timeout=20, encoding="utf-8")
    yield child
    child.close(force=True)


def echoes(child):
    return bool(termios.tcgetattr(child.child_fd)[3] & termios.ECHO)


def test_the_password_is_asked_twice_and_not_shown(terminal, tmp_path):
    for prompt in ("Password: ", "Again: "):
        terminal.expect(prompt)
        assert terminal.waitnoecho(5)
        terminal.sendline("secreto-42")
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == 0
    assert "secreto" not in terminal.before
    assert "\nAna:$argon2id$" in (tmp_path / "users").read_text()


def test_ctrl_c_leaves_the_terminal_as_it_was(terminal, tmp_path):
    terminal.expect("Password: ")
    assert terminal.waitnoecho(5)
    terminal.send("abc\x03")
    terminal.expect("no password was given")
    assert echoes(terminal)
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus != 0
    assert not (tmp_path / "users").exists()


@pytest.mark.parametrize("words", ["--help", "-h", "user --help", "user add -h", "user add Ana --help", "backup --help"])
def test_help_can_be_asked_for_anywhere_and_fits(words, tmp_path):
    result = harness.run_program(harness.DIRECTORY_PROGRAM, *words.split(), cwd=tmp_path)
    assert result.returncode == 0 and result.stderr == ""
    for text in ("user add", "user remove", "user list", "backup FILE", "--generate", "--listen"):
        assert text in result.stdout
    for line in result.stdout.splitlines():
        assert len(line) <= 100, line
    assert list(tmp_path.iterdir()) == []
