"""A way to a directory that is looked at."""

import asyncio
import threading


class Way:
    """To a directory from an address of its own; counts the lists that go there, and the sums."""

    def __init__(self, directory, source):
        self.source = source
        self.target = directory.port
        self.lists = self.sums = 0
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    async def serve(self, reader, writer):
        there = await asyncio.open_connection("127.0.0.1", self.target,
                                              local_addr=(self.source, 0))
        await asyncio.gather(self.carry(reader, there[1]), self.carry(there[0], writer))

    async def carry(self, reader, writer):
        try:
            while data := await reader.read(1 << 20):
                self.lists += data.count(b"files_index=")
                self.sums += data.count(b"index_etag=")
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    def close(self):
        asyncio.run_coroutine_threadsafe(self.end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def end(self):
        self.server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
