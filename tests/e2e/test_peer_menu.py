"""p2p-peer menu on a real terminal: the reference's prompts and texts, word for word."""

import os
import re
import threading
import time

import pexpect
import pytest

import harness
import reference
from test_peer_commands import EscapingPeer

MIB = 1024 * 1024
MENU = ["--- MENÚ PEER ---", "1. Buscar y descargar archivo", "2. Subir archivo (gRPC)",
        "3. Listar archivos remotos (gRPC)", "4. Buscar por palabras", "5. Ver descargas", "0. Salir"]
CHOICE = "Seleccione una opción: "
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>78])")


class Menu:
    """A menu under pexpect. screen is all that was printed, without the terminal's own sequences."""

    def __init__(self, peer, term="xterm"):
        self.child = pexpect.spawn(
            str(harness.PEER_PROGRAM), ["menu", "--config", str(peer.config_path)],
            env=harness.environment(TERM=term), encoding="utf-8", codec_errors="replace",
            timeout=20 * harness.PATIENCE, dimensions=(40, 120))
        self.child.delaybeforesend = 0.02
        self.raw = ""

    def expect(self, text):
        self.child.expect_exact(text)
        self.raw += self.child.before + self.child.after

    def say(self, text):
        self.child.sendline(text)

    @property
    def screen(self):
        return ESCAPES.sub("", self.raw).replace("\r\n", "\n").replace("\r", "\n")

    def lines(self):
        return [line.strip() for line in self.screen.splitlines()]

    def choose(self, option):
        self.expect(CHOICE)
        self.say(option)

    def end(self):
        """Waits for the end; the exit status."""
        self.child.expect(pexpect.EOF)
        self.raw += self.child.before
        self.child.close()
        assert self.child.signalstatus is None
        return self.child.exitstatus

    def leave(self):
        self.choose("0")
        self.expect("Saliendo del menú.")
        assert self.end() == 0


@pytest.fixture
def menu_of():
    opened = []

    def start(peer, **options):
        opened.append(Menu(peer, **options))
        return opened[-1]

    yield start
    for menu in opened:
        menu.child.close(force=True)


@pytest.fixture
def pair(net):
    directory = net.directory()
    other = net.peer("Peer2", directory, files={"archivo1_p2.txt": "hola"})
    peer = net.peer("Peer1", directory, files={"mine.txt": "12345"})
    directory.wait_for_files("Peer2", ["archivo1_p2.txt"])
    directory.wait_for_files("Peer1", ["mine.txt"])
    return directory, peer, other


def test_the_menu_as_it_is_shown(peer, menu_of):
    menu = menu_of(peer)
    menu.expect(CHOICE)
    lines = menu.lines()
    start = lines.index(MENU[0])
    shown = [line for line in lines[start:] if line]
    assert shown[:len(MENU)] == MENU
    menu.say("0")
    menu.expect("Saliendo del menú.")
    assert menu.end() == 0


def test_search_and_download(pair, menu_of):
    _, peer, other = pair
    menu = menu_of(peer)
    menu.choose("1")
    menu.expect("Nombre del archivo a buscar: ")
    menu.say("archivo1_p2.txt")
    menu.expect("Archivo encontrado: archivo1_p2.txt")
    menu.expect("Peers disponibles:")
    menu.expect(f"1. Peer: Peer2 - Dirección gRPC: {other.address}")
    menu.expect("Seleccione peer para descargar (número): ")
    menu.say("1")
    menu.expect(f"Descargando desde Peer2 ({other.address})...")
    menu.expect("Descarga iniciada en segundo plano...")
    menu.expect(f"✅ Archivo descargado exitosamente: {peer.share}/archivo1_p2.txt")
    assert (peer.share / "archivo1_p2.txt").read_bytes() == b"hola"
    menu.say("0")
    menu.expect("Saliendo del menú.")
    assert menu.end() == 0


def test_words_and_download(pair, menu_of):
    _, peer, _ = pair
    menu = menu_of(peer)
    menu.choose("4")
    menu.expect("Palabras a buscar: ")
    menu.say("P2 archivo -mine")
    menu.expect("Archivos encontrados:")
    menu.expect("1. archivo1_p2.txt (4 B, 1 peer")
    menu.expect("Archivo a descargar (número o nombre; Intro: volver): ")
    menu.say("1")
    menu.expect("Descargando archivo1_p2.txt...")
    menu.expect("Descarga iniciada en segundo plano...")
    menu.expect(f"✅ Archivo descargado exitosamente: {peer.share}/archivo1_p2.txt")
    assert (peer.share / "archivo1_p2.txt").read_bytes() == b"hola"
    menu.say("4")
    menu.expect("Palabras a buscar: ")
    menu.say("nada de eso")
    menu.expect("Ningún archivo tiene esas palabras en su nombre.")
    menu.leave()


def test_many_downloads_begun_elsewhere_are_a_sum(net, menu_of):
    directory = net.directory()
    names = [f"n{number:03}" for number in range(80)]
    other = net.peer("Peer2", directory, files={name: name for name in names})
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", names)
    menu = menu_of(peer)
    menu.expect(CHOICE)
    assert peer.command("get", "n*").returncode == 0
    menu.expect("descargas más terminadas")
    told = re.findall("✅ Archivo descargado exitosamente: ", menu.screen)
    counted = re.findall(r"… y (\d+) descargas más terminadas", menu.screen)
    assert len(told) + int(counted[0]) == 80
    assert len(told) == 5
    menu.expect(CHOICE)  # what was typed, or asked, is there again
    assert (peer.share / "n079").read_text() == "n079"
    menu.say("0")
    assert menu.end() == 0
    assert other.running()


def test_several_sources_are_numbered(net, menu_of):
    directory = net.directory()
    others = [net.peer(f"Peer{n}", directory, files={"a": f"from {n}"}) for n in (2, 3)]
    peer = net.peer("Peer1", directory)
    for n in (2, 3):
        directory.wait_for_files(f"Peer{n}", ["a"])
    menu = menu_of(peer)
    menu.choose("1")
    menu.expect("Nombre del archivo a buscar: ")
    menu.say("a")
    menu.expect("Seleccione peer para descargar (número): ")
    listed = re.findall(r"(\d+)\. Peer: (\S+) - Dirección gRPC: (\S+)", menu.screen)
    assert [number for number, _, _ in listed] == ["1", "2"]
    assert {(name, address) for _, name, address in listed} == {
        ("Peer2", others[0].address), ("Peer3", others[1].address)}
    menu.say("2")
    menu.expect(f"Descargando desde {listed[1][1]} ({listed[1][2]})...")
    menu.expect("✅ Archivo descargado exitosamente: ")
    assert (peer.share / "a").read_text() == f"from {listed[1][1][-1]}"


@pytest.mark.parametrize("typed, text", [
    ("9", "Selección inválida."), ("0", "Selección inválida."), ("-1", "Selección inválida."),
    ("x", "Debe ingresar un número válido."), ("", "Debe ingresar un número válido."),
    ("1x", "Debe ingresar un número válido."),
    ("99999999999999999999", ("Selección inválida.", "Debe ingresar un número válido."))])
def test_wrong_number_of_a_peer(pair, menu_of, typed, text):
    _, peer, _ = pair
    menu = menu_of(peer)
    menu.choose("1")
    menu.expect("Nombre del archivo a buscar: ")
    menu.say("archivo1_p2.txt")
    menu.expect("Seleccione peer para descargar (número): ")
    menu.say(typed)
    if isinstance(text, tuple):
        menu.child.expect([re.escape(t) for t in text])
    else:
        menu.expect(text)
    menu.leave()
    assert peer.names() == ["mine.txt"]


def test_search_in_vain(pair, menu_of):
    _, peer, _ = pair
    menu = menu_of(peer)
    menu.choose("1")
    menu.expect("Nombre del archivo a buscar: ")
    menu.say("")
    menu.expect("Debe ingresar nombre del archivo.")
    menu.choose("1")
    menu.expect("Nombre del archivo a buscar: ")
    menu.say("nothing.txt")
    menu.expect("Error al buscar archivo: ")
    menu.expect("Archivo 'nothing.txt' no encontrado")
    menu.leave()


def test_a_wrong_password_is_told(net, menu_of):
    directory = net.directory()
    peer = net.peer("Peer1", directory, password="another")
    harness.wait_until(lambda: " ERROR " in peer.log, what="the refusal")
    menu = menu_of(peer)
    menu.expect(f"Aviso: este peer no está en el directorio {directory.url}/login: "
                "Usuario o contraseña incorrectos.")
    menu.expect("--- MENÚ PEER ---")
    menu.leave()


def test_search_without_a_directory(net, menu_of):
    peer = net.peer("Peer1", f"http://127.0.0.1:{harness.free_port()}")
    menu = menu_of(peer)
    menu.choose("1")
    menu.expect("Nombre del archivo a buscar: ")
    menu.say("a")
    menu.expect("Error al buscar archivo: ")
    menu.leave()


def test_upload(pair, menu_of):
    _, peer, other = pair
    menu = menu_of(peer)
    menu.choose("2")
    menu.expect("Dirección del peer (ip:puerto) destino: ")
    menu.say(other.address)
    menu.expect("Ruta del archivo local a subir (desde el directorio compartido): ")
    menu.say("mine.txt")
    menu.expect("Resultado de subida: ")
    menu.expect("Escrito 5 bytes en mine.txt")
    assert (other.share / "mine.txt").read_bytes() == b"12345"
    (other.share / "mine.txt").write_text("another")
    menu.choose("2")
    menu.expect("Dirección del peer (ip:puerto) destino: ")
    menu.say(other.address)
    menu.expect("Ruta del archivo local a subir (desde el directorio compartido): ")
    menu.say("mine.txt")
    menu.expect("Resultado de subida: ")
    menu.expect("Ya existe mine.txt")
    menu.leave()


def test_upload_of_what_does_not_exist(pair, menu_of):
    _, peer, other = pair
    menu = menu_of(peer)
    menu.choose("2")
    menu.expect("Dirección del peer (ip:puerto) destino: ")
    menu.say(other.address)
    menu.expect("Ruta del archivo local a subir (desde el directorio compartido): ")
    menu.say("nothing.txt")
    menu.expect("El archivo no existe: ")
    menu.expect("nothing.txt")
    menu.leave()


def test_list(pair, net, menu_of):
    _, peer, other = pair
    empty = net.peer("Peer3", files={})
    menu = menu_of(peer)
    menu.choose("3")
    menu.expect("Dirección del peer (ip:puerto) a listar: ")
    menu.say(other.address)
    menu.expect("Archivos remotos:")
    menu.expect("- archivo1_p2.txt (4 bytes)")
    menu.choose("3")
    menu.expect("Dirección del peer (ip:puerto) a listar: ")
    menu.say(empty.address)
    menu.expect("Sin archivos remotos.")
    menu.leave()


@pytest.mark.parametrize("address", ["nonsense", "", "127.0.0.1:1", "127.0.0.1:99999"])
def test_wrong_addresses(peer, menu_of, address):
    """Something is said, and the menu goes on."""
    menu = menu_of(peer)
    menu.choose("3")
    menu.expect("Dirección del peer (ip:puerto) a listar: ")
    menu.say(address)
    menu.leave()
    after = menu.screen.split("a listar: ", 1)[1].split(MENU[0])[0]
    assert len(after.replace(address, "").strip()) > 5


@pytest.mark.parametrize("typed", ["x", "77", "", "1 1", "-1", "ñ"])
def test_any_other_option(peer, menu_of, typed):
    menu = menu_of(peer)
    menu.choose(typed)
    menu.expect("Opción no válida. Intente de nuevo.")
    menu.leave()


@pytest.mark.parametrize("prompts", [[], [("1", "Nombre del archivo a buscar: ")],
                                     [("2", "Dirección del peer (ip:puerto) destino: ")],
                                     [("3", "Dirección del peer (ip:puerto) a listar: ")]])
def test_end_of_input_leaves_cleanly(peer, menu_of, prompts):
    menu = menu_of(peer)
    for option, prompt in prompts:
        menu.choose(option)
        menu.expect(prompt)
    if not prompts:
        menu.expect(CHOICE)
    menu.child.sendeof()
    assert menu.end() == 0
    assert peer.running()


def test_input_from_a_pipe(pair):
    """Not a terminal at all: a script may drive the menu."""
    _, peer, other = pair
    result = peer.command("menu", stdin=f"3\n{other.address}\n0\n")
    assert result.returncode == 0, result.stderr
    assert "- archivo1_p2.txt (4 bytes)" in result.stdout
    assert "Saliendo del menú." in result.stdout
    assert "\x1b" not in result.stdout
    assert peer.command("menu", stdin="").returncode == 0


class SlowPeer(reference.ReferencePeer):
    """Gives the file when it is released."""

    def __init__(self, *arguments, **options):
        self.release = threading.Event()
        super().__init__(*arguments, **options)

    def stop(self):
        self.release.set()
        super().stop()

    def DownloadFile(self, request, context):
        chunks = list(super().DownloadFile(request, context))
        yield chunks[0]
        self.release.wait(60)
        yield from chunks[1:]


def start_slow_download(net, menu_of):
    directory = net.directory()
    source = net.reference_peer(SlowPeer, files={"slow.bin": reference.random_bytes(MIB)})
    directory.login("Peer2", files=["slow.bin"], url=[source.address])
    peer = net.peer("Peer1", directory)
    menu = menu_of(peer)
    menu.choose("1")
    menu.expect("Nombre del archivo a buscar: ")
    menu.say("slow.bin")
    menu.expect("Seleccione peer para descargar (número): ")
    menu.say("1")
    menu.expect("Descarga iniciada en segundo plano...")
    return source, peer, menu


def test_the_end_of_a_download_while_typing(net, menu_of):
    """The notice comes on a line of its own, and what was being typed is still there and counts."""
    source, peer, menu = start_slow_download(net, menu_of)
    menu.choose("3")
    menu.expect("Dirección del peer (ip:puerto) a listar: ")
    menu.child.send(peer.address[:7])
    time.sleep(0.3)
    source.release.set()
    menu.expect(f"✅ Archivo descargado exitosamente: {peer.share}/slow.bin")
    menu.child.send(peer.address[7:] + "\r")
    menu.expect("Archivos remotos:")
    menu.expect(f"- slow.bin ({MIB} bytes)")
    notice = [line for line in menu.lines() if "✅" in line]
    assert notice == [f"✅ Archivo descargado exitosamente: {peer.share}/slow.bin"]
    menu.leave()


def test_the_downloads_are_shown(net, menu_of):
    source, peer, menu = start_slow_download(net, menu_of)
    menu.choose("5")
    menu.expect("Descargas:")
    menu.expect("- 1. slow.bin: ")
    source.release.set()
    menu.expect("✅ Archivo descargado exitosamente: ")
    menu.choose("5")
    menu.expect(f"- 1. slow.bin: terminada, en {peer.share}/slow.bin")
    menu.leave()


def test_no_downloads_to_show(peer, menu_of):
    menu = menu_of(peer)
    menu.choose("5")
    menu.expect("Sin descargas.")
    menu.leave()


def test_the_menu_goes_on_during_a_download(net, menu_of):
    source, peer, menu = start_slow_download(net, menu_of)
    for _ in range(3):
        menu.choose("3")
        menu.expect("Dirección del peer (ip:puerto) a listar: ")
        menu.say(peer.address)
        menu.expect("Sin archivos remotos.")
    source.release.set()
    menu.expect("✅ Archivo descargado exitosamente: ")


def test_a_download_outlives_the_menu(net, menu_of):
    source, peer, menu = start_slow_download(net, menu_of)
    menu.leave()
    source.release.set()
    harness.wait_until(lambda: peer.names() == ["slow.bin"], what="the download to end")


def test_a_download_that_fails_is_told(net, menu_of):
    source, peer, menu = start_slow_download(net, menu_of)
    menu.expect(CHOICE)
    source.server.stop(0)
    menu.expect("❌ Error al descargar: ")
    menu.child.expect(r"\S")
    assert [name for name in peer.names() if not name.startswith(".")] == []


def test_a_taken_name_is_told(net, menu_of):
    directory = net.directory()
    other = net.reference_peer(files={"a.txt": "theirs"})
    directory.login("Peer2", files=["a.txt"], url=[other.address])
    peer = net.peer("Peer1", None, files={"a.txt": "mine"}, auth_enabled=False,
                    api_search_url=f"{directory.url}/buscar_archivos")
    menu = menu_of(peer)
    menu.choose("1")
    menu.expect("Nombre del archivo a buscar: ")
    menu.say("a.txt")
    menu.expect("Seleccione peer para descargar (número): ")
    menu.say("1")
    menu.expect(f"✅ Archivo descargado exitosamente: {peer.share}/a (1).txt")
    assert (peer.share / "a.txt").read_text() == "mine"


def test_names_with_escape_sequences(net, menu_of):
    other = net.reference_peer(EscapingPeer)
    peer = net.peer()
    menu = menu_of(peer, term="dumb")
    menu.choose("3")
    menu.expect("Dirección del peer (ip:puerto) a listar: ")
    menu.say(other.address)
    menu.expect("(5 bytes)")
    menu.leave()
    for harmful in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\u202e"):
        assert harmful not in menu.raw


def test_typing_bytes_that_are_no_utf8(peer, menu_of):
    """The line editor may take the first return for a part of the broken character."""
    menu = menu_of(peer)
    menu.choose("1")
    menu.expect("Nombre del archivo a buscar: ")
    os.write(menu.child.child_fd, b"caf\xe9\r")
    time.sleep(0.3)
    menu.say("")
    menu.expect("Error al buscar archivo: ")
    menu.leave()


def test_a_very_long_line(peer, menu_of):
    menu = menu_of(peer)
    menu.choose("1")
    menu.expect("Nombre del archivo a buscar: ")
    menu.say("x" * 3000)
    menu.expect("Error al buscar archivo: ")
    menu.leave()


def test_the_daemon_goes_while_the_menu_is_open(net, menu_of):
    peer = net.peer()
    menu = menu_of(peer)
    menu.expect(CHOICE)
    peer.terminate()
    menu.say("3")
    menu.expect("Dirección del peer (ip:puerto) a listar: ")
    menu.say("127.0.0.1:1")
    menu.leave()


def test_without_a_daemon(net, menu_of):
    peer = net.peer()
    peer.terminate()
    menu = menu_of(peer)
    assert menu.end() == 4


def test_interrupt_leaves_the_daemon_alone(peer, menu_of):
    menu = menu_of(peer)
    menu.expect(CHOICE)
    menu.child.sendintr()
    menu.child.expect(pexpect.EOF)
    menu.child.close()
    assert peer.running() and peer.command("status").returncode == 0


def test_the_reference_network(net, menu_of):
    """Our menu in the reference's network: no address in the reply, grpc_urls are the fallback."""
    directory = net.reference_directory()
    source = net.reference_peer(files={"archivo1_p2.txt": "hola"})
    source.log_in(directory.url, "Peer2")
    peer = net.peer("Peer1", directory, grpc_urls=[source.address])
    menu = menu_of(peer)
    menu.choose("1")
    menu.expect("Nombre del archivo a buscar: ")
    menu.say("archivo1_p2.txt")
    menu.expect("1. Peer: Peer2 - Dirección gRPC: ")
    menu.expect("Seleccione peer para descargar (número): ")
    menu.say("1")
    menu.expect("Descarga iniciada en segundo plano...")
    menu.expect("✅ Archivo descargado exitosamente: ")
    assert (peer.share / "archivo1_p2.txt").read_bytes() == b"hola"
